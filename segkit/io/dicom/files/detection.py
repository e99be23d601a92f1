"""Find DICOM files by their content: single files, or files in a folder or zip.

A "DICOM path" is a file, a folder or a zip that holds DICOM. Scans in other formats have the
suffixes in `segkit.files.names.READABLE`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from segkit.errors import InputError
from segkit.files.names import DICOM, ENDING, READABLE, case_id, must_exist, natural_key, suffix_of
from segkit.files.unfetched import why_unfetched
from segkit.io.dicom.files.dicom_file import DicomFile
from segkit.io.dicom.files.zips import ZIP, members, unpacked

_PREAMBLE = 128
_START = _PREAMBLE + 4
_FIRST_BYTES = 512
"""Number of bytes at the start of a file that are read to recognize its type."""
_NOT_FILES = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a link to a folder, which is not followed",
}
"""Entries of a folder that are not regular files; opening a pipe would wait forever."""
CLOSED = "a folder that cannot be read"
NO_FILES = {*_NOT_FILES.values(), CLOSED}
OTHER_CONTENT = "no DICOM"
EMPTY = "empty"


def is_dicom(path: Path) -> bool:
    """Return whether ``path`` is a DICOM file, a zip, or a folder of DICOM files.

    A folder counts as DICOM if a DICOM file lies directly in it; or if no scan in another format
    does, and a DICOM file, or a file with the suffix .dcm, lies anywhere below it.
    """
    if os.path.isdir(path):
        return _is_dicom_folder(path)
    if suffix_of(path) in (ZIP, DICOM):
        return True
    return suffix_of(path) not in READABLE and os.path.isfile(path) and is_dicom_file(path)


def scan_name(path: Path) -> str:
    """Return the name of a scan: the name of its folder, or of its file without the suffix."""
    if os.path.isdir(path):
        return path.resolve().name
    return path.name[: -len(path.suffix)] if suffix_of(path) in (DICOM, ZIP) else case_id(path)


def dicom_files(path: Path) -> list[DicomFile]:
    """Return all DICOM files of a file, folder or zip, in natural order.

    Raises:
        InputError: there is no such file, no DICOM in it, or a zip that cannot be trusted.
    """
    files = [file for file, problem in files_of(path).items() if not problem]
    if not files:
        raise InputError(
            path,
            expected="DICOM",
            found="no file that begins as DICOM does",
            remedy=no_dicom_remedy(path),
        )
    return files


def no_dicom_remedy(path: Path) -> str:
    """Return the remedy for a file, folder or zip without DICOM."""
    if suffix_of(path) == ZIP:
        return "A zip may hold DICOM only: unpack it, and give its scans."
    return "Check that this is the right file or folder, and that it is complete."


def files_of(path: Path) -> dict[DicomFile, str]:
    """Return all files of a file, folder or zip in natural order, each with why it is not DICOM.

    The reason is "" for a DICOM file.

    Raises:
        InputError: there is no such file, or a zip that cannot be trusted.
    """
    if os.path.isdir(path):
        problems = {DicomFile(inside): problem for inside, problem in _inspected(path)}
    else:
        must_exist(path)
        is_zip = suffix_of(path) == ZIP
        problems = _inspected_members(path) if is_zip else {DicomFile(path): problem_of(path)}
    return {file: problems[file] for file in sorted(problems, key=lambda file: file.key)}


def _inspected(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each entry of a folder at any depth, and why it is not DICOM."""
    errors: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=errors.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in [*names, *links]:
            if not is_ignored(name):
                path = Path(parent, name)
                yield path, problem_of(path)
    for error in errors:
        yield Path(error.filename), CLOSED


def problem_of(path: Path) -> str:
    """Return why a file is not DICOM, or "" for a DICOM file."""
    try:
        kind = stat.S_IFMT(path.stat().st_mode)
        if kind != stat.S_IFREG:
            return _NOT_FILES.get(kind, OTHER_CONTENT)
        with path.open("rb") as file:
            problem = _problem_of_start(file.read(_FIRST_BYTES))
    except OSError as error:
        return why_unfetched(path) or f"unreadable: {error.strerror}"
    return why_unfetched(path) or problem if problem == OTHER_CONTENT else problem


def _problem_of_start(start: bytes) -> str:
    if looks_like_dicom(start[:_START]):
        return ""
    if not start:
        return EMPTY
    is_html = re.match(rb"\s*<(!doctype|html)", start, re.IGNORECASE)
    return "an HTML page" if is_html else OTHER_CONTENT


def looks_like_dicom(start: bytes) -> bool:
    """Return whether a file with these first 132 bytes is DICOM.

    It has the prefix DICM after the preamble, or begins with a data element, as old files do.

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


def is_dicom_file(path: Path) -> bool:
    """Return whether a file begins as DICOM does; False if it cannot be read."""
    return not problem_of(path)


def _is_dicom_folder(folder: Path) -> bool:
    files = [path for path in children(folder) if path.is_file()]
    if any(is_dicom_file(path) for path in files if suffix_of(path) not in READABLE):
        return True
    return not holds_other_scans(folder) and any(
        suffix_of(path) == DICOM or is_dicom_file(path) for path in files_below(folder)
    )


def children(folder: Path) -> list[Path]:
    """Return the entries directly inside a folder in natural order, without ignored ones.

    The result is empty for a folder that cannot be read; reading its scans raises the error.
    """
    try:
        paths = [path for path in folder.iterdir() if not is_ignored(path.name)]
    except OSError:
        return []
    return sorted(paths, key=lambda path: natural_key(path.name))


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder at any depth, without ignored ones."""
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not is_ignored(name):
                yield Path(parent, name)


def holds_other_scans(folder: Path) -> bool:
    """Return whether a folder directly holds scans in other formats, except output of predict."""
    return any(
        suffix_of(path) in READABLE and path.is_file() and not _is_output(path, folder)
        for path in children(folder)
    )


def _is_output(path: Path, folder: Path) -> bool:
    """Return whether a file is output of predict for the folder that holds it, or a part of it."""
    parts = [path for path in children(folder) if path.is_dir() or suffix_of(path) == ZIP]
    scan, ending, _ = path.name.rpartition(ENDING)
    return bool(ending) and any(
        f"{scan}_".startswith(f"{scan_name(part)}_") for part in (folder, *parts)
    )


def is_ignored(name: str) -> bool:
    """Return whether a file is never a scan: a hidden file, or DICOMDIR, an index of the others."""
    return name.startswith(".") or name == "DICOMDIR"


def _inspected_members(path: Path) -> dict[DicomFile, str]:
    """Return the members of a zip, each with why it is not DICOM."""
    files = [
        DicomFile(path, info.filename)
        for info in members(path)
        if not _is_ignored_member(info.filename)
    ]
    return {file: _problem_of_start(unpacked(path, file.member, _FIRST_BYTES)) for file in files}


def _is_ignored_member(name: str) -> bool:
    return is_ignored(PurePosixPath(name).name) or "__MACOSX" in PurePosixPath(name).parts
