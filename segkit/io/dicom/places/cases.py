"""Which parts of a dataset's folder are DICOM: one for each case, whatever its name."""

from __future__ import annotations

import os
from pathlib import Path

from segkit.errors import InputError
from segkit.files.names import READABLE, suffix_of
from segkit.io.dicom.places.files import children, dicom_files, is_dicom_file, is_dicom_place
from segkit.io.dicom.places.zips import ZIP


def case_places(folder: Path) -> list[Path]:
    """Return the subfolders, zips and files directly inside ``folder`` that hold DICOM, in natural order."""
    return [path for path in children(folder) if _is_case(path)]


def _is_case(path: Path) -> bool:
    if os.path.isdir(path):
        return is_dicom_place(path)
    if suffix_of(path) == ZIP:
        return _holds_dicom(path)
    return suffix_of(path) not in READABLE and is_dicom_file(path)


def _holds_dicom(archive: Path) -> bool:
    """Whether a zip holds DICOM; another zip beside the scans is none of the dataset's."""
    try:
        return bool(dicom_files(archive))
    except InputError:
        return False
