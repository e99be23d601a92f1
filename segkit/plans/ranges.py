"""Ranges over the training data, stored in a plan to compare new scans and results with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from segkit.units import is_number, is_whole

Range = tuple[float, float]
"""Lowest and highest value."""


@dataclass(frozen=True)
class LabelRange:
    """Ranges of one label over the cases that have it."""

    cases: int
    volume: Range
    """Volume in mm^3, or number of pixels."""
    pieces: Range
    """Number of connected components (26 neighbors)."""


@dataclass(frozen=True)
class ChannelRange:
    """Ranges of one channel over all cases."""

    lowest: Range
    """Lowest voxel value of each case."""
    highest: Range
    """Highest voxel value of each case."""


@dataclass(frozen=True)
class DataRanges:
    """Ranges over the cases of a dataset.

    Axes are X, Y, Z in RAS+; lengths are in the unit of the plan.
    """

    cases: int
    """Number of cases with a label map."""
    spacing: tuple[Range, Range, Range]
    """Voxel size along each axis."""
    size: tuple[Range, Range, Range]
    """Size of the field of view along each axis."""
    channels: tuple[ChannelRange, ...]
    labels: dict[str, LabelRange]
    """Ranges of each label that at least one case has."""


def ranges_of_json(content: Any) -> DataRanges | None:
    """Return the ranges of a plan file, or None if it has none.

    Raises:
        ValueError, TypeError, KeyError: the content is not that of a plan file.
    """
    if content is None:
        return None
    return DataRanges(
        cases=_count(content["cases"]),
        spacing=_per_axis(content["spacing"]),
        size=_per_axis(content["size"]),
        channels=tuple(
            ChannelRange(_range(channel["lowest"]), _range(channel["highest"]))
            for channel in content["channels"]
        ),
        labels={name: _label(label) for name, label in dict(content["labels"]).items()},
    )


def _label(content: Mapping[str, Any]) -> LabelRange:
    return LabelRange(
        cases=_count(content["cases"]),
        volume=_range(content["volume"]),
        pieces=_range(content["pieces"]),
    )


def _per_axis(content: Any) -> tuple[Range, Range, Range]:
    x, y, z = content
    return (_range(x), _range(y), _range(z))


def _range(content: Any) -> Range:
    low, high = content
    if not (is_number(low) and is_number(high) and low <= high):
        raise ValueError(f"training: {content} is not a range of two numbers")
    return (low, high)


def _count(content: Any) -> int:
    if not is_whole(content, 0):
        raise ValueError(f"training: {content!r} is not a number of cases")
    return int(content)
