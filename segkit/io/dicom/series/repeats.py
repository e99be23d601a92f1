"""Images in one place that only their order tells from each other, such as the time points of a dynamic MR.

Times and instance numbers must agree on that order: a wrong one would put images of several time points together.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from segkit.io.dicom.frames import Frame
from segkit.io.dicom.series.attributes import Value, value_of
from segkit.io.dicom.series.properties import PROPERTIES, TRIGGER_TIME, Property

_Reader = Callable[[Frame], Any]
"""Returns what can be sorted, or None."""
_Order = tuple[float, ...]
"""For each image its number among those in its place, from 1."""
_Places = Sequence[Sequence[int]]
"""The images in each place."""
_DIGITS = 4
"""To which positions in mm are compared."""


def _trigger(frame: Frame) -> float | None:
    found = value_of(frame, *TRIGGER_TIME)
    return found if isinstance(found, float) else None


def _text(*paths: str) -> _Reader:
    """Return a reader of texts that follow one another: of a date and a time, for a scan that goes on past midnight."""

    def read(frame: Frame) -> str | None:
        found = [value_of(frame, path) for path in paths]
        return "".join(map(str, found)) if all(isinstance(each, str) for each in found) else None

    return read


def _number(frame: Frame) -> tuple[float, int] | None:
    found = value_of(frame, "InstanceNumber")
    return (found, frame.index) if isinstance(found, float) else None


_ACQUIRED = (
    _text("FrameContentSequence.FrameAcquisitionDateTime"),
    _text("AcquisitionDateTime"),
    _text("AcquisitionDate", "AcquisitionTime"),
    _text("AcquisitionTime"),
)
_CREATED = (_text("ContentDate", "ContentTime"), _text("ContentTime"))


def _repeats(frames: Sequence[Frame]) -> list[Value]:
    """Return for each image its number in time among those of its kind in its place; None where that is not known.

    Images of one kind agree in all properties that have one value within a volume.
    """
    alike = [each.values(frames) for each in PROPERTIES if each.rule == "equal"]
    kinds: dict[tuple[Value, ...], list[int]] = defaultdict(list)
    for index, kind in enumerate(zip(*alike, strict=True)):
        kinds[kind].append(index)
    found: list[Value] = [None] * len(frames)
    for indices in kinds.values():
        for index, number in zip(
            indices, _of_one_kind([frames[index] for index in indices]), strict=True
        ):
            found[index] = number
    return found


REPEAT = Property("repeat", "time order at each position", _repeats)
"""Not one of `PROPERTIES`: it tells images in one place from each other where those do not."""


def _of_one_kind(frames: Sequence[Frame]) -> Sequence[Value]:
    unknown = [None] * len(frames)
    if any(frame.position is None for frame in frames):
        return unknown
    names = [tuple(np.round(np.asarray(frame.position), _DIGITS).tolist()) for frame in frames]
    places: dict[Hashable, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        places[name].append(index)
    counts = {len(place) for place in places.values()}
    if counts == {1}:
        return [1.0] * len(frames)
    orders = _orders(frames, names, list(places.values())) if len(counts) == 1 else set()
    return orders.pop() if len(orders) == 1 else unknown


def _orders(frames: Sequence[Frame], names: Sequence[Hashable], places: _Places) -> set[_Order]:
    """Return the orders by times, and by number beside them; that of creation counts where no other time gives one."""
    acquired = (_order(frames, read, places) for read in _ACQUIRED)
    created = (_counted(frames, read, names, places) for read in _CREATED)
    found = {_order(frames, _trigger, places), next(filter(None, acquired), None)}
    if found == {None}:
        found = {next(filter(None, created), None)}
    if found != {
        None
    }:  # a number alone tells nothing: a series that was sent twice has one as well
        found.add(_counted(frames, _number, names, places))
    return {order for order in found if order}


def _counted(
    frames: Sequence[Frame], read: _Reader, names: Sequence[Hashable], places: _Places
) -> _Order | None:
    """Return the order by an element that goes volume by volume or position by position; other counts tell none."""
    order = _order(frames, read, places)
    if order is None:
        return None
    turn = sorted(range(len(frames)), key=lambda index: (read(frames[index]), order[index]))
    by_volume, by_place = ([of[index] for index in turn] for of in (order, names))
    return None if alternates(by_volume) and alternates(by_place) else order


def _order(frames: Sequence[Frame], read: _Reader, places: _Places) -> _Order | None:
    """Return the order by an element; None where images in one place have the same value or none."""
    values = [read(frame) for frame in frames]
    numbers = [0.0] * len(values)
    for place in places:
        there = {values[index] for index in place}
        if None in there or len(there) < len(place):
            return None
        for number, index in enumerate(sorted(place, key=values.__getitem__), start=1):
            numbers[index] = float(number)
    return tuple(numbers)


def alternates(values: Sequence[Hashable]) -> bool:
    """Return whether a value comes back after another one.

    >>> alternates([1, 1, 2]), alternates([1, 2, 1])
    (False, True)
    """
    runs = 1 + sum(before != after for before, after in itertools.pairwise(values))
    return runs > len(set(values))
