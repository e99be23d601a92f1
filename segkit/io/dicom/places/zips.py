"""Zips, read with suspicion: member by member into memory, never to a disk, and never more than a member promises."""

from __future__ import annotations

import zipfile
import zlib
from functools import lru_cache
from pathlib import Path, PureWindowsPath

from segkit.errors import InputError
from segkit.io.limits import check_memory

ZIP = ".zip"
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError, ValueError)
"""What reading a zip can raise."""
_LARGEST_RATIO = 1032
"""Of unpacked to packed bytes that DEFLATE can reach; a zip that promises more has members that overlap."""
_STEP, _SHORT_STEP = 1 << 20, 1 << 12
"""Bytes that are unpacked at once; the methods other than DEFLATE unpack whatever their packed bytes give."""


def members(path: Path) -> list[zipfile.ZipInfo]:
    """Return the files in a zip.

    Raises:
        InputError: no zip, or one with members that cannot be trusted.
    """
    infos = [info for info in _zip(path, _stamp(path)).infolist() if not info.is_dir()]
    for info in infos:
        name = info.filename
        if (
            name.startswith(("/", "\\"))
            or PureWindowsPath(name).drive
            or ".." in PureWindowsPath(name).parts
        ):
            raise _bad_zip(path, f"the member {name!r}, which leads out of it")
        if info.flag_bits & 1:
            raise _bad_zip(path, f"the member {name!r}, which is encrypted")
    promised = sum(info.file_size for info in infos)
    if promised > _LARGEST_RATIO * path.stat().st_size:
        raise _bad_zip(path, f"{promised} bytes promised by a file of {path.stat().st_size}")
    return infos


def member_size(path: Path, name: str) -> int:
    """Return bytes of a member, unpacked, as the zip promises them."""
    return _zip(path, _stamp(path)).getinfo(name).file_size


def unpacked(path: Path, name: str, limit: int | None = None) -> bytes:
    """Return the first ``limit`` bytes of a member, or all of it.

    Raises:
        InputError: a member that does not exist, is damaged or does not fit into the memory.
    """
    where = f"{path}:{name}"
    archive = _zip(path, _stamp(path))
    try:
        info = archive.getinfo(name)
        size = info.file_size if limit is None else min(limit, info.file_size)
        check_memory(where, size)
        return _first_bytes(archive, info, size)
    except (KeyError, *_DAMAGED) as error:
        raise _bad_zip(where, str(error)) from error


def _first_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> bytes:
    step = (
        _STEP if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) else _SHORT_STEP
    )
    found = bytearray()
    with archive.open(info) as packed:
        while len(found) < size and (part := packed.read(min(step, size - len(found)))):
            found += part
    if len(found) < size:
        raise EOFError(f"{len(found)} bytes where {info.file_size} were promised")
    return bytes(found)


@lru_cache(maxsize=1)  # its directory is long, and read with every opening
def _zip(path: Path, stamp: int) -> zipfile.ZipFile:  # noqa: ARG001 (the stamp tells a file that was replaced)
    try:
        return zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise _bad_zip(path, str(error)) from error


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise _bad_zip(path, str(error.strerror)) from error


def _bad_zip(where: object, found: str) -> InputError:
    return InputError(
        str(where),
        expected="a plain zip of DICOM files",
        found=found or "a damaged one",
        remedy="Unpack it yourself if you trust it, and give the folder; or copy it again.",
    )
