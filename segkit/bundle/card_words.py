"""Numbers, ranges and names of a model card in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from segkit.errors import printable
from segkit.units import is_number

UNKNOWN = "not recorded"


def number_words(value: float) -> str:
    """Return a number with about three digits, and thousands separated.

    >>> number_words(0.8), number_words(3), number_words(171234.5), number_words(12.345)
    ('0.8', '3', '171,234', '12.3')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def range_words(ends: Sequence[float]) -> str:
    """Return a range, or a single number if both ends read alike.

    >>> range_words([0.8, 1.25]), range_words([1.0, 1.0])
    ('0.8 to 1.25', '1')
    """
    low, high = map(number_words, ends)
    return low if low == high else f"{low} to {high}"


def per_axis_words(axes: Sequence[Sequence[float]], unit: str) -> str:
    """Return a range for each axis.

    >>> per_axis_words([[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]], "mm")
    '1 x 1 x 2 mm'
    >>> per_axis_words([[1.0, 1.0], [1.0, 1.0], [2.0, 3.0]], "mm")
    'X 1, Y 1, Z 2 to 3 mm'
    """
    ranges = [range_words(axis) for axis in axes]
    if not any("to" in text for text in ranges):
        return f"{' x '.join(ranges)} {unit}"
    named = (f"{axis} {text}" for axis, text in zip("XYZ", ranges, strict=True))
    return f"{', '.join(named)} {unit}"


def names_words(names: Iterable[str]) -> str:
    """Return names as an enumeration, with control characters escaped.

    >>> names_words(["a", "b", "c"]), names_words({"CT": 1})
    ('a, b and c', 'CT')
    """
    *first, last = [printable(str(name)) for name in names] or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def count_words(count: Any, noun: str) -> str:
    """Return a number of things.

    >>> count_words(1, "case"), count_words(2, "patient"), count_words(None, "case")
    ('1 case', '2 patients', 'cases: not recorded')
    """
    if not is_number(count):
        return f"{noun}s: {UNKNOWN}"
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def volume_words(volume: Sequence[float], unit: str) -> str:
    """Return a range of volumes, in ml for mm^3.

    >>> volume_words([900.0, 2100.0], "mm"), volume_words([10, 10], "px")
    ('0.9 to 2.1 ml', '10 pixels')
    """
    if unit == "px":
        return f"{range_words(volume)} pixels"
    return f"{range_words([mm3 / 1000 for mm3 in volume])} ml"


def dice_words(result: Mapping[str, Any]) -> str:
    """Return a Dice with its interval and the number of cases.

    >>> measured = {"dice": 0.871, "low": 0.861, "high": 0.881, "cases": 40, "patients": None}
    >>> dice_words(measured)
    'Dice 0.871 (95 % interval 0.861 to 0.881, 40 cases)'
    >>> dice_words({**measured, "low": None, "high": None, "cases": 1})
    'Dice 0.871 (no interval, 1 case)'
    """
    low, high = result["low"], result["high"]
    interval = "interval not recorded" if result["cases"] is None else "no interval"
    if is_number(low) and is_number(high):
        interval = f"95 % interval {low:.3f} to {high:.3f}"
    cases = "" if result["cases"] is None else f", {count_words(result['cases'], 'case')}"
    if is_number(result["patients"]):
        cases += f" of {count_words(result['patients'], 'patient')}"
    return f"Dice {result['dice']:.3f} ({interval}{cases})"
