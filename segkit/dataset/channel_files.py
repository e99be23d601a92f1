"""Files CASE_0000, CASE_0001 ...: one for each channel of a case, as nnU-Net names them."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from segkit.errors import InputError, first_few
from segkit.files.names import case_id, suffix_of

SHOWN = 4
"""Missing channels that a message names."""
_CHANNEL = re.compile(r"(.+)_([0-9]{4})")


def group_channels(paths: Iterable[Path], names: Sequence[str] = ()) -> dict[str, tuple[Path, ...]]:
    """Files CASE_0000, CASE_0001 ... by case, in the order of their channels; a name without number is a case itself.

    ``names`` of the channels are for messages.

    Raises:
        InputError: a case whose numbers do not run from 0000 without a gap.
    """
    groups: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in paths:
        match = _CHANNEL.fullmatch(case_id(path))
        name, number = (match[1], int(match[2])) if match else (case_id(path), 0)
        if number in groups[name]:
            raise case_twice(path.parent, name, (groups[name][number], path))
        groups[name][number] = path
    for name, files in groups.items():
        if sorted(files) != list(range(len(files))):
            raise InputError(
                next(iter(files.values())).parent,
                expected=f"the channels of {name} numbered from _0000 without a gap",
                found=", ".join(f"_{number:04d}" for number in sorted(files))
                + _without(files, names),
                remedy="Add or rename the missing channel.",
            )
    return {
        name: tuple(files[number] for number in sorted(files)) for name, files in groups.items()
    }


def _without(numbers: Collection[int], names: Sequence[str]) -> str:
    """Which channels are missing below the last one that is there, and their names where there are some."""
    missing = [number for number in range(max(numbers)) if number not in numbers]
    named = [
        f"_{number:04d}" + (f" ({names[number]})" if number < len(names) else "")
        for number in missing
    ]
    return f", without {first_few(named, SHOWN)}"


def channel_files(image: Path) -> tuple[Path, ...]:
    """Return the files of the channels of ``image``: itself, or, where it is not there, IMAGE_0000, IMAGE_0001 ..."""
    if os.path.lexists(image):
        return (image,)
    suffix = suffix_of(image)
    stem = image.name[: len(image.name) - len(suffix)]
    found = sorted(
        image.parent.glob(f"{glob.escape(stem)}_[0-9][0-9][0-9][0-9]{glob.escape(suffix)}")
    )
    return group_channels(found).get(case_id(image), (image,))


def case_twice(where: Path, name: str, files: Sequence[Path] = ()) -> InputError:
    """Return the error for two files, or two sets of files, of one case."""
    which = f" ({' and '.join(path.name for path in files)})" if files else ""
    return InputError(
        where,
        expected="a case id of its own for each case",
        found=f"{name!r} twice{which}",
        remedy="Rename or remove one.",
    )
