"""Time order of the images at one position, such as the time points of a dynamic MR.

Times and instance numbers must agree on the order, because a wrong order would mix images of
several time points.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from segkit.io.dicom.frames import Frame
from segkit.io.dicom.series.attributes import Value, value_of
from segkit.io.dicom.series.properties import PROPERTIES, TRIGGER_TIME, Property

_Reader = Callable[[Frame], Any]
"""Function that returns a sortable value of a frame, or None."""
_Order = tuple[float, ...]
"""Number of each image among the images at its position, from 1."""
_Groups = Sequence[Sequence[int]]
"""Indices of the images at each position."""
_DIGITS = 4
"""Decimals to which positions in mm are rounded before they are compared."""


def _trigger_time(frame: Frame) -> float | None:
    time = value_of(frame, *TRIGGER_TIME)
    return time if isinstance(time, float) else None


def _timestamp(*keywords: str) -> _Reader:
    """Return a reader that joins the values of attributes, such as a date and a time, to one text.

    With the date, images before and after midnight are in order.
    """

    def read(frame: Frame) -> str | None:
        parts = [value_of(frame, keyword) for keyword in keywords]
        return "".join(map(str, parts)) if all(isinstance(part, str) for part in parts) else None

    return read


def _instance_number(frame: Frame) -> tuple[float, int] | None:
    number = value_of(frame, "InstanceNumber")
    return (number, frame.index) if isinstance(number, float) else None


_ACQUISITION_TIMES = (
    _timestamp("FrameContentSequence.FrameAcquisitionDateTime"),
    _timestamp("AcquisitionDateTime"),
    _timestamp("AcquisitionDate", "AcquisitionTime"),
    _timestamp("AcquisitionTime"),
)
_CREATION_TIMES = (_timestamp("ContentDate", "ContentTime"), _timestamp("ContentTime"))


def _repeats(frames: Sequence[Frame]) -> list[Value]:
    """Return the time index, from 1, of each image among those of its kind at its position.

    The index is None if it is unknown. Images of one kind agree in all properties that are constant
    within a volume.
    """
    columns = [prop.values(frames) for prop in PROPERTIES if prop.rule == "equal"]
    kinds: dict[tuple[Value, ...], list[int]] = defaultdict(list)
    for index, kind in enumerate(zip(*columns, strict=True)):
        kinds[kind].append(index)
    repeats: list[Value] = [None] * len(frames)
    for indices in kinds.values():
        numbers = _repeats_of_kind([frames[index] for index in indices])
        for index, number in zip(indices, numbers, strict=True):
            repeats[index] = number
    return repeats


REPEAT = Property("repeat", "time order at each position", _repeats)
"""Property that distinguishes images at one position if those in `PROPERTIES` do not."""


def _repeats_of_kind(frames: Sequence[Frame]) -> Sequence[Value]:
    unknown = [None] * len(frames)
    if any(frame.position is None for frame in frames):
        return unknown
    positions = [tuple(np.round(np.asarray(frame.position), _DIGITS).tolist()) for frame in frames]
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for index, position in enumerate(positions):
        groups[position].append(index)
    counts = {len(group) for group in groups.values()}
    if counts == {1}:
        return [1.0] * len(frames)
    if len(counts) > 1:
        return unknown
    orders = _orders(frames, positions, list(groups.values()))
    return orders.pop() if len(orders) == 1 else unknown


def _orders(frames: Sequence[Frame], positions: Sequence[Hashable], groups: _Groups) -> set[_Order]:
    """Return the different orders that times and instance numbers give.

    The creation time counts only if no other time gives an order.
    """
    acquired = _first(_order(frames, read, groups) for read in _ACQUISITION_TIMES)
    orders = {_order(frames, _trigger_time, groups), acquired}
    if orders == {None}:
        created = (_counted(frames, read, positions, groups) for read in _CREATION_TIMES)
        orders = {_first(created)}
    if orders != {None}:
        # Instance numbers alone prove nothing: a series that was sent twice has an order too.
        orders.add(_counted(frames, _instance_number, positions, groups))
    return {order for order in orders if order}


def _first(orders: Iterable[_Order | None]) -> _Order | None:
    return next(filter(None, orders), None)


def _counted(
    frames: Sequence[Frame], read: _Reader, positions: Sequence[Hashable], groups: _Groups
) -> _Order | None:
    """Return the order by a value that increases volume by volume or position by position.

    The result is None for a value that increases in any other way.
    """
    order = _order(frames, read, groups)
    if order is None:
        return None
    counted = sorted(range(len(frames)), key=lambda index: (read(frames[index]), order[index]))
    mixes_volumes = alternates([order[index] for index in counted])
    mixes_positions = alternates([positions[index] for index in counted])
    return None if mixes_volumes and mixes_positions else order


def _order(frames: Sequence[Frame], read: _Reader, groups: _Groups) -> _Order | None:
    """Return the order by a value; None if images at one position share it or have none."""
    values = [read(frame) for frame in frames]
    numbers = [0.0] * len(values)
    for group in groups:
        distinct = {values[index] for index in group}
        if None in distinct or len(distinct) < len(group):
            return None
        for number, index in enumerate(sorted(group, key=values.__getitem__), start=1):
            numbers[index] = float(number)
    return tuple(numbers)


def alternates(values: Sequence[Hashable]) -> bool:
    """Return whether any value recurs after a different one.

    >>> alternates([1, 1, 2]), alternates([1, 2, 1])
    (False, True)
    """
    runs = 1 + sum(before != after for before, after in itertools.pairwise(values))
    return runs > len(set(values))
