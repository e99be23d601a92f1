"""Find the DICOM scans in a folder: the cases of a dataset, or the studies to predict."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from segkit.errors import InputError, UsageError
from segkit.files.names import READABLE, suffix_of
from segkit.files.unfetched import why_unfetched
from segkit.io.dicom import dicom_module
from segkit.io.dicom.files.detection import (
    EMPTY,
    children,
    dicom_files,
    files_below,
    holds_other_scans,
    is_dicom,
    is_dicom_file,
    problem_of,
    scan_name,
)
from segkit.io.dicom.files.dicom_file import DicomFile
from segkit.io.dicom.files.zips import ZIP
from segkit.io.dicom.series.lost_files import has_slice_suffix, looks_like_slice


def dicom_cases(folder: Path) -> list[Path]:
    """Return the subfolders, zips and files directly inside a folder that hold DICOM.

    Each is one case of a dataset; they are sorted in natural order.
    """
    return [path for path in children(folder) if _is_case(path)]


def _is_case(path: Path) -> bool:
    if os.path.isdir(path):
        return is_dicom(path)
    if suffix_of(path) == ZIP:
        return _zip_holds_dicom(path)
    return suffix_of(path) not in READABLE and is_dicom_file(path)


def _zip_holds_dicom(archive: Path) -> bool:
    try:
        return bool(dicom_files(archive))
    except InputError:
        return False  # a zip next to the scans that is not part of the dataset


def study_parts(folder: Path) -> dict[str, Path]:
    """Return the parts of a folder that are separate scans, keyed by names for output files.

    The result is empty for a folder that is one scan or holds no DICOM. A folder is split into
    parts if its subfolders hold more than one study, or if it or one of them holds a zip. It is not
    split if DICOM images, or scans in another format, lie directly in it. Derived objects such as
    a DICOM-SEG do not count. A name consists of the folders below ``folder``, joined by
    underscores.

    An entry next to such parts that looks like a part but cannot be read, such as a broken link, is
    returned too, so that its error is reported.

    Raises:
        UsageError: the extra is not installed, or two parts have the same name and would share an
            output file.
    """
    if not os.path.isdir(folder) or holds_other_scans(folder):
        return {}
    if not is_dicom(folder) and not any(suffix_of(path) == ZIP for path in children(folder)):
        return {}
    parts = _parts(folder)
    return {} if parts in ([], [folder]) else _named(folder, parts)


def _named(folder: Path, parts: Sequence[Path]) -> dict[str, Path]:
    by_name: dict[str, Path] = {}
    for part in parts:
        name = _name(folder, part)
        if name in by_name:
            raise UsageError(
                f"two scans are called {name!r} and would have the same output: "
                f"{by_name[name]} and {part}. Rename one, or predict them one by one."
            )
        by_name[name] = part
    return by_name


def _name(folder: Path, part: Path) -> str:
    return "_".join([*part.relative_to(folder).parent.parts, scan_name(part)])


def _parts(path: Path) -> list[Path]:
    """Return the parts of a path: the path itself if it is one study, [] if it holds no images.

    A folder whose images are all unreadable, with files that only look like images, is a part too.
    """
    if not os.path.isdir(path):
        return [path]
    inside = children(path)
    if study_of(child for child in inside if child.is_file()):
        return [path]
    parts = [
        part
        for child in inside
        if child.is_dir() or suffix_of(child) == ZIP
        for part in _parts(child)
    ]
    if not parts:
        return [path] if _has_lost_images(inside) else []
    studies = {study_of(files_below(part)) for part in parts} - {None}
    if len(studies) > 1 or not all(part.is_dir() for part in parts):
        return [*parts, *filter(_is_lost_part, inside)]
    return [path]


def _is_lost_part(path: Path) -> bool:
    """Return whether an entry is a broken link to a folder, or an image that cannot be read."""
    if path.is_dir() or suffix_of(path) == ZIP:
        return False  # whether these are parts depends on their content
    if why_unfetched(path) and not path.suffix:
        return True
    problem = problem_of(path)
    if problem and has_slice_suffix(path.name):
        return True
    return problem == EMPTY and looks_like_slice(path.name)


def _has_lost_images(paths: Sequence[Path]) -> bool:
    """Return whether a folder without readable images has files that are named like images.

    One file with an image suffix is enough; otherwise all files must be named like slices.
    """
    files = [path for path in paths if not path.is_dir() and problem_of(path)]
    if any(has_slice_suffix(path.name) for path in files):
        return True
    return bool(files) and all(looks_like_slice(path.name) for path in files)


def study_of(files: Iterable[Path]) -> str | None:
    """Return the StudyInstanceUID of the first image among the files, or None if there is none."""
    for path in files:
        if is_dicom_file(path):
            uid: str | None = dicom_module("series.study").study_uid(DicomFile(path))
            if uid:
                return uid
    return None
