"""Which files are DICOM, in a folder, in a zip or alone: told by their content, never by their names.

A zip is read member by member into memory and never unpacked to a disk.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from segkit.errors import InputError
from segkit.file_names import DICOM, ENDING, READABLE, case_id, must_exist, natural_key, suffix_of
from segkit.io.limits import check_memory

ZIP = ".zip"
_PREAMBLE = 128
_START = _PREAMBLE + 4
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError, ValueError)
"""What reading a zip can raise."""
_LARGEST_RATIO = 1032
"""Of unpacked to packed bytes that DEFLATE can reach; a zip that promises more has members that overlap."""


@dataclass(frozen=True)
class DicomFile:
    """A file, or a member of a zip."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    @property
    def name(self) -> str:
        """Without its folders."""
        return PurePosixPath(self.member).name if self.member else self.path.name

    @property
    def folder(self) -> str:
        """Where it lies, with / between the folders."""
        return str(PurePosixPath(self.member).parent) if self.member else self.path.parent.as_posix()

    def read(self) -> bytes:
        """All bytes.

        Raises:
            InputError: the file cannot be read, or a member is damaged.
        """
        with self.open() as file:
            return file.read()

    def open(self) -> IO[bytes]:
        """The file for reading, with seek; a member is read into memory, once its size is known to fit.

        Raises:
            InputError: as `read`.
        """
        if not self.member:
            return _opened(self.path)
        archive = _zip(self.path, _stamp(self.path))
        try:
            info = archive.getinfo(self.member)
            check_memory(str(self), info.file_size)
            return BytesIO(archive.read(info))
        except (KeyError, *_DAMAGED) as error:
            raise _bad_zip(self, str(error)) from error


def is_dicom_place(path: Path) -> bool:
    """Whether ``path`` is a DICOM file, a zip, or a folder of DICOM files.

    A folder is one of DICOM where a DICOM file lies right in it, or where it holds no scan of another format and a
    DICOM file lies anywhere below.
    """
    if os.path.isdir(path):
        return _is_dicom_folder(path)
    if suffix_of(path) in (ZIP, DICOM):
        return True
    return suffix_of(path) not in READABLE and os.path.isfile(path) and is_dicom_file(path)


def place_id(place: Path) -> str:
    """The name of a scan: of a folder its name, of a file its name without suffix."""
    if os.path.isdir(place):
        return place.resolve().name
    return place.name[: -len(place.suffix)] if suffix_of(place) in (DICOM, ZIP) else case_id(place)


def dicom_files(place: Path) -> list[DicomFile]:
    """All DICOM files of a place, in natural order.

    Raises:
        InputError: no such file, none of DICOM, or a zip that cannot be trusted.
    """
    if not os.path.isdir(place):
        must_exist(place)
    if os.path.isdir(place):
        found = [DicomFile(path) for path in files_below(place) if is_dicom_file(path)]
    elif suffix_of(place) == ZIP:
        found = _members(place)
    else:
        with _opened(place) as file:
            found = [DicomFile(place)] if looks_like_dicom(file.read(_START)) else []
    if not found:
        raise InputError(
            place,
            expected="DICOM",
            found="no file that begins as DICOM does",
            remedy="Is it the right file or folder, and complete?",
        )
    return sorted(found, key=lambda file: (natural_key(file.folder), natural_key(file.name)))


def looks_like_dicom(start: bytes) -> bool:
    """Whether a file with these first bytes is DICOM: with the word DICM, or as old files begin without it.

    >>> looks_like_dicom(bytes(128) + b"DICM"), looks_like_dicom(b"{}")
    (True, False)
    """
    if start[_PREAMBLE:_START] == b"DICM":
        return True
    # An element of group 2 or 8, then its VR in two capitals, or a length below 64 kB.
    return len(start) == _START and re.match(rb"[\x02\x08]\x00.\x00([A-Z]{2}|..\x00\x00)", start, re.DOTALL) is not None


def _is_dicom_folder(folder: Path) -> bool:
    files = [path for path in children(folder) if path.is_file()]
    if any(is_dicom_file(path) for path in files if suffix_of(path) not in READABLE):
        return True
    return not holds_other_scans(folder) and any(is_dicom_file(path) for path in files_below(folder))


def children(folder: Path) -> list[Path]:
    """What lies right in a folder, in natural order, without what is no scan; nothing where it cannot be read."""
    try:
        found = [path for path in folder.iterdir() if not is_beside(path.name)]
    except OSError:
        return []  # that is said where its scans are looked for
    return sorted(found, key=lambda path: natural_key(path.name))


def holds_other_scans(folder: Path) -> bool:
    """Whether scans of other formats lie right in a folder, which are not what predict wrote there."""
    return any(
        suffix_of(path) in READABLE and path.is_file() and not _is_own(path, folder) for path in children(folder)
    )


def _is_own(path: Path, folder: Path) -> bool:
    """Whether predict wrote a file when it was called inside of the folder, for all of it or for one of its parts."""
    parts = [folder, *(each for each in children(folder) if each.is_dir() or suffix_of(each) == ZIP)]
    scan, ending, _ = path.name.rpartition(ENDING)
    return bool(ending) and any(f"{scan}_".startswith(f"{place_id(part)}_") for part in parts)


def files_below(folder: Path) -> Iterator[Path]:
    """Files at any depth."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not is_beside(name):
                yield Path(place, name)


def is_beside(name: str) -> bool:
    """Whether a file is no scan: hidden files, and DICOMDIR, which only lists the others."""
    return name.startswith(".") or name == "DICOMDIR"


def is_dicom_file(path: Path) -> bool:
    """Whether a file begins as DICOM does; False for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return looks_like_dicom(file.read(_START))
    except OSError:
        return False


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
        raise InputError(path, expected="a file that can be read", found=found, remedy="Check the path.") from error


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


def _members(path: Path) -> list[DicomFile]:
    archive = _zip(path, _stamp(path))
    infos = [info for info in archive.infolist() if not info.is_dir()]
    _check_members(path, infos)
    return [DicomFile(path, info.filename) for info in infos if _is_dicom_member(archive, info)]


def _check_members(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    for info in infos:
        name = info.filename
        if name.startswith(("/", "\\")) or PureWindowsPath(name).drive or ".." in PureWindowsPath(name).parts:
            raise _bad_zip(path, f"the member {name!r}, which leads out of it")
        if info.flag_bits & 1:
            raise _bad_zip(path, f"the member {name!r}, which is encrypted")
    promised = sum(info.file_size for info in infos)
    if promised > _LARGEST_RATIO * path.stat().st_size:
        raise _bad_zip(path, f"{promised} bytes promised by a file of {path.stat().st_size}")


def _is_dicom_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(info.filename).name
    if is_beside(name) or "__MACOSX" in PurePosixPath(info.filename).parts:
        return False
    try:
        with archive.open(info) as file:
            return looks_like_dicom(file.read(_START))
    except _DAMAGED as error:
        raise _bad_zip(f"{archive.filename}:{info.filename}", str(error)) from error


def _bad_zip(where: object, found: str) -> InputError:
    return InputError(
        str(where),
        expected="a plain zip of DICOM files",
        found=found or "a damaged one",
        remedy="Unpack it yourself if you trust it, and give the folder; or copy it again.",
    )
