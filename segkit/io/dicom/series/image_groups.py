"""Groups of images within one series that make up volumes of their own: found, named and chosen.

Nothing in a SeriesInstanceUID says that all its images belong into one volume: echoes, phase images, b-values or two
passes may share it, one image at each position, and would make a regular stack that is no scan.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError, UsageError, first_few
from segkit.io.dicom.frames import Frame, along_normal
from segkit.io.dicom.series.attributes import Value
from segkit.io.dicom.series.properties import PROPERTIES, SEVERAL, Property
from segkit.io.dicom.series.repeats import REPEAT, alternates

ANY = "any"
"""In place of a value: the property is not looked at."""
_SAME_PLACE = 0.01
"""mm."""
_LEAST_PLACES = 3
"""Positions of a scan that cannot be used, by which it is told from a localizer."""
_LISTED = 12
"""Groups that a message lists."""
_WORDS = {each.word: each for each in (*PROPERTIES, REPEAT)}


class MixedImages(InputError):
    """A series whose images make up more than one volume."""


@dataclass(frozen=True)
class Selection:
    """The images of a series that have certain values, by the words of `PROPERTIES` and `REPEAT`."""

    criteria: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return ",".join(f"{word}={value}" for word, value in self.criteria)

    @property
    def waived(self) -> set[str]:
        """Return the words of properties that are not looked at."""
        return {word for word, value in self.criteria if value.casefold() == ANY}


ALL = Selection()


def selection_of(text: str) -> Selection:
    """Read ``echo=2,type=M``.

    Raises:
        UsageError: another form, or a word that is no property.
    """
    criteria = tuple(_criterion(text, part) for part in text.split(","))
    return Selection(criteria)


def _criterion(text: str, part: str) -> tuple[str, str]:
    word, equals, value = (each.strip() for each in part.partition("="))
    if not equals or not value or word not in _WORDS:
        raise UsageError(
            f"--series {text}: write WORD=VALUE,... with the words {', '.join(_WORDS)}"
        )
    return word, value


def looks_like_selection(text: str) -> bool:
    """Return whether a text has the form of `selection_of`, whatever its words are.

    >>> looks_like_selection("echo=2"), looks_like_selection("T1 post")
    (True, False)
    """
    return re.fullmatch(r"\s*[a-z]+\s*=[^=]+(,\s*[a-z]+\s*=[^=]+)*", text) is not None


@dataclass(frozen=True, eq=False)
class _Column:
    """The values of all images of one property."""

    of: Property
    values: list[Value]

    @property
    def varies(self) -> bool:
        return len(set(self.values)) > 1

    def texts(self) -> list[str]:
        """Return the values as they are shown and typed."""
        order = {
            value: str(number) for number, value in enumerate(dict.fromkeys(self.values), start=1)
        }
        return [_text(value) if self.of.shown else order[value] for value in self.values]


def _text(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return "/".join(_text(each) for each in value)
    # Signs that would end the value on the command line, and those that a terminal would act on.
    return "none" if value is None else re.sub(r"[,=:]|[^ -~\w]", ";", str(value))


def selected(frames: Sequence[Frame], selection: Selection, where: str | Path) -> list[Frame]:
    """Return the frames that have all the values of a selection.

    Raises:
        UsageError: none has, with the values that there are.
    """
    kept = np.ones(len(frames), bool)
    for word, value in selection.criteria:
        if word in selection.waived:
            continue
        texts = _Column(_WORDS[word], _WORDS[word].values(frames)).texts()
        fits = np.array([_fits(text, value, whole=value in texts) for text in texts])
        if fits.any() and not (kept & fits).any():
            raise UsageError(
                f"{where}: --series {selection}: no image fits all of it; {fits.sum()} fit {word}={value}"
            )
        if not fits.any():
            found = ", ".join(
                f"{text} ({count})" for text, count in Counter(texts).most_common(_LISTED)
            )
            raise UsageError(
                f"{where}: --series {selection}: no image fits {word}={value}; {word} is {found}"
            )
        kept &= fits
    return [frame for frame, keep in zip(frames, kept, strict=True) if keep]


def _fits(text: str, value: str, *, whole: bool) -> bool:
    """Return whether a value is meant: as it is shown, or where none is shown so, a part of it or the same number."""
    if text == value:
        return True
    text, value = text.casefold(), value.casefold()
    return not whole and (
        text == value or value in text.split("/") or _number(text) == _number(value)
    )


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def check_alike(
    frames: Sequence[Frame],
    series: Sequence[Frame],
    where: str | Path,
    number: int,
    selection: Selection,
) -> tuple[str, ...]:
    """Raise MixedImages unless all frames can be of one volume; return sentences on what may change and does.

    ``series`` are all frames from which these were selected: numbers that stand for values count all of them, so that
    they mean the same whatever else is selected. ``number`` is that of the series in the list of its place.
    """
    columns = [
        _Column(each, each.values(frames))
        for each in PROPERTIES
        if each.word not in selection.waived
    ]
    varied = [column for column in columns if column.varies]
    order = along_normal(frames)
    shared = _sharing_a_place(frames)
    wrong = [column for column in varied if _splits(column, order, shared)]
    if not _apart(wrong, shared):
        free = [
            column for column in varied if column.of.rule == "free" and _differs(column, shared)
        ]
        repeat = [] if REPEAT.word in selection.waived else _repeat(frames, series)
        wrong += _fewer_groups(wrong, free, repeat, shared)
    if any(column.of.word == "type" for column in wrong):
        wrong = [column for column in wrong if column.of.word != "flags"]
    if wrong:
        raise _mixed(
            frames,
            [_shown(column.of, frames, series) for column in wrong],
            where,
            number,
            selection,
        )
    return tuple(_change(column) for column in varied if _is_said(column))


def _repeat(frames: Sequence[Frame], series: Sequence[Frame]) -> list[_Column]:
    """Return the numbers in time of images in one place, where all are known and there are several."""
    numbers = dict(zip(series, REPEAT.values(series), strict=True))
    column = _Column(REPEAT, [numbers[frame] for frame in frames])
    return [column] if column.varies and None not in column.values else []


def _fewer_groups(
    wrong: list[_Column],
    free: list[_Column],
    repeat: list[_Column],
    shared: Sequence[Sequence[int]],
) -> list[_Column]:
    """Return what tells images in one place from each other: properties that may differ, or their order in time.

    Where times differ from slice to slice, each image would be a group of its own by them.
    """
    if not repeat or not _apart([*wrong, *repeat], shared):
        return free
    fewer = _count([*wrong, *repeat]) < _count([*wrong, *free])
    return repeat if fewer or not _apart([*wrong, *free], shared) else free


def _count(columns: Sequence[_Column]) -> int:
    """Return the number of groups that these properties make."""
    return len(set(zip(*(column.values for column in columns), strict=True)))


def _shown(
    of: Property, frames: Sequence[Frame], series: Sequence[Frame]
) -> tuple[Property, list[str]]:
    """Return the values of some frames of a series as they are shown and typed."""
    texts = dict(zip(series, _Column(of, of.values(series)).texts(), strict=True))
    return of, [texts[frame] for frame in frames]


def _is_said(column: _Column) -> bool:
    """Return whether a user should know that the values of this property change."""
    shared = min(Counter(column.values).values()) >= SEVERAL
    return column.of.rule == "in order" or (column.of.rule == "free" and shared)


def _change(column: _Column) -> str:
    return f"the {column.of.title} changes along the scan ({first_few(list(dict.fromkeys(column.texts())), 4)})"


def _splits(column: _Column, order: NDArray[np.intp], shared: Sequence[Sequence[int]]) -> bool:
    """Return whether images with different values of this property cannot be one volume."""
    if column.of.rule in ("equal", "free"):
        return column.of.rule == "equal"
    return _differs(column, shared) or alternates([column.values[index] for index in order])


def _differs(column: _Column, shared: Sequence[Sequence[int]]) -> bool:
    """Return whether images in one place have different values."""
    return any(len({column.values[index] for index in group}) > 1 for group in shared)


def _apart(columns: Sequence[_Column], shared: Sequence[Sequence[int]]) -> bool:
    """Return whether these properties tell all images in one place from each other."""
    keys = [
        {tuple(column.values[index] for column in columns) for index in group} for group in shared
    ]
    return all(len(key) == len(group) for key, group in zip(keys, shared, strict=True))


def _sharing_a_place(frames: Sequence[Frame]) -> list[list[int]]:
    """Return the images of each position that has several."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, frame in enumerate(frames):
        if frame.position is not None:
            groups[_place(frame)].append(index)
    return [group for group in groups.values() if len(group) > 1]


def _place(frame: Frame) -> tuple[int, ...]:
    return tuple(np.rint(np.asarray(frame.position) / _SAME_PLACE).astype(int).tolist())


def are_scan(frames: Sequence[Frame]) -> bool:
    """Return whether most images have one direction, at three positions or more, as those of a localizer do not."""
    placed = [
        frame for frame in frames if frame.position is not None and frame.orientation is not None
    ]
    directions = _WORDS["direction"].values(placed)
    usual, count = next(iter(Counter(directions).most_common(1)), (None, 0))
    places = {
        _place(frame)
        for frame, direction in zip(placed, directions, strict=True)
        if direction == usual
    }
    return count > len(frames) / 2 and len(places) >= _LEAST_PLACES


def _mixed(
    frames: Sequence[Frame],
    wrong: Sequence[tuple[Property, list[str]]],
    where: str | Path,
    number: int,
    selection: Selection,
) -> MixedImages:
    properties, texts = zip(*wrong, strict=True)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, key in enumerate(zip(*texts, strict=True)):
        groups[key].append(index)
    told = _telling(list(groups))
    lines = []
    for key, indices in list(groups.items())[:_LISTED]:
        words = [*selection.criteria, *((properties[place].word, key[place]) for place in told)]
        rest = [
            f"{properties[place].word} {key[place]}"
            for place in range(len(wrong))
            if place not in told
        ]
        lines.append(
            _line(number, Selection(tuple(words)), [frames[index] for index in indices], rest)
        )
    more = f"\n  and {len(groups) - _LISTED} more" if len(groups) > _LISTED else ""
    titles = " and ".join(first_few([each.title for each in properties], 5).rsplit(", ", 1))
    return MixedImages(
        where,
        expected="images that make up one volume",
        found=f"{len(groups)} groups of images in series {number} that differ in {titles}",
        remedy=f"Choose one by --series, or put its images into a folder of their own:{''.join(lines)}{more}",
    )


def _telling(keys: Sequence[tuple[str, ...]]) -> list[int]:
    """Return the places of the first properties that tell all groups from each other."""
    told: list[int] = []
    for place in range(len(keys[0])):
        if len({tuple(key[each] for each in [*told, place]) for key in keys}) > len(
            {tuple(key[each] for each in told) for key in keys}
        ):
            told.append(place)
    return told


def _line(number: int, selection: Selection, frames: Sequence[Frame], rest: Sequence[str]) -> str:
    images = f"{len(frames)} image{'s' if len(frames) > 1 else ''}"
    more = f", {first_few(rest, 4)}" if rest else ""
    return f"\n  --series {shlex.quote(f'{number}:{selection}')}  {images} such as {frames[0].name}{more}"
