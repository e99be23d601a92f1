"""Elements of a frame's header as plain values, and values that agree up to a tolerance made the same.

An element is read where a single-frame file has it, and where an enhanced file has it for a frame or for all of them.
"""

# mypy: allow-untyped-calls
# (the dictionary of pydicom has no annotations)

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from segkit.io.dicom.frames import Frame

Value = Hashable
"""A number, a text, a tuple of them, or None for what is not there or empty."""


def value_of(frame: Frame, *paths: str) -> Value:
    """Return the first value there is; paths are keywords behind their sequences, as ``Sequence.Keyword``."""
    tags = [_tags(path) for path in paths]
    for place in frame.datasets:
        for path in tags:
            value = plain(_at(place, path))
            if value is not None:
                return value
    return None


def _at(place: Dataset, path: tuple[BaseTag, ...]) -> Any:
    for sequence in path[:-1]:
        items = place[sequence].value if sequence in place else None
        if not items:
            return None
        place = items[0]
    return place[path[-1]].value if path[-1] in place else None


@cache
def _tags(path: str) -> tuple[BaseTag, ...]:
    return tuple(Tag(keyword) for keyword in path.split("."))


def plain(value: Any) -> Value:
    """Return a number, a text or a tuple of them; None for what is empty."""
    if value is None or isinstance(value, int | float):
        return None if value is None else float(value)
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, MultiValue | list | tuple):
        items = tuple(plain(each) for each in value)
        return items[0] if len(items) == 1 else items or None
    return str(value).strip() or None


def private(frame: Frame, creator: str, group: int, element: int) -> Value:
    """Return the first value of a private element; None where there is none."""
    for place in frame.datasets:
        try:
            value = plain(place.private_block(group, creator)[element].value)
        except KeyError:
            continue
        return value[0] if isinstance(value, tuple) else value
    return None


def clustered(values: Sequence[Value], tolerance: float) -> list[Value]:
    """Replace numbers that differ from the next lower one by the tolerance or 1 % at most by that one.

    >>> clustered([4.92, 7.38, 4.93, None], 0.01)
    [4.92, 7.38, 4.92, None]
    """
    became: dict[Value, Value] = {}
    last = first = -np.inf
    for number in sorted({value for value in values if isinstance(value, float)}):
        if number - last > max(tolerance, 0.01 * abs(number)):
            first = number
        became[number], last = first, number
    return [became.get(value, value) for value in values]


def nearest(vector: Any, firsts: list[Any], tolerance: float) -> Value:
    """Return the place of the first vector that agrees up to the tolerance; a new one is added."""
    if vector is None:
        return None
    for number, first in enumerate(firsts):
        if (
            np.shape(first) == np.shape(vector)
            and np.abs(np.subtract(first, vector)).max() < tolerance
        ):
            return number
    firsts.append(vector)
    return len(firsts) - 1
