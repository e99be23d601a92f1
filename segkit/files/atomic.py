"""Writing so that a killed run leaves no half file under the final name."""

from __future__ import annotations

import json
import os
import re
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from segkit.errors import InputError
from segkit.files.processes import has_ended, is_running, process_token


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, with the same suffixes; renamed to ``path`` when the block succeeds.

    The folder is made if it does not exist. When the block raises, the temporary file is removed.

    Raises:
        InputError: a folder that cannot be made or written, a full disk.
    """
    final = Path(path)
    # Writers choose the format by suffix, and some know it in lower case only.
    suffix = "".join(final.suffixes[-2:]).lower()
    temporary = final.with_name(f".{process_token()}{uuid.uuid4().hex[:8]}{suffix}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, final)
    except OSError as error:
        found = error.strerror or str(error)
        raise unwritable(final, found[:1].lower() + found[1:]) from error
    finally:
        _remove(temporary)


TEMPORARY = re.compile(r"\.([0-9a-f]{24})[0-9a-f]{8}(\..*)?")
"""Names that `atomic_path` gives until a file is complete; a process that was killed leaves them behind.

The first 24 digits are the `process_token` of the writer; older versions wrote random ones.
"""


def is_leftover(path: Path) -> bool:
    """Return whether ``path`` has the name of a file that is not complete."""
    return TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(*folders: Path) -> None:
    """Remove the incomplete files right in ``folders``, which the caller has to itself.

    Those of a process that is seen to run stay all the same: it may be a prediction into the same folder.
    """
    _remove_files(folders, lambda path: is_leftover(path) and not _is_being_written(path))


def remove_leftovers_of_ended(*folders: Path) -> None:
    """Remove the incomplete files right in ``folders`` whose writers, processes of this machine, have ended."""
    _remove_files(folders, _is_abandoned)


def _is_being_written(path: Path) -> bool:
    named = TEMPORARY.fullmatch(path.name)
    return named is not None and is_running(named[1])


def _is_abandoned(path: Path) -> bool:
    named = TEMPORARY.fullmatch(path.name)
    return named is not None and has_ended(named[1])


def _remove_files(folders: Sequence[Path], wanted: Callable[[Path], bool]) -> None:
    for folder in folders:
        with suppress(
            OSError
        ):  # a folder that is not there or cannot be read has nothing to remove
            for path in folder.iterdir():
                if wanted(path) and path.is_file():
                    _remove(path)


def make_folder(folder: Path) -> list[Path]:
    """Make ``folder`` and return the folders that this call made, the innermost first.

    Raises:
        InputError: a place where no folder can be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    made: list[Path] = []
    try:
        for path in reversed(missing):
            with suppress(FileExistsError):  # another process was faster
                path.mkdir()
                made.insert(0, path)
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(folder, (error.strerror or str(error)).lower()) from error
    return made


def _remove(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:  # the folder itself is the trouble, and that is said already
        return


def unwritable(path: str | Path, found: str) -> InputError:
    """The error for a file that cannot be written."""
    return InputError(
        path,
        expected="a place that can be written to",
        found=found,
        remedy="Choose another place, or change its permissions or make room there.",
    )


def read_bytes(
    path: str | Path,
    *,
    limit: int,
    expected: str = "a file to read",
    remedy: str = "Check the path.",
) -> bytes:
    """Return the content of an ordinary file of at most ``limit`` bytes.

    Raises:
        InputError: no such file, a pipe or a device, which may never end, or one that is too large.
    """
    try:
        found = os.stat(path)
        if stat.S_ISREG(found.st_mode) and found.st_size <= limit:
            return Path(path).read_bytes()
    except OSError as error:
        raise InputError(
            path, expected=expected, found=error.strerror or str(error), remedy=remedy
        ) from error
    what = f"{found.st_size} bytes" if stat.S_ISREG(found.st_mode) else "a folder, pipe or device"
    raise InputError(
        path,
        expected=f"an ordinary file of at most {limit} bytes",
        found=what,
        remedy="Check the path.",
    )


JSON_BYTES = 16 << 20
"""No JSON file that segkit reads is larger."""


def read_json(
    path: str | Path, *, expected: str = "JSON", remedy: str = "Correct the file."
) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        InputError: as `read_bytes`; no JSON, or nested or with digits beyond measure; or no object.
    """
    content = read_bytes(path, limit=JSON_BYTES, expected=expected, remedy=remedy)
    return json_object(path, content, expected=expected, remedy=remedy)


def json_object(where: str | Path, content: bytes, *, expected: str, remedy: str) -> dict[str, Any]:
    """Return the JSON object in ``content``, which was read from ``where``.

    Raises:
        InputError: as `read_json`.
    """
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except RecursionError as error:
        raise InputError(
            where, expected=expected, found="brackets nested beyond measure", remedy=remedy
        ) from error
    except ValueError as error:
        raise InputError(
            where, expected=expected, found=str(error).partition(";")[0], remedy=remedy
        ) from error
    if not isinstance(value, dict):
        raise InputError(where, expected="a JSON object", found=type(value).__name__, remedy=remedy)
    return value


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
