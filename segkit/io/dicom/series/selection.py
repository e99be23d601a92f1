"""Selection of images of a series by their properties, such as ``--series 3:echo=2,type=M``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segkit.errors import UsageError
from segkit.io.dicom.frames import Frame
from segkit.io.dicom.series.attributes import Value
from segkit.io.dicom.series.properties import PROPERTIES, Property
from segkit.io.dicom.series.repeats import REPEAT

ANY = "any"
"""Value that makes a selection ignore a property."""
LISTED = 12
"""Number of values or groups that a message lists."""
_BY_WORD = {prop.word: prop for prop in (*PROPERTIES, REPEAT)}


@dataclass(frozen=True)
class Selection:
    """Criteria for images of a series: values of `PROPERTIES` and `REPEAT`."""

    criteria: tuple[tuple[str, str], ...] = ()
    """Pairs of the word of a property and a value or `ANY`."""

    def __str__(self) -> str:
        return ",".join(f"{word}={value}" for word, value in self.criteria)

    @property
    def ignored(self) -> set[str]:
        """Words of the properties that are ignored."""
        return {word for word, value in self.criteria if value.casefold() == ANY}


ALL = Selection()


def selection_of(text: str) -> Selection:
    """Read a selection such as ``echo=2,type=M``.

    Raises:
        UsageError: the text has another form, or a word that is not a property.
    """
    return Selection(tuple(_criterion(text, part) for part in text.split(",")))


def _criterion(text: str, part: str) -> tuple[str, str]:
    word, equals, value = (piece.strip() for piece in part.partition("="))
    if not equals or not value or word not in _BY_WORD:
        raise UsageError(
            f"--series {text}: write WORD=VALUE,... with the words {', '.join(_BY_WORD)}"
        )
    return word, value


def looks_like_selection(text: str) -> bool:
    """Return whether a text has the form that `selection_of` expects, with any words.

    >>> looks_like_selection("echo=2"), looks_like_selection("T1 post")
    (True, False)
    """
    return re.fullmatch(r"\s*[a-z]+\s*=[^=]+(,\s*[a-z]+\s*=[^=]+)*", text) is not None


@dataclass(frozen=True, eq=False)
class Column:
    """Values of one property for all images."""

    prop: Property
    values: list[Value]

    @property
    def varies(self) -> bool:
        """True if the images have different values."""
        return len(set(self.values)) > 1

    def texts(self) -> list[str]:
        """Return the values in the form in which they are shown and typed."""
        if self.prop.shown:
            return [_text(value) for value in self.values]
        distinct = dict.fromkeys(self.values)
        numbers = {value: str(number) for number, value in enumerate(distinct, start=1)}
        return [numbers[value] for value in self.values]


def _text(value: Value) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple):
        return "/".join(_text(item) for item in value)
    if value is None:
        return "none"
    # Replace characters that would end the value on the command line or control the terminal.
    return re.sub(r"[,=:]|[^ -~\w]", ";", str(value))


def selected(frames: Sequence[Frame], selection: Selection, path: str | Path) -> list[Frame]:
    """Return the frames that have all the values of a selection.

    Raises:
        UsageError: no frame has them; the message lists the existing values.
    """
    kept = np.ones(len(frames), bool)
    for word, value in selection.criteria:
        if word in selection.ignored:
            continue
        texts = Column(_BY_WORD[word], _BY_WORD[word].values(frames)).texts()
        fits = np.array([_fits(text, value, exact=value in texts) for text in texts])
        if fits.any() and not (kept & fits).any():
            raise UsageError(
                f"{path}: --series {selection}: no image fits all criteria; "
                f"{fits.sum()} fit {word}={value}"
            )
        if not fits.any():
            values = ", ".join(
                f"{text} ({count})" for text, count in Counter(texts).most_common(LISTED)
            )
            raise UsageError(
                f"{path}: --series {selection}: no image fits {word}={value}; {word} is {values}"
            )
        kept &= fits
    return [frame for frame, keep in zip(frames, kept, strict=True) if keep]


def _fits(text: str, value: str, *, exact: bool) -> bool:
    """Return whether a value that the user typed matches the text of an image.

    Without ``exact``, case is ignored, and the value may also be one of the parts of the text
    between slashes, or the same number in another notation.
    """
    if text == value:
        return True
    if exact:
        return False
    text, value = text.casefold(), value.casefold()
    return text == value or value in text.split("/") or _number(text) == _number(value)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
