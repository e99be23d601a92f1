"""Resolve the paths given in a CSV file or a dataset.json, and report missing files."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from segkit.dataset.dataset import Case
from segkit.errors import InputError, first_few
from segkit.files.left_out import count_text, paths_text
from segkit.files.names import readable_files
from segkit.files.unfetched import unfetched_error, why_unfetched
from segkit.io.dicom.files.detection import is_dicom


def find_path(folder: Path, text: str) -> Path:
    """Return the path that ``text`` names, relative to ``folder`` unless it is absolute.

    If no such file exists, it is also looked for with backslashes as separators (Windows), and with
    accented letters in composed and decomposed Unicode form.
    """
    for spelling in (*_unicode_forms(text), *_unicode_forms(text.replace("\\", "/"))):
        if os.path.lexists(folder / spelling):
            return folder / spelling
    return folder / text


def _unicode_forms(text: str) -> list[str]:
    return [text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)]


def named_files(case: Case) -> list[Path]:
    """Return the files of a case that should exist; folders of DICOM, which were found, are not."""
    paths = [*case.images, *([case.label] if case.label else [])]
    return [path for path in paths if not (path.is_dir() and is_dicom(path))]


def missing_files_error(root: Path, paths: Sequence[Path]) -> InputError | None:
    """Return the error for named files that do not exist or have no content, or None."""
    empty = [path for path in paths if why_unfetched(path)]
    if empty:
        return unfetched_error(empty[0], len(empty) - 1)
    missing = [str(path) for path in paths if not path.is_file()]
    if not missing:
        return None
    return InputError(
        root,
        expected="every image and label map that the dataset names",
        found=f"{len(missing)} missing: {first_few(missing)}",
        remedy="Add the files or correct their paths; relative paths are relative to the dataset's"
        " folder.",
    )


def unlisted_notice(folder: Path, listed: Sequence[Path]) -> list[str]:
    """Return a notice of scans in ``folder`` that a dataset.json does not list."""
    if not folder.is_dir():
        return []
    listed_paths = {os.path.abspath(path) for path in listed}
    scans = readable_files(folder)
    unlisted = [path for path in scans if os.path.abspath(path) not in listed_paths]
    if not unlisted or len(unlisted) == len(scans):
        return []
    return [
        f"{count_text(unlisted)} left out, because dataset.json does not list them under"
        f" 'training': {paths_text(unlisted)}"
    ]
