"""What lies beside the scans of a folder, looks like an input, and is not read: counted and named, never silent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from segkit.errors import first_few
from segkit.files.names import PICTURE, READABLE, readable_files, suffix_of

SHOWN = 3
_FOREIGN_VOLUMES = (".mgz", ".mgh", ".img", ".mnc", ".gipl")
_FOREIGN_PICTURES = (".jpg", ".jpeg", ".jp2", ".gif", ".webp")
_WRAPPED = (".gz", ".bz2", ".xz", ".zst", ".part", ".crdownload", ".filepart")
"""Behind the suffix of a format that is read: packed in another way, or not downloaded to the end."""


def foreign_files(folder: Path) -> list[Path]:
    """Return images directly inside ``folder`` whose format is not read, in the order of their names."""
    found = sorted(
        path for path in folder.iterdir() if not path.is_dir() and not path.name.startswith(".")
    )
    return [path for path in found if is_foreign(path)]


def is_foreign(path: Path) -> bool:
    """Whether a file is, by its name, an image in a format that is not read.

    >>> [is_foreign(Path(name)) for name in ("a.mgz", "a.nii.bz2", "a.nii.gz", "a.tar.bz2", "notes.txt")]
    [True, True, False, False, False]
    """
    suffix = suffix_of(path)
    inner = suffix_of(path.name[: -len(suffix)]) if suffix in _WRAPPED else ""
    return suffix in (*_FOREIGN_VOLUMES, *_FOREIGN_PICTURES) or inner in READABLE


def foreign_scans(folder: Path, scans: Sequence[Path]) -> list[Path]:
    """Return the foreign files that may be meant as scans: pictures only where there are pictures among the scans."""
    pictures = any(suffix_of(path) in PICTURE for path in scans)
    return [
        path
        for path in foreign_files(folder)
        if pictures or suffix_of(path) not in _FOREIGN_PICTURES
    ]


def folders_with_scans(folder: Path) -> list[Path]:
    """Return the folders directly inside ``folder`` that hold files of a readable format."""
    inside = sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    return [path for path in inside if os.access(path, os.R_OK | os.X_OK) and readable_files(path)]


def left_out_notices(
    folder: Path, *, excluded: Sequence[Path] = (), ending: str = "", taken: Sequence[Path] = ()
) -> list[str]:
    """Return a sentence for each kind of input in ``folder`` that is not read.

    ``excluded`` are files that do not end in ``ending``, the file_ending of a dataset.json; ``taken`` are read, among
    them folders of DICOM.
    """
    notices = []
    if excluded:
        notices.append(
            f"{counted(excluded)} left out, because file_ending in dataset.json is {ending!r}: {named(excluded)}."
            " Convert them, or correct file_ending."
        )
    foreign = foreign_files(folder)
    if foreign:
        notices.append(
            f"{counted(foreign)} left out, because the format is not read: {named(foreign)}."
            " Convert, for example to .nii.gz."
        )
    nested = [path for path in folders_with_scans(folder) if path not in taken]
    if nested:
        notices.append(
            f"files in subfolders are left out: {named(nested)}. Move them up, or name every file in a CSV file."
        )
    return notices


def counted(paths: Sequence[Path]) -> str:
    """Return the number of files with the verb that follows it.

    >>> counted([Path("a")]), counted([])
    ('1 file is', '0 files are')
    """
    return "1 file is" if len(paths) == 1 else f"{len(paths)} files are"


def named(paths: Sequence[Path], most: int = SHOWN) -> str:
    """Return the first paths with their folder, and how many more there are.

    >>> named([Path("d/images/a.mgz"), Path("d/images/b.mgz")], 1)
    'images/a.mgz and 1 more'
    """
    return first_few([f"{path.parent.name}/{path.name}" for path in paths], most)
