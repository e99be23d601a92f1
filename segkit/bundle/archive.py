"""Read single files of a bundle, from its folder or zip, without trusting its author."""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from segkit.errors import InputError, OutOfMemoryError
from segkit.files.json_file import JSON_BYTES, json_object
from segkit.io import available_memory
from segkit.units import size_text

_RATIO = 100
"""Largest ratio of unpacked to packed size of a zip member; weights hardly compress at all."""
_NO_MODEL = (
    "Is this a model? Give the folder of a run or bundle, or a .segkit file. "
    "'segkit check' examines a dataset; a damaged model must be copied or exported again."
)
_REMEDY = "The model is damaged or was changed: copy or export it again."


def read_object(
    bundle: Path, name: str, receipt: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Read a JSON object of a bundle.

    Args:
        bundle: folder or .segkit file.
        name: path of the file inside the bundle.
        receipt: size in bytes and sha256 of the file, which are checked if given.

    Raises:
        InputError: a file that is missing, larger than JSON_BYTES, different from its receipt, or
            not JSON.
    """
    content = _read(bundle, name, JSON_BYTES)
    if receipt is not None:
        _verify(bundle / name, content, receipt)
    return json_object(bundle / name, content, expected="JSON", remedy=_REMEDY)


def read_member(bundle: Path, name: str, receipt: Mapping[str, Any]) -> bytes:
    """Read a file of a bundle and compare it with its receipt.

    Args:
        bundle: folder or .segkit file.
        name: path of the file inside the bundle.
        receipt: "bytes" and "sha256" of the file.

    Raises:
        InputError: a file that is missing, has an unsafe name, or differs from its receipt.
        OutOfMemoryError: a file that is larger than the available memory.
    """
    content = _read(bundle, name, int(receipt["bytes"]))
    _verify(bundle / name, content, receipt)
    return content


def member_size(bundle: Path, name: str) -> int | None:
    """Return the bytes of a file of a bundle without reading it; None if it is missing.

    Args:
        bundle: folder or .segkit file.
        name: path of the file inside the bundle.

    Raises:
        InputError: an unsafe name, or a zip that cannot be read.
    """
    _check_name(bundle, name)
    try:
        if bundle.is_dir():
            return (bundle / name).stat().st_size
        with zipfile.ZipFile(bundle) as archive:
            return archive.getinfo(name).file_size
    except (FileNotFoundError, NotADirectoryError, KeyError):
        return None
    except (zipfile.BadZipFile, OSError) as error:
        raise _no_zip(bundle, error) from error


def read_optional(bundle: Path, name: str) -> bytes | None:
    """Read a small file that a bundle may have and that has no receipt; None if there is none.

    Args:
        bundle: folder or .segkit file.
        name: path of the file inside the bundle.

    Raises:
        InputError: a file that is larger than JSON_BYTES or a link, or a zip that cannot be read.
    """
    if bundle.is_dir():
        return _read(bundle, name, JSON_BYTES) if os.path.lexists(bundle / name) else None
    try:
        with zipfile.ZipFile(bundle) as archive:
            is_there = name in archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise _no_zip(bundle, error) from error
    return _read(bundle, name, JSON_BYTES) if is_there else None


def _verify(where: Path, content: bytes, receipt: Mapping[str, Any]) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != receipt["sha256"]:
        raise InputError(
            where,
            expected=f"sha256 {receipt['sha256'][:12]}",
            found=f"sha256 {digest[:12]}",
            remedy=_REMEDY,
        )


def _read(bundle: Path, name: str, limit: int) -> bytes:
    _check_name(bundle, name)
    free = available_memory()
    if free is not None and limit > free:
        raise OutOfMemoryError(
            f"{bundle / name}: {size_text(limit)} do not fit into the available memory."
        )
    if bundle.is_dir():
        return _read_file(bundle, name, limit)
    if not bundle.is_file():
        raise InputError(
            bundle,
            expected="a model: a bundle folder, a run folder or a .segkit file",
            found="no such file or folder",
            remedy="'segkit models' lists the models that are found by name.",
        )
    return _read_zipped(bundle, name, limit)


def _check_name(bundle: Path, name: str) -> None:
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise InputError(
            bundle,
            expected="file names inside the bundle",
            found=repr(name),
            remedy="Do not use it.",
        )


def _read_file(bundle: Path, name: str, limit: int) -> bytes:
    path = bundle / name
    try:
        if os.path.realpath(path) != os.path.join(os.path.realpath(bundle), os.path.normpath(name)):
            raise _not_ordinary(path, "a link")
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise _not_ordinary(path, "a folder, pipe or device")
        size = status.st_size
        if size > limit:
            raise _too_large(path, limit, size)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise _missing(path) from error
    except PermissionError as error:
        raise _closed(path) from error
    except OSError as error:
        raise InputError(
            path, expected="a file to read", found=str(error), remedy=_REMEDY
        ) from error


def _not_ordinary(path: Path, found: str) -> InputError:
    return InputError(
        path,
        expected="an ordinary file inside the bundle",
        found=found,
        remedy="Copy the model with its files.",
    )


def _read_zipped(bundle: Path, name: str, limit: int) -> bytes:
    try:
        with zipfile.ZipFile(bundle) as archive:
            members = archive.infolist()
            for member in members:
                _check_name(bundle, member.filename)
            named = [member for member in members if member.filename == name]
            if len(named) != 1:
                raise _missing(bundle / name)
            if named[0].file_size > limit:
                raise _too_large(bundle / name, limit, named[0].file_size)
            _check_packing(bundle, named[0])
            with archive.open(named[0]) as packed:
                # Without the size more might be unpacked than the zip states.
                return packed.read(named[0].file_size)
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise _no_zip(bundle, error) from error


def _no_zip(bundle: Path, error: Exception) -> InputError:
    if isinstance(error, PermissionError):
        return _closed(bundle)
    return InputError(bundle, expected="a .segkit file (a zip)", found=str(error), remedy=_REMEDY)


def _check_packing(bundle: Path, member: zipfile.ZipInfo) -> None:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(
            bundle / member.filename,
            expected="a zip member that is stored or deflated",
            found=f"compression method {member.compress_type}",
            remedy="Pack the model again as a plain zip.",
        )
    if member.file_size > (1 << 20) + _RATIO * member.compress_size:
        raise InputError(
            bundle / member.filename,
            expected=f"at most {_RATIO} times its packed size",
            found=f"{size_text(member.file_size)} from {size_text(member.compress_size)}",
            remedy="Do not use it.",
        )


def _missing(path: Path) -> InputError:
    # A folder without a card is more likely to be, say, a dataset than a damaged model.
    remedy = _NO_MODEL if path.name == "bundle.json" else f"Is this a model? {_REMEDY}"
    return InputError(path, expected="a file of the bundle", found="none", remedy=remedy)


def _too_large(path: Path, limit: int, size: int) -> InputError:
    return InputError(
        path, expected=f"at most {size_text(limit)}", found=size_text(size), remedy=_REMEDY
    )


def _closed(path: Path) -> InputError:
    return InputError(
        path,
        expected="a file that this user may read",
        found="permission denied",
        remedy="Change the permissions of the model.",
    )
