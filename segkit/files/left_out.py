"""Notices of files in a folder that look like inputs but are not read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from segkit.errors import first_few
from segkit.files.names import PICTURE, READABLE, readable_files, suffix_of

SHOWN = 3
"""Number of files that a notice names."""
_FOREIGN_VOLUMES = (".mgz", ".mgh", ".img", ".mnc", ".gipl")
_FOREIGN_PICTURES = (".jpg", ".jpeg", ".jp2", ".gif", ".webp")
_WRAPPED = (".gz", ".bz2", ".xz", ".zst", ".part", ".crdownload", ".filepart")
"""Suffixes of files with an unsupported compression or an incomplete download."""


def foreign_files(folder: Path) -> list[Path]:
    """Return the images directly inside ``folder`` in unsupported formats, sorted by name."""
    files = sorted(
        path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith(".")
    )
    return [path for path in files if is_foreign(path)]


def is_foreign(path: Path) -> bool:
    """Return whether a file is, judging by its name, an image in an unsupported format.

    >>> [is_foreign(Path(name)) for name in ("a.mgz", "a.nii.bz2", "a.nii.gz", "notes.txt")]
    [True, True, False, False]
    """
    suffix = suffix_of(path)
    inner = suffix_of(path.name[: -len(suffix)]) if suffix in _WRAPPED else ""
    return suffix in (*_FOREIGN_VOLUMES, *_FOREIGN_PICTURES) or inner in READABLE


def foreign_scans(folder: Path, scans: Sequence[Path]) -> list[Path]:
    """Return the files in unsupported formats in ``folder`` that may be intended as scans.

    Pictures are included only if there are pictures among ``scans``.
    """
    pictures = any(suffix_of(path) in PICTURE for path in scans)
    return [
        path
        for path in foreign_files(folder)
        if pictures or suffix_of(path) not in _FOREIGN_PICTURES
    ]


def folders_with_scans(folder: Path) -> list[Path]:
    """Return the folders directly inside ``folder`` that hold files of a readable format."""
    subfolders = sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    return [
        path for path in subfolders if os.access(path, os.R_OK | os.X_OK) and readable_files(path)
    ]


def left_out_notices(
    folder: Path, *, excluded: Sequence[Path] = (), ending: str = "", taken: Sequence[Path] = ()
) -> list[str]:
    """Return one notice for each kind of input in ``folder`` that is not read.

    Args:
        folder: a folder of scans or label maps.
        excluded: files that do not end in ``ending``.
        ending: the file_ending of a dataset.json.
        taken: files and folders that are read, among them folders of DICOM.
    """
    notices = []
    if excluded:
        notices.append(
            f"{count_text(excluded)} left out, because file_ending in dataset.json is {ending!r}: "
            f"{paths_text(excluded)}. Convert them, or correct file_ending."
        )
    foreign = foreign_files(folder)
    if foreign:
        notices.append(
            f"{count_text(foreign)} left out, because the format is not supported: "
            f"{paths_text(foreign)}. Convert, for example to .nii.gz."
        )
    nested = [path for path in folders_with_scans(folder) if path not in taken]
    if nested:
        notices.append(
            f"files in subfolders are left out: {paths_text(nested)}. "
            "Move them up, or list every file in a CSV file."
        )
    return notices


def count_text(paths: Sequence[Path]) -> str:
    """Return the number of files followed by "is" or "are".

    >>> count_text([Path("a")]), count_text([])
    ('1 file is', '0 files are')
    """
    return "1 file is" if len(paths) == 1 else f"{len(paths)} files are"


def paths_text(paths: Sequence[Path], most: int = SHOWN) -> str:
    """Return the first ``most`` paths with their folder, and how many more there are.

    >>> paths_text([Path("d/images/a.mgz"), Path("d/images/b.mgz")], 1)
    'images/a.mgz and 1 more'
    """
    return first_few([f"{path.parent.name}/{path.name}" for path in paths], most)
