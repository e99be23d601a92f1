"""Find the label maps in a folder by case id, and choose among several formats of one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from segkit.errors import first_few
from segkit.files.names import (
    BESIDE,
    DICOM,
    PICTURE,
    RTSTRUCT,
    case_id,
    must_exist,
    readable_files,
    scan_paths,
    suffix_of,
)

log = logging.getLogger(__name__)


def files_by_case(predictions: Path) -> dict[str, list[Path]]:
    """Return the files of each case id; a folder may hold previews next to the label maps."""
    if predictions.is_dir():
        paths = [*readable_files(predictions), *_dicom_files(predictions)]
    else:
        must_exist(predictions)
        paths = [predictions]
    files: dict[str, list[Path]] = {}
    for path in paths:
        files.setdefault(case_id(path), []).append(path)
    return files


def label_files(references: Path) -> list[Path]:
    """Return the label maps in a folder, or the one file."""
    dicom_files = _dicom_files(references) if references.is_dir() else []
    if dicom_files:
        return [*readable_files(references), *dicom_files]
    return scan_paths(references)


def references_by_case(references: Path) -> dict[str, Path]:
    """Return the reference of each case id: a volume or DICOM-SEG rather than a picture.

    A warning names the cases with several, of which the first by name is used.
    """
    files: dict[str, list[Path]] = {}
    for path in label_files(references):
        files.setdefault(case_id(path), []).append(path)
    found = {
        case: [path for path in paths if suffix_of(path) not in PICTURE] or paths
        for case, paths in files.items()
    }
    several = [f"{paths[0].name} of {len(paths)}" for paths in found.values() if len(paths) > 1]
    if several:
        log.warning(
            "%s: %d of the cases have several references, of which one is used: %s",
            references,
            len(several),
            first_few(several),
        )
    return {case: paths[0] for case, paths in found.items()}


def _dicom_files(folder: Path) -> list[Path]:
    """Return the DICOM-SEG files in a folder: .dcm files that are not an RTSTRUCT of predict."""
    return sorted(
        path
        for path in folder.iterdir()
        if suffix_of(path) == DICOM
        and path.is_file()
        and not path.name.startswith(".")
        and not path.stem.endswith(RTSTRUCT)
    )


def is_beside(case: str, cases: Collection[str]) -> bool:
    """Return whether a file's name shows that it accompanies the label map of another case."""
    return any(case.endswith(end) and case.removesuffix(end) in cases for end in BESIDE)


def is_named_beside(case: str) -> bool:
    """Return whether a file is named as those that predict writes beside a label map.

    >>> is_named_beside("a_uncertainty"), is_named_beside("a")
    (True, False)
    """
    return case.endswith(BESIDE)


def best_format(files: Sequence[Path], reference: Path) -> Path:
    """Return the file with the reference's suffix, else a volume, a DICOM-SEG, or a picture.

    A picture comes last because it may be a preview.
    """
    same = [path for path in files if suffix_of(path) == suffix_of(reference)]
    volumes = [path for path in files if suffix_of(path) not in (*PICTURE, DICOM)]
    dicom = [path for path in files if suffix_of(path) == DICOM]
    return [*same, *volumes, *dicom, *files][0]
