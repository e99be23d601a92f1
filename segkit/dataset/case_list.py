"""Check a list of cases: there are some, their ids differ, files exist, channels are as many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from segkit.dataset.channel_files import duplicate_case
from segkit.dataset.dataset import Case
from segkit.dataset.paths import missing_files_error, named_files
from segkit.errors import InputError


def check_ids(root: Path, ids: Sequence[str]) -> None:
    """Raise an InputError if two cases have the same id."""
    duplicates = [name for name, count in Counter(ids).items() if count > 1]
    if duplicates:
        raise duplicate_case(root, duplicates[0])


def check_files(root: Path, cases: Sequence[Case], notices: Sequence[str]) -> None:
    """Check that there are cases, and that all their files exist.

    Args:
        root: the dataset's folder, for messages.
        cases: all cases.
        notices: sentences about what was left out.

    Raises:
        InputError: there is no case, or a file is missing.
    """
    if not cases:
        found = f": {notices[0].removesuffix('.')}" if notices else ""
        raise InputError(
            root,
            expected="cases",
            found=f"none{found}",
            remedy="Add scans with their label maps.",
        )
    files = [path for case in cases for path in named_files(case)]
    error = missing_files_error(root, files)
    if error:
        raise error


def check_channels(
    root: Path, cases: Sequence[Case], names: Sequence[str], *, described: Sequence[str]
) -> None:
    """Check that every case has the same number of channels, and that there are as many names.

    Args:
        root: the dataset's folder, for messages.
        cases: all cases.
        names: names of the channels that are used.
        described: names that the layout gives, which may be none.

    Raises:
        InputError: numbers differ.
    """
    example = {len(case.images): case.id for case in cases}
    if len(example) > 1:
        fewest, most = min(example), max(example)
        counts = " and ".join(f"{count} in {example[count]}" for count in sorted(example))
        lacking = names[fewest:most]
        without = f", without {', '.join(lacking)} in {example[fewest]}" if lacking else ""
        raise InputError(
            root,
            expected="the same number of channels in every case",
            found=f"{counts}{without}",
            remedy="Add or remove channels.",
        )
    files = next(iter(example))
    expected = files if files > 1 else len(described)
    if expected and names and len(names) != expected:
        raise InputError(
            root,
            expected=f"{expected} channel names",
            found=f"{len(names)}: {', '.join(names)}",
            remedy="Correct dataset.channels, or the channel names in dataset.json.",
        )
