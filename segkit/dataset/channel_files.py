"""Group files by case and channel: CASE_0000, CASE_0001, ..., as nnU-Net names them."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from segkit.dataset.dataset import IncompleteCase
from segkit.errors import InputError, first_few
from segkit.files.names import case_id, suffix_of

SHOWN = 4
"""Number of missing channels that a message names."""
_CHANNEL = re.compile(r"(.+)_([0-9]{4})")


def without_channel(name: str) -> str:
    """Return a case id without a channel number at its end.

    >>> without_channel("liver_12_0000"), without_channel("liver_12")
    ('liver_12', 'liver_12')
    """
    match = _CHANNEL.fullmatch(name)
    return match[1] if match else name


def group_channels(
    paths: Iterable[Path],
    names: Sequence[str] = (),
    *,
    incomplete: list[IncompleteCase] | None = None,
) -> dict[str, tuple[Path, ...]]:
    """Return the files of each case, in the order of their channels.

    A file without a channel number is a case of one channel.

    Args:
        paths: files named CASE_0000.SUFFIX, CASE_0001.SUFFIX, ... or CASE.SUFFIX.
        names: channel names, for messages only.
        incomplete: list to which cases with a gap are appended, instead of an error.

    Raises:
        InputError: the channel numbers of a case do not run from 0000 without a gap, or two files
            have the same case and channel.

    >>> group_channels([Path("a_0001.nii"), Path("a_0000.nii"), Path("b.nii")])["a"][0].name
    'a_0000.nii'
    """
    cases: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in paths:
        match = _CHANNEL.fullmatch(case_id(path))
        name, number = (match[1], int(match[2])) if match else (case_id(path), 0)
        if number in cases[name]:
            raise duplicate_case(path.parent, name, (cases[name][number], path))
        cases[name][number] = path
    grouped = {}
    for name, files in cases.items():
        paths_of_case = tuple(files[number] for number in sorted(files))
        if sorted(files) == list(range(len(files))):
            grouped[name] = paths_of_case
            continue
        missing = _missing_channels(files, names)
        if incomplete is not None:
            message = f"{paths_of_case[0]}: the case has no channel {missing}"
            incomplete.append(IncompleteCase(name, message, paths_of_case))
            continue
        numbers = ", ".join(f"_{number:04d}" for number in sorted(files))
        raise InputError(
            paths_of_case[0].parent,
            expected=f"the channels of {name} numbered from _0000 without a gap",
            found=f"{numbers}, without {missing}",
            remedy="Add or rename the missing channel.",
        )
    return grouped


def _missing_channels(numbers: Collection[int], names: Sequence[str]) -> str:
    """Return the channels that are missing below the largest number, with their names if known."""
    missing = [number for number in range(max(numbers)) if number not in numbers]
    described = [
        f"_{number:04d} ({names[number]})" if number < len(names) else f"_{number:04d}"
        for number in missing
    ]
    return first_few(described, SHOWN)


def channel_files(
    image: Path, *, incomplete: list[IncompleteCase] | None = None
) -> tuple[Path, ...]:
    """Return the files of a scan: ``image`` if it exists, else IMAGE_0000, IMAGE_0001, ...

    Arguments and errors are those of `group_channels`; a case with a gap is ``image`` itself.
    """
    if os.path.lexists(image):
        return (image,)
    suffix = suffix_of(image)
    stem = image.name[: len(image.name) - len(suffix)]
    pattern = f"{glob.escape(stem)}_[0-9][0-9][0-9][0-9]{glob.escape(suffix)}"
    files = group_channels(sorted(image.parent.glob(pattern)), incomplete=incomplete)
    return files.get(case_id(image), (image,))


def duplicate_case(where: Path, name: str, files: Sequence[Path] = ()) -> InputError:
    """Return the error for two files, or two sets of files, of one case."""
    file_names = f" ({' and '.join(path.name for path in files)})" if files else ""
    return InputError(
        where,
        expected="a different id for each case",
        found=f"{name!r} twice{file_names}",
        remedy="Rename or remove one of the two.",
    )
