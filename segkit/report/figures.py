"""Figures with lines and intervals, written as PNG and SVG; no display server is needed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator
from matplotlib.transforms import ScaledTranslation

from segkit.files.atomic import atomic_path

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C6D1F")
"""Colors that people with any color vision can tell apart (Okabe and Ito 2008).

Yellow, which is hard to see on white, is replaced by a dark brown.
"""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Marks of the lines, so that a figure can be read without its colors."""
STYLES = ("-", "--", ":")
"""Line styles; the next one is taken when all colors are in use."""
PANEL_SIZE = (5.2, 3.6)
"""Width and height of a panel in inches."""


BESIDE = 5
"""Distance in points between lines that are drawn beside each other."""
BELOW = 0.45
"""Distance in inches from a panel to its legend, with room for the name of its axis."""
MARK_WIDTH, LETTER_WIDTH = 0.5, 0.075
"""Width in inches of a mark in a legend with its margins, and of a letter."""


@dataclass(frozen=True)
class Line:
    """A line of a figure, with its interval at every point where there is one."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    number: int | None = None
    """Number of its color and mark, so that a thing looks alike in all figures; default: the
    position of the line in its panel."""


def new_figure(panels: int = 1, *, columns: int = 2) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels, row by row.

    Args:
        panels: number of panels.
        columns: largest number of panels beside each other.
    """
    across = min(panels, columns)
    down = math.ceil(panels / across)
    width, height = PANEL_SIZE
    figure = Figure(figsize=(width * across, height * down), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(down, across, squeeze=False)
    axes: list[Axes] = list(grid.flat)
    for unused in axes[panels:]:
        unused.set_axis_off()
    return figure, axes[:panels]


def draw_lines(
    axes: Axes,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    log_x: bool = False,
    bars: bool = False,
) -> None:
    """Draw lines with their bands, and a legend below the panel if there are several.

    Lines of a single point, whose intervals are bars, are drawn beside each other.

    Args:
        axes: the panel.
        lines: the lines; points that are not finite are left out.
        x_label: name and unit of the horizontal axis.
        y_label: name and unit of the vertical axis.
        title: title of the panel.
        log_x: whether the horizontal axis is logarithmic; every x is then a tick.
        bars: whether the intervals of all lines are bars, because bands would hide each other.
    """
    beside = [line for line in lines if bars or len(line.x) == 1]
    for position, line in enumerate(lines):
        number = position if line.number is None else line.number
        if line in beside:
            points = BESIDE * (beside.index(line) - (len(beside) - 1) / 2)
            _draw_bars(axes, line, number, moved=points)
        else:
            _draw(axes, line, number)
    if log_x:
        _logarithmic(axes, lines)
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.grid(alpha=0.3)
    if len(lines) > 1:
        add_legend(axes)


def add_band_note(axes: Axes, text: str) -> None:
    """Add an entry to the legend that says what the bands and bars are."""
    add_legend(axes, Patch(color="gray", alpha=0.3, label=text))


def add_legend(axes: Axes, *more: Artist) -> None:
    """Add a legend below the panel, where it covers nothing, with as many columns as fit.

    Args:
        axes: the panel with its labels.
        more: further entries.
    """
    handles = [*axes.get_legend_handles_labels()[0], *more]
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = int(PANEL_SIZE[0] / (MARK_WIDTH + LETTER_WIDTH * longest))
    below = ScaledTranslation(0, -BELOW, figure_of(axes).dpi_scale_trans)
    axes.legend(
        handles=handles,
        fontsize="small",
        ncols=max(1, min(columns, len(handles))),
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + below,
        borderaxespad=0,
        frameon=False,
    )


def figure_of(axes: Axes) -> Figure:
    """Return the figure of a panel."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("a panel without a figure")
    return figure


def save_figure(figure: Figure, stem: str | Path) -> Path:
    """Write ``stem``.png and ``stem``.svg, and return the PNG.

    Equal figures give equal files: neither holds a date or a random name.
    """
    png = Path(f"{stem}.png")
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": "segkit"}):
        # Characters that the font lacks are drawn as boxes, which is no reason for a warning.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        for path, metadata in ((png, {"Software": None}), (Path(f"{stem}.svg"), {"Date": None})):
            with atomic_path(path) as temporary:
                suffix = path.suffix.removeprefix(".")
                figure.savefig(temporary, dpi=110, format=suffix, metadata=metadata)
    return png


def style_of(number: int) -> dict[str, str]:
    """Return color, mark and line style number ``number``.

    >>> style_of(8)
    {'color': '#0072B2', 'marker': 'o', 'linestyle': '--'}
    """
    return {
        "color": COLORS[number % len(COLORS)],
        "marker": MARKERS[number % len(MARKERS)],
        "linestyle": STYLES[number // len(COLORS) % len(STYLES)],
    }


def plain_text(name: str) -> str:
    """Return a name that matplotlib draws literally: $ starts a formula, a leading _ hides it."""
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


def _draw(axes: Axes, line: Line, number: int) -> None:
    style = style_of(number)
    (drawn,) = axes.plot(line.x, line.y, label=plain_text(line.label), markersize=4, linewidth=1.5)
    drawn.set(**style)
    if line.low is not None and line.high is not None:
        axes.fill_between(
            line.x, line.low, line.high, color=style["color"], alpha=0.15, linewidth=0
        )


def _draw_bars(axes: Axes, line: Line, number: int, *, moved: float) -> None:
    """Draw a line with a bar at every point, moved to the right by so many points (1/72 inch).

    A single point is moved with its bar; a longer line stays in its place.
    """
    aside = ScaledTranslation(moved / 72, 0, figure_of(axes).dpi_scale_trans)
    place, style = axes.transData + aside, style_of(number)
    _draw(axes, Line(line.label, line.x, line.y), number)
    if len(line.x) == 1:
        axes.lines[-1].set_transform(place)
    for x, low, high in zip(line.x, line.low or (), line.high or (), strict=bool(line.low)):
        color, ends = style["color"], [low, high]
        (bar,) = axes.plot([x, x], ends, color=color, alpha=0.4, linewidth=3)
        # Only now, or the bar would not count for the limits of the axes.
        bar.set_transform(place)


def _logarithmic(axes: Axes, lines: Sequence[Line]) -> None:
    axes.set_xscale("log")
    ticks = sorted({x for line in lines for x in line.x})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    if len(ticks) == 1:
        axes.set_xlim(ticks[0] / 2, ticks[0] * 2)
    axes.minorticks_off()


def logarithmic_axis(axes: Axes, values: Sequence[float]) -> None:
    """Make the horizontal axis logarithmic, with a few plain numbers as ticks.

    Args:
        axes: the panel.
        values: what is drawn along the axis.
    """
    axes.set_xscale("log")
    ratio = max(values) / min(values)
    # Within a decade, there are too few powers of ten; over several, their multiples are too close.
    locator = MaxNLocator(5) if ratio <= 10 else LogLocator(subs=(1, 2, 5) if ratio < 100 else (1,))
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
    axes.minorticks_off()


def short_number(value: float) -> str:
    """Return a number for a tick; from 10,000 on with a letter for thousand, million and so on.

    >>> [short_number(value) for value in (0.052, 250.0, 1.6e9)]
    ['0.052', '250', '1.6G']
    """
    return f"{value:.4g}" if abs(value) < 1e4 else str(EngFormatter(sep="")(value))
