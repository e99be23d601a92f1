"""Which parts of a folder are scans of their own: several studies in subfolders, and zips."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from segkit.errors import UsageError
from segkit.files.names import suffix_of
from segkit.files.unfetched import why_unfetched
from segkit.io.dicom import module_of
from segkit.io.dicom.places.files import (
    DicomFile,
    children,
    files_below,
    holds_other_scans,
    is_dicom_file,
    is_dicom_place,
    place_id,
    problem_of,
)
from segkit.io.dicom.places.zips import ZIP
from segkit.io.dicom.series.lost_files import is_called_slice, looks_like_slice


def scan_places(folder: Path) -> dict[str, Path]:
    """The parts of a folder that are places of DICOM, by names for files; nothing where it is one scan, or holds none.

    A folder is taken apart where its subfolders hold more than one study, or where a zip lies in it or in one of them;
    not where images of DICOM lie right in it, nor scans of another format. What was made from images, such as a SEG,
    counts for nothing. Names are those of the folders below ``folder``, joined by _.

    What lies beside such parts and looks like one that cannot be read, as a link to nothing, is a part as well.

    Raises:
        UsageError: the extra is not installed; or two parts of one name, which would have the same output.
    """
    if not os.path.isdir(folder) or holds_other_scans(folder):
        return {}
    if not is_dicom_place(folder) and not any(suffix_of(path) == ZIP for path in children(folder)):
        return {}
    parts = _parts(folder)
    return {} if parts in ([], [folder]) else _named(folder, parts)


def _named(folder: Path, parts: Sequence[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for part in parts:
        other = found.setdefault(_name(folder, part), part)
        if other is not part:
            raise UsageError(
                f"two scans are called {_name(folder, part)!r} and would have the same output: {other} and {part}. "
                "Rename one, or predict them one by one."
            )
    return found


def _parts(place: Path) -> list[Path]:
    """The place itself where it is one study, else its parts; nothing where no image is in it.

    A folder without any image that has files which look like some is a part as well: it has lost all that it had.
    """
    if not os.path.isdir(place):
        return [place]
    inside = children(place)
    if study_of(path for path in inside if path.is_file()):
        return [place]
    parts = [
        part for path in inside if path.is_dir() or suffix_of(path) == ZIP for part in _parts(path)
    ]
    if not parts:
        return [place] if _has_lost_images(inside) else []
    studies = {study_of(files_below(part)) for part in parts} - {None}
    apart = len(studies) > 1 or not all(part.is_dir() for part in parts)
    return [*parts, *filter(_is_lost, inside)] if apart else [place]


def _is_lost(path: Path) -> bool:
    """Whether a name beside studies stands for a folder that is not there, or for an image that cannot be read."""
    if path.is_dir() or suffix_of(path) == ZIP:
        return False  # parts or none by what is in them
    if why_unfetched(path) and not path.suffix:
        return True
    problem = problem_of(path)
    return (bool(problem) and is_called_slice(path.name)) or (
        problem == "empty" and looks_like_slice(path.name)
    )


def _has_lost_images(paths: Sequence[Path]) -> bool:
    """Whether a folder without images has files with the suffix of one, or only files with names as slices have."""
    files = [path for path in paths if not path.is_dir() and problem_of(path)]
    return any(is_called_slice(path.name) for path in files) or (
        bool(files) and all(looks_like_slice(path.name) for path in files)
    )


def study_of(files: Iterable[Path]) -> str | None:
    """The StudyInstanceUID of the first file that may be an image; None where there is none."""
    found = (
        module_of("series.study").study_uid(DicomFile(path))
        for path in files
        if is_dicom_file(path)
    )
    return next((uid for uid in found if uid), None)


def _name(folder: Path, part: Path) -> str:
    return "_".join([*part.relative_to(folder).parent.parts, place_id(part)])
