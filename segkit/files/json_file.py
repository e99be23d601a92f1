"""Reading of JSON files within limits, so that an untrusted file cannot block or crash segkit."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from segkit.errors import InputError

JSON_BYTES = 16 << 20
"""Largest size in bytes of a JSON file that segkit reads."""


def read_json(
    path: str | Path, *, expected: str = "JSON", remedy: str = "Correct the file."
) -> dict[str, Any]:
    """Return the JSON object in a file.

    Args:
        path: the file.
        expected: words for the error message: what the file should be.
        remedy: words for the error message: what the user can do.

    Raises:
        InputError: as for `read_bytes`; or the content is not a JSON object, is nested too deeply,
            or has a number with too many digits.
    """
    content = read_bytes(path, limit=JSON_BYTES, expected=expected, remedy=remedy)
    return json_object(path, content, expected=expected, remedy=remedy)


def json_object(where: str | Path, content: bytes, *, expected: str, remedy: str) -> dict[str, Any]:
    """Return the JSON object in ``content``.

    Args:
        where: the file from which it was read, for the error message.
        content: UTF-8 text, with or without a byte order mark.
        expected: words for the error message: what the file should be.
        remedy: words for the error message: what the user can do.

    Raises:
        InputError: as for `read_json`.
    """
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except RecursionError as error:
        raise InputError(
            where, expected=expected, found="brackets nested too deeply", remedy=remedy
        ) from error
    except ValueError as error:
        raise InputError(
            where, expected=expected, found=str(error).partition(";")[0], remedy=remedy
        ) from error
    if not isinstance(value, dict):
        raise InputError(where, expected="a JSON object", found=type(value).__name__, remedy=remedy)
    return value


def read_bytes(
    path: str | Path,
    *,
    limit: int,
    expected: str = "a file to read",
    remedy: str = "Check the path.",
) -> bytes:
    """Return the content of a regular file.

    Args:
        path: the file.
        limit: largest size in bytes.
        expected: words for the error message: what the file should be.
        remedy: words for the error message: what the user can do.

    Raises:
        InputError: the file is missing, too large, or a pipe or device, which may never end.
    """
    try:
        status = os.stat(path)
        ordinary = stat.S_ISREG(status.st_mode)
        if ordinary and status.st_size <= limit:
            return Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            path, expected=expected, found=error.strerror or str(error), remedy=remedy
        ) from error
    raise InputError(
        path,
        expected=f"an ordinary file of at most {limit} bytes",
        found=f"{status.st_size} bytes" if ordinary else "a folder, pipe or device",
        remedy="Check the path.",
    )
