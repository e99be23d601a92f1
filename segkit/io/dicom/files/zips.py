"""Read zips safely: member by member into memory, and never more than the size stated in the zip.

Nothing is extracted to disk.
"""

from __future__ import annotations

import zipfile
import zlib
from functools import lru_cache
from pathlib import Path, PureWindowsPath

from segkit.errors import InputError
from segkit.io.limits import check_memory

ZIP = ".zip"
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError, ValueError)
"""Exceptions that reading a zip can raise."""
_LARGEST_RATIO = 1032
"""Largest compression ratio of DEFLATE; a zip that states a larger one has overlapping members."""
_CHUNK, _SMALL_CHUNK = 1 << 20, 1 << 12
"""Number of bytes to decompress in one step.

The small step is for methods other than DEFLATE, whose decompressors do not limit their output.
"""


def members(path: Path) -> list[zipfile.ZipInfo]:
    """Return the files in a zip.

    Raises:
        InputError: the file is not a zip, or has members that cannot be trusted.
    """
    infos = [info for info in _zip(path, _modified(path)).infolist() if not info.is_dir()]
    for info in infos:
        name = info.filename
        if (
            name.startswith(("/", "\\"))
            or PureWindowsPath(name).drive
            or ".." in PureWindowsPath(name).parts
        ):
            raise _bad_zip(path, f"the member {name!r}, whose path leads outside the zip")
        if info.flag_bits & 1:
            raise _bad_zip(path, f"the member {name!r}, which is encrypted")
    stated = sum(info.file_size for info in infos)
    if stated > _LARGEST_RATIO * path.stat().st_size:
        raise _bad_zip(path, f"a zip of {path.stat().st_size} bytes that claims to hold {stated}")
    return infos


def member_size(path: Path, name: str) -> int:
    """Return the uncompressed size of a member in bytes, as stated in the zip."""
    return _zip(path, _modified(path)).getinfo(name).file_size


def unpacked(path: Path, name: str, limit: int | None = None) -> bytes:
    """Return the first ``limit`` bytes of a member, or all of it.

    Raises:
        InputError: the member does not exist, is damaged or does not fit into memory.
    """
    where = f"{path}:{name}"
    archive = _zip(path, _modified(path))
    try:
        info = archive.getinfo(name)
        size = info.file_size if limit is None else min(limit, info.file_size)
        check_memory(where, size)
        return _first_bytes(archive, info, size)
    except (KeyError, *_DAMAGED) as error:
        raise _bad_zip(where, str(error)) from error


def _first_bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> bytes:
    known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    step = _CHUNK if known else _SMALL_CHUNK
    content = bytearray()
    with archive.open(info) as packed:
        while len(content) < size:
            chunk = packed.read(min(step, size - len(content)))
            if not chunk:
                raise EOFError(f"only {len(content)} of {info.file_size} bytes")
            content += chunk
    return bytes(content)


# Cached, because a zip has a long directory, which would be read each time a member is opened. The
# modification time is part of the cache key, so that a replaced file is read again.
@lru_cache(maxsize=1)
def _zip(path: Path, modified: int) -> zipfile.ZipFile:  # noqa: ARG001
    try:
        return zipfile.ZipFile(path)
    except _DAMAGED as error:
        raise _bad_zip(path, str(error)) from error


def _modified(path: Path) -> int:
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
