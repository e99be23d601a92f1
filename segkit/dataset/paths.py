"""Paths that a table or a dataset.json names: found as they are meant, and those that lead nowhere."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from segkit.errors import InputError, first_few
from segkit.files.left_out import count_text, paths_text
from segkit.files.names import readable_files
from segkit.files.unfetched import unfetched_error, why_unfetched


def located(folder: Path, text: str) -> Path:
    """Return the path that ``text`` names, counted from ``folder``.

    Where there is no such file, backslashes are taken as Windows means them, and accents in either way of writing.
    """
    ways = [way for each in (text, text.replace("\\", "/")) for way in _spellings(each)]
    return next((folder / way for way in ways if os.path.lexists(folder / way)), folder / text)


def _spellings(text: str) -> list[str]:
    return [text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)]


def unreachable(root: Path, paths: Sequence[Path]) -> InputError | None:
    """Return the error for files that a dataset names and that are not there, or have no content."""
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
        remedy="Add the files or correct their paths, which count from the dataset's own folder.",
    )


def unlisted_notice(folder: Path, listed: Sequence[Path]) -> list[str]:
    """Return a notice where ``folder`` holds scans that are not among those ``listed`` in a dataset.json."""
    if not folder.is_dir():
        return []
    names = {os.path.abspath(path) for path in listed}
    others = [path for path in readable_files(folder) if os.path.abspath(path) not in names]
    if not others or len(others) == len(readable_files(folder)):
        return []
    return [
        f"{count_text(others)} left out, because dataset.json does not list them under 'training': {paths_text(others)}"
    ]
