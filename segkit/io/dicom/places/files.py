"""Which files are DICOM, in a folder, in a zip or alone: told by their content, never by their names.

A zip is read member by member into memory and never unpacked to a disk.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from segkit.errors import InputError
from segkit.files.names import DICOM, ENDING, READABLE, case_id, must_exist, natural_key, suffix_of
from segkit.files.unfetched import why_unfetched
from segkit.io.dicom.places.zips import ZIP, member_size, members, unpacked

_PREAMBLE = 128
_START = _PREAMBLE + 4
_LOOKED_AT = 512
"""Bytes at the start of a file that tell what it is."""
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a link to a folder, which is not followed",
}
"""What a name in a folder may stand for that is no file; opening a pipe would wait for ever."""
CLOSED = "a folder that cannot be read"
NO_FILES = {*_KINDS.values(), CLOSED}
OTHER_CONTENT = "no DICOM"
EMPTY = "empty"


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
        return (
            str(PurePosixPath(self.member).parent) if self.member else self.path.parent.as_posix()
        )

    @cached_property
    def key(self) -> tuple[Any, Any]:
        """Its place in natural order, folder by folder."""
        return natural_key(self.folder), natural_key(self.name)

    def read(self) -> bytes:
        """All bytes.

        Raises:
            InputError: the file cannot be read, or a member is damaged.
        """
        with self.open() as file:
            return file.read()

    def open(self, limit: int | None = None) -> IO[bytes]:
        """The file for reading, with seek; a member is read into memory, up to ``limit`` bytes of it.

        Raises:
            InputError: as `read`.
        """
        return (
            BytesIO(unpacked(self.path, self.member, limit)) if self.member else _opened(self.path)
        )

    @property
    def size(self) -> int:
        """Bytes, of a member as the zip promises them unpacked."""
        return member_size(self.path, self.member) if self.member else self.path.stat().st_size


def is_dicom_place(path: Path) -> bool:
    """Whether ``path`` is a DICOM file, a zip, or a folder of DICOM files.

    A folder is one of DICOM where a DICOM file lies right in it, or where it holds no scan of another format and a
    DICOM file, or one that is called so, lies anywhere below.
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
    found = [file for file, problem in files_of(place).items() if not problem]
    if not found:
        raise InputError(
            place,
            expected="DICOM",
            found="no file that begins as DICOM does",
            remedy="Is it the right file or folder, and complete?",
        )
    return found


def files_of(place: Path) -> dict[DicomFile, str]:
    """All files of a place in natural order, each with why it is no DICOM: nothing where it is.

    Raises:
        InputError: no such file, or a zip that cannot be trusted.
    """
    if os.path.isdir(place):
        found = {DicomFile(path): problem for path, problem in _looked_at(place)}
    else:
        must_exist(place)
        found = (
            _members(place) if suffix_of(place) == ZIP else {DicomFile(place): problem_of(place)}
        )
    order = sorted(found, key=lambda file: file.key)
    return {file: found[file] for file in order}


def _looked_at(folder: Path) -> Iterator[tuple[Path, str]]:
    """What stands at any depth of a folder, and why it is no DICOM."""
    unread: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=unread.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for path in (Path(place, name) for name in [*names, *links] if not is_beside(name)):
            yield path, problem_of(path)
    for error in unread:
        yield Path(error.filename), CLOSED


def problem_of(path: Path) -> str:
    """Why a file is no DICOM; empty where it is."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind != stat.S_IFREG:
            return _KINDS.get(kind, OTHER_CONTENT)
        with path.open("rb") as file:
            problem = _problem_of_start(file.read(_LOOKED_AT))
    except OSError as error:
        return why_unfetched(path) or f"unreadable: {error.strerror}"
    return why_unfetched(path) or problem if problem == OTHER_CONTENT else problem


def _problem_of_start(start: bytes) -> str:
    if looks_like_dicom(start[:_START]):
        return ""
    if not start:
        return EMPTY
    return (
        "an HTML page" if re.match(rb"\s*<(!doctype|html)", start, re.IGNORECASE) else OTHER_CONTENT
    )


def looks_like_dicom(start: bytes) -> bool:
    """Whether a file with these first bytes is DICOM: with the word DICM, or as old files begin without it.

    >>> looks_like_dicom(bytes(128) + b"DICM"), looks_like_dicom(b"{}")
    (True, False)
    """
    if start[_PREAMBLE:_START] == b"DICM":
        return True
    # An element of group 2 or 8, then its VR in two capitals, or a length below 64 kB.
    return (
        len(start) == _START
        and re.match(rb"[\x02\x08]\x00.\x00([A-Z]{2}|..\x00\x00)", start, re.DOTALL) is not None
    )


def _is_dicom_folder(folder: Path) -> bool:
    files = [path for path in children(folder) if path.is_file()]
    if any(is_dicom_file(path) for path in files if suffix_of(path) not in READABLE):
        return True
    below = files_below(folder)
    return not holds_other_scans(folder) and any(
        suffix_of(path) == DICOM or is_dicom_file(path) for path in below
    )


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
        suffix_of(path) in READABLE and path.is_file() and not _is_own(path, folder)
        for path in children(folder)
    )


def _is_own(path: Path, folder: Path) -> bool:
    """Whether predict wrote a file when it was called inside of the folder, for all of it or for one of its parts."""
    parts = [
        folder,
        *(each for each in children(folder) if each.is_dir() or suffix_of(each) == ZIP),
    ]
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
    return not problem_of(path)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        found = "no such file" if isinstance(error, FileNotFoundError) else str(error.strerror)
        raise InputError(
            path, expected="a file that can be read", found=found, remedy="Check the path."
        ) from error


def _members(path: Path) -> dict[DicomFile, str]:
    kept = [
        DicomFile(path, info.filename)
        for info in members(path)
        if not _is_beside_member(info.filename)
    ]
    return {file: _problem_of_start(unpacked(path, file.member, _LOOKED_AT)) for file in kept}


def _is_beside_member(name: str) -> bool:
    return is_beside(PurePosixPath(name).name) or "__MACOSX" in PurePosixPath(name).parts
