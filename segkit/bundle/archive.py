"""Reading single files of a bundle, from its folder or its zip, without trusting who made it."""

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
"""A zip member that unpacks to more than this many times its size is no model; weights hardly shrink at all."""
_NO_MODEL = (
    "Is this a model? Give the folder of a run or bundle, or a .segkit file. "
    "A dataset is looked at by 'segkit check', a damaged model must be copied or exported again."
)
_REMEDY = "The model is damaged or was changed: copy or export it again."


def read_object(place: Path, name: str, receipt: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A JSON object of the bundle.

    Raises:
        InputError: missing, larger than JSON_BYTES, other than its receipt says, or not a JSON object.
    """
    content = _read(place, name, JSON_BYTES)
    if receipt is not None:
        _verify(place / name, content, receipt)
    return json_object(place / name, content, expected="JSON", remedy=_REMEDY)


def read_member(place: Path, name: str, receipt: Mapping[str, Any]) -> bytes:
    """The content of a file whose size and sha256 are those of its receipt.

    Raises:
        InputError: missing, an unsafe name, or other content.
        OutOfMemoryError: larger than the memory there is.
    """
    content = _read(place, name, int(receipt["bytes"]))
    _verify(place / name, content, receipt)
    return content


def _verify(where: Path, content: bytes, receipt: Mapping[str, Any]) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != receipt["sha256"]:
        raise InputError(
            where,
            expected=f"sha256 {receipt['sha256'][:12]}",
            found=f"sha256 {digest[:12]}",
            remedy=_REMEDY,
        )


def _read(place: Path, name: str, limit: int) -> bytes:
    _check_name(place, name)
    free = available_memory()
    if free is not None and limit > free:
        raise OutOfMemoryError(
            f"{place / name}: {size_text(limit)} do not fit into the memory there is."
        )
    if place.is_dir():
        return _read_file(place, name, limit)
    if not place.is_file():
        raise InputError(
            place,
            expected="a model: a bundle folder, a run folder or a .segkit file",
            found="no such file or folder",
            remedy="'segkit models' lists the models that are found by name.",
        )
    return _read_zipped(place, name, limit)


def _check_name(place: Path, name: str) -> None:
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.drive or windows.root or ".." in windows.parts:
        raise InputError(
            place,
            expected="file names inside the bundle",
            found=repr(name),
            remedy="Do not use it.",
        )


def _read_file(place: Path, name: str, limit: int) -> bytes:
    path = place / name
    try:
        if os.path.realpath(path) != os.path.join(os.path.realpath(place), os.path.normpath(name)):
            raise _no_file(path, "a link")
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise _no_file(path, "a folder, pipe or device")
        size = found.st_size
        if size > limit:
            raise _too_large(path, limit, size)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise _missing(path) from error
    except OSError as error:
        raise InputError(
            path, expected="a file to read", found=str(error), remedy=_REMEDY
        ) from error


def _no_file(path: Path, found: str) -> InputError:
    return InputError(
        path,
        expected="an ordinary file inside the bundle",
        found=found,
        remedy="Copy the model with its files.",
    )


def _read_zipped(place: Path, name: str, limit: int) -> bytes:
    try:
        with zipfile.ZipFile(place) as archive:
            members = archive.infolist()
            for member in members:
                _check_name(place, member.filename)
            found = [member for member in members if member.filename == name]
            if len(found) != 1:
                raise _missing(place / name)
            if found[0].file_size > limit:
                raise _too_large(place / name, limit, found[0].file_size)
            _check_packing(place, found[0])
            with archive.open(found[0]) as packed:
                return packed.read(
                    found[0].file_size
                )  # a size: without it more may be unpacked than was promised
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise InputError(
            place, expected="a .segkit file (a zip)", found=str(error), remedy=_REMEDY
        ) from error


def _check_packing(place: Path, member: zipfile.ZipInfo) -> None:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InputError(
            place / member.filename,
            expected="a zip member that is stored or deflated",
            found=f"compression method {member.compress_type}",
            remedy="Pack the model again as a plain zip.",
        )
    if member.file_size > (1 << 20) + _RATIO * member.compress_size:
        raise InputError(
            place / member.filename,
            expected=f"at most {_RATIO} times its packed size",
            found=f"{size_text(member.file_size)} from {size_text(member.compress_size)}",
            remedy="Do not use it.",
        )


def _missing(path: Path) -> InputError:
    # Without the card it is more likely another folder, such as a dataset, than a damaged model.
    remedy = _NO_MODEL if path.name == "bundle.json" else f"Is this a model? {_REMEDY}"
    return InputError(path, expected="a file of the bundle", found="none", remedy=remedy)


def _too_large(path: Path, limit: int, size: int) -> InputError:
    return InputError(
        path, expected=f"at most {size_text(limit)}", found=size_text(size), remedy=_REMEDY
    )
