"""Figures with lines and intervals, written as PNG and SVG; no display server is needed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

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
) -> None:
    """Draw lines with their bands, and a legend if there are several.

    Args:
        axes: the panel.
        lines: the lines; points that are not finite are left out.
        x_label: name and unit of the horizontal axis.
        y_label: name and unit of the vertical axis.
        title: title of the panel.
        log_x: whether the horizontal axis is logarithmic; every x is then a tick.
    """
    for position, line in enumerate(lines):
        _draw(axes, line, position if line.number is None else line.number)
    if log_x:
        _logarithmic(axes, lines)
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.grid(alpha=0.3)
    if len(lines) > 1:
        axes.legend(fontsize="small", ncols=2 if len(lines) > 5 else 1)


def add_band_note(axes: Axes, text: str) -> None:
    """Add an entry to the legend that says what the bands and bars are."""
    handles = axes.get_legend_handles_labels()[0]
    handles.append(Patch(color="gray", alpha=0.3, label=text))
    # Two columns of long names are wider than a panel.
    axes.legend(handles=handles, fontsize="small", ncols=2 if len(handles) > 6 else 1)


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
    if line.low is None or line.high is None:
        return
    if len(line.x) > 1:
        axes.fill_between(
            line.x, line.low, line.high, color=style["color"], alpha=0.15, linewidth=0
        )
        return
    # A band needs two ends: a single point gets a bar.
    for x, low, high in zip(line.x, line.low, line.high, strict=True):
        axes.plot([x, x], [low, high], color=style["color"], alpha=0.5, linewidth=4)


def _logarithmic(axes: Axes, lines: Sequence[Line]) -> None:
    axes.set_xscale("log")
    ticks = sorted({x for line in lines for x in line.x})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
