"""Charts as SVG inside of a page: sharp in print, readable on a phone, with a text alternative."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 480
"""Width of a chart in units of its own; its text has 13 of them, so 10 pixels on a phone."""
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 62, 14, 12, 46
NAMED_POINTS = 300
"""Number of points up to which each has its name in a tooltip."""


@dataclass(frozen=True)
class Axis:
    """Linear axis: values from ``low`` to ``high`` at the positions ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the position of a value, at the nearer end for values beyond the axis.

        >>> Axis(0, 10, 100, 200).at(5), Axis(0, 10, 200, 100).at(20)
        (150.0, 100.0)
        """
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round numbers on the axis, about five of them."""
        step = round_step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def round_step(rough: float) -> float:
    """Return the number 1, 2 or 5 times a power of ten that is at least about ``rough``.

    >>> round_step(0.17), round_step(3.0)
    (0.2, 5.0)
    """
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def axis_of(values: Sequence[float], start: float, end: float, *, margin: float = 0.05) -> Axis:
    """Return an axis on which all finite values have a place, with a margin.

    Args:
        values: the values.
        start: position of the low end.
        end: position of the high end.
        margin: share of the range that is left free at both ends.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    free = (high - low) * margin or abs(high) * margin or 1.0
    return Axis(low - free, high + free, start, end)


def chart(parts: Sequence[str], height: float, description: str, caption: str = "") -> str:
    """Return a chart as HTML: a figure with an SVG and a caption.

    Args:
        parts: elements of the SVG.
        height: height in the units of the chart.
        description: what the chart shows, in words and numbers, for those who do not see it.
        caption: text below the chart; by default the description.
    """
    text = html.escape(description)
    below = html.escape(caption or description)
    return (
        f'<figure class="chart"><svg viewBox="0 0 {WIDTH} {height:g}" role="img"'
        f' aria-label="{text}">{"".join(parts)}</svg><figcaption>{below}</figcaption></figure>'
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Return a line; ``kind`` is its class in the style of the page."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def text(x: float, y: float, words: str, *, anchor: str = "middle", turned: bool = False) -> str:
    """Return words at a position; ``anchor`` is start, middle or end; turned reads upwards."""
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{html.escape(words)}</text>'


def points(places: Sequence[tuple[float, float]], names: Sequence[str]) -> str:
    """Return a dot for each place, with its name as a tooltip unless there are very many."""
    named = len(places) <= NAMED_POINTS
    return "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5">'
        + (f"<title>{html.escape(name)}</title>" if named else "")
        + "</circle>"
        for (x, y), name in zip(places, names, strict=True)
    )


def scatter(name: str) -> float:
    """Return the distance of a dot from the middle of its row, the same each time for a name."""
    return sum(map(ord, name)) * 7 % 13 - 6


def horizontal(axis: Axis, y: float, title: str, *, top: float) -> str:
    """Return a horizontal axis at the height ``y``, with a grid up to ``top`` and its title."""
    parts = [line(axis.start, y, axis.end, y, "axis")]
    for tick in axis.ticks:
        x = axis.at(tick)
        parts += [line(x, y, x, top, "grid"), text(x, y + 16, tick_text(tick))]
    return "".join([*parts, text((axis.start + axis.end) / 2, y + 35, title)])


def vertical(axis: Axis, x: float, title: str, *, right: float) -> str:
    """Return a vertical axis at ``x``, with a grid up to ``right`` and its title."""
    parts = [line(x, axis.start, x, axis.end, "axis")]
    for tick in axis.ticks:
        y = axis.at(tick)
        parts += [line(x, y, right, y, "grid"), text(x - 6, y + 4, tick_text(tick), anchor="end")]
    return "".join([*parts, text(14, (axis.start + axis.end) / 2, title, turned=True)])


def tick_text(number: float) -> str:
    """Return the number at a tick.

    >>> tick_text(0.30000000000000004), tick_text(-0.0), tick_text(1500.0)
    ('0.3', '0', '1500')
    """
    return f"{round(number, 9) + 0.0:.6g}"
