"""Detect a series that mixes several volumes, and list the groups of images that it contains.

The images of one SeriesInstanceUID do not always form one volume: echoes, phase images, b-values or
two passes may share it. If each position has only one of them, together they would form a regular
stack that is not a scan.
"""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError, first_few
from segkit.io.dicom.frames import Frame, along_normal
from segkit.io.dicom.series.properties import PROPERTIES, Property
from segkit.io.dicom.series.property_values import SEVERAL
from segkit.io.dicom.series.repeats import REPEAT, alternates
from segkit.io.dicom.series.selection import LISTED, Column, Selection

_SAME_POSITION = 0.01
"""Step in mm to which positions are rounded before they are compared."""
_LEAST_POSITIONS = 3
"""Smallest number of slice positions of a scan; a localizer has fewer in one direction."""
_DIRECTION = next(prop for prop in PROPERTIES if prop.word == "direction")
_Groups = Sequence[Sequence[int]]
"""Indices of the images in each group."""


class MixedImages(InputError):
    """A series whose images are more than one volume."""


def check_one_volume(
    frames: Sequence[Frame],
    series: Sequence[Frame],
    *,
    path: str | Path,
    number: int,
    selection: Selection,
) -> tuple[str, ...]:
    """Check that frames can be one volume.

    Args:
        frames: frames that were selected.
        series: all frames of the series. Values that are shown as numbers are numbered over all of
            them, so that a number means the same for every selection.
        path: file, folder or zip of the series, for messages.
        number: number of the series in the list of its path.
        selection: selection by which the frames were chosen.

    Returns:
        Sentences about properties that change within the volume, as they may.

    Raises:
        MixedImages: the frames belong to several volumes; the message lists the groups.
    """
    columns = [
        Column(prop, prop.values(frames))
        for prop in PROPERTIES
        if prop.word not in selection.ignored
    ]
    varying = [column for column in columns if column.varies]
    order = along_normal(frames)
    same_position = _groups_at_same_position(frames)
    splitting = [column for column in varying if _splits(column, order, same_position)]
    if not _tell_apart(splitting, same_position):
        other = [
            column
            for column in varying
            if column.prop.rule == "any" and _differs(column, same_position)
        ]
        repeat = [] if REPEAT.word in selection.ignored else _repeat(frames, series)
        splitting += _fewer_groups(splitting, other, repeat, same_position)
    if any(column.prop.word == "type" for column in splitting):
        splitting = [column for column in splitting if column.prop.word != "flags"]
    if splitting:
        texts = {column.prop: _texts(column.prop, frames, series) for column in splitting}
        raise _mixed(frames, texts, path=path, number=number, selection=selection)
    return tuple(_change(column) for column in varying if _is_reported(column))


def _repeat(frames: Sequence[Frame], series: Sequence[Frame]) -> list[Column]:
    """Return the column of `REPEAT` for the frames if all its values are known and it varies."""
    numbers = dict(zip(series, REPEAT.values(series), strict=True))
    column = Column(REPEAT, [numbers[frame] for frame in frames])
    return [column] if column.varies and None not in column.values else []


def _fewer_groups(
    splitting: list[Column], other: list[Column], repeat: list[Column], same_position: _Groups
) -> list[Column]:
    """Return the columns that distinguish images at one position: other properties, or time order.

    Of the two, the one with fewer groups is chosen: a time that differs from slice to slice would
    put each image into a separate group.
    """
    if not repeat or not _tell_apart([*splitting, *repeat], same_position):
        return other
    if not _tell_apart([*splitting, *other], same_position):
        return repeat
    fewer = _count_groups([*splitting, *repeat]) < _count_groups([*splitting, *other])
    return repeat if fewer else other


def _count_groups(columns: Sequence[Column]) -> int:
    return len(set(zip(*(column.values for column in columns), strict=True)))


def _texts(prop: Property, frames: Sequence[Frame], series: Sequence[Frame]) -> list[str]:
    """Return the values of the frames in the form in which they are shown and typed."""
    texts = dict(zip(series, Column(prop, prop.values(series)).texts(), strict=True))
    return [texts[frame] for frame in frames]


def _is_reported(column: Column) -> bool:
    """Return whether to tell the user that the values of this property change."""
    each_several = min(Counter(column.values).values()) >= SEVERAL
    return column.prop.rule == "ordered" or (column.prop.rule == "any" and each_several)


def _change(column: Column) -> str:
    values = first_few(list(dict.fromkeys(column.texts())), 4)
    return f"the {column.prop.title} changes along the scan ({values})"


def _splits(column: Column, order: NDArray[np.intp], same_position: _Groups) -> bool:
    """Return whether images with different values of this property cannot be one volume."""
    if column.prop.rule in ("equal", "any"):
        return column.prop.rule == "equal"
    along_scan = [column.values[index] for index in order]
    return _differs(column, same_position) or alternates(along_scan)


def _differs(column: Column, same_position: _Groups) -> bool:
    """Return whether any two images at the same position have different values."""
    return any(len({column.values[index] for index in group}) > 1 for group in same_position)


def _tell_apart(columns: Sequence[Column], same_position: _Groups) -> bool:
    """Return whether these properties distinguish all images at the same position."""
    for group in same_position:
        keys = {tuple(column.values[index] for column in columns) for index in group}
        if len(keys) < len(group):
            return False
    return True


def _groups_at_same_position(frames: Sequence[Frame]) -> list[list[int]]:
    """Return the indices of the images at each position that has several."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, frame in enumerate(frames):
        if frame.position is not None:
            groups[_rounded_position(frame)].append(index)
    return [group for group in groups.values() if len(group) > 1]


def _rounded_position(frame: Frame) -> tuple[int, ...]:
    return tuple(np.rint(np.asarray(frame.position) / _SAME_POSITION).astype(int).tolist())


def are_scan(frames: Sequence[Frame]) -> bool:
    """Return whether the images are a scan rather than a localizer.

    Most images of a scan have the same direction and lie at three positions or more.
    """
    in_patient = [
        frame for frame in frames if frame.position is not None and frame.orientation is not None
    ]
    directions = _DIRECTION.values(in_patient)
    usual, count = next(iter(Counter(directions).most_common(1)), (None, 0))
    positions = {
        _rounded_position(frame)
        for frame, direction in zip(in_patient, directions, strict=True)
        if direction == usual
    }
    return count > len(frames) / 2 and len(positions) >= _LEAST_POSITIONS


def _mixed(
    frames: Sequence[Frame],
    texts: dict[Property, list[str]],
    *,
    path: str | Path,
    number: int,
    selection: Selection,
) -> MixedImages:
    """Return the error that lists the groups of images, each with the option that selects it.

    ``texts`` holds the values of the properties in which the frames differ.
    """
    properties = list(texts)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, key in enumerate(zip(*texts.values(), strict=True)):
        groups[key].append(index)
    needed = _needed_properties(list(groups))
    lines = []
    for key, indices in list(groups.items())[:LISTED]:
        words = [(properties[index].word, key[index]) for index in needed]
        others = [
            f"{prop.word} {text}"
            for index, (prop, text) in enumerate(zip(properties, key, strict=True))
            if index not in needed
        ]
        group_selection = Selection((*selection.criteria, *words))
        lines.append(_line(number, group_selection, [frames[index] for index in indices], others))
    more = f"\n  and {len(groups) - LISTED} more" if len(groups) > LISTED else ""
    titles = " and ".join(first_few([prop.title for prop in properties], 5).rsplit(", ", 1))
    return MixedImages(
        path,
        expected="images that make up one volume",
        found=f"{len(groups)} groups of images in series {number} that differ in {titles}",
        remedy="Choose one by --series, or put its images into a folder of their own:"
        f"{''.join(lines)}{more}",
    )


def _needed_properties(keys: Sequence[tuple[str, ...]]) -> list[int]:
    """Return the indices of the first properties that together distinguish all groups."""
    needed: list[int] = []
    for index in range(len(keys[0])):
        before = {tuple(key[chosen] for chosen in needed) for key in keys}
        after = {tuple(key[chosen] for chosen in (*needed, index)) for key in keys}
        if len(after) > len(before):
            needed.append(index)
    return needed


def _line(number: int, selection: Selection, frames: Sequence[Frame], others: Sequence[str]) -> str:
    option = f"--series {shlex.quote(f'{number}:{selection}')}"
    images = f"{len(frames)} image{'s' if len(frames) > 1 else ''} such as {frames[0].name}"
    more = f", {first_few(others, 4)}" if others else ""
    return f"\n  {option}  {images}{more}"
