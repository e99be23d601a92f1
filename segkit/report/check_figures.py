"""Figures of a check: the distribution of each measurement over the cases, odd ones named."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from segkit.dataset_check.outliers import DEVIATIONS, Quantity
from segkit.report.figures import COLORS, new_figure, plain_text, save_figure

WIDTH, ROW, REST = 6.0, 0.55, 0.9
"""Width of a figure, height of a row, and of title and axis, in inches."""
MOST_ROWS = 40
"""Largest number of measurements in a figure."""
NAMED = 3
"""Largest number of cases that are named in a row."""
WIDE = 20.0
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""
_ODD = COLORS[1]
_GROUP_COLORS = (0, 2, 3, 4, 5)
"""Numbers of the colors of the groups; that of odd cases is not among them."""


def distribution_figure(stem: Path, title: str, quantities: Sequence[Quantity]) -> Path:
    """Draw a row of points for each measurement, a point for each case, and return the PNG.

    Args:
        stem: path of the figure without its suffix.
        title: title of the figure.
        quantities: measurements of one unit; of more than MOST_ROWS, those with the largest
            deviations are drawn.
    """
    farthest = {
        quantity.name: max(map(abs, quantity.deviations().values())) for quantity in quantities
    }
    shown = sorted(quantities, key=lambda quantity: -farthest[quantity.name])[:MOST_ROWS]
    shown = [quantity for quantity in quantities if quantity in shown]
    figure, (axes,) = new_figure(1)
    figure.set_size_inches(WIDTH, REST + ROW * len(shown))
    for row, quantity in enumerate(shown):
        _draw_row(axes, len(shown) - 1 - row, quantity)
    axes.set_yticks(range(len(shown)), [plain_text(quantity.name) for quantity in shown[::-1]])
    axes.set_ylim(-0.6, len(shown) - 0.3)
    axes.set(title=plain_text(title), xlabel=shown[0].unit or "as stored in the files")
    _scale(axes, [value for quantity in shown for value in quantity.values.values()])
    axes.margins(x=0.08)
    axes.grid(alpha=0.3, axis="x")
    return save_figure(figure, stem)


def _draw_row(axes: Axes, height: int, quantity: Quantity) -> None:
    """Draw the cases as points, colored by group, and name those that are odd."""
    deviations = quantity.deviations()
    cases = list(quantity.values)
    x = np.array([quantity.values[case] for case in cases])
    # Points of equal values would hide each other: they are spread vertically, by their order.
    y = height - 0.28 + 0.3 * ((np.arange(len(cases)) * 0.618) % 1)
    is_odd = np.array([abs(deviations[case]) > DEVIATIONS for case in cases])
    group_of = np.array([quantity.groups.get(case, "") for case in cases])
    for number, group in enumerate(sorted(set(group_of))):
        color = COLORS[_GROUP_COLORS[number % len(_GROUP_COLORS)]]
        own = (group_of == group) & ~is_odd
        axes.plot(x[own], y[own], "o", color=color, markersize=3, alpha=0.5)
    axes.plot(x[is_odd], y[is_odd], "D", color=_ODD, markersize=5, zorder=3)
    _name(axes, height, quantity, deviations)


def _name(axes: Axes, height: int, quantity: Quantity, deviations: dict[str, float]) -> None:
    odd = sorted(
        (case for case in deviations if abs(deviations[case]) > DEVIATIONS),
        key=lambda case: -abs(deviations[case]),
    )
    for place, case in enumerate(odd[:NAMED]):
        more = f" (+{len(odd) - NAMED} more)" if place == NAMED - 1 and len(odd) > NAMED else ""
        axes.annotate(
            plain_text(case) + more,
            (quantity.values[case], height + 0.12),
            xytext=(0, 7 * place),
            textcoords="offset points",
            ha="right" if deviations[case] > 0 else "left",
            fontsize="x-small",
            color=_ODD,
        )


def _scale(axes: Axes, values: Sequence[float]) -> None:
    low, high = float(np.min(values)), float(np.max(values))
    if low > 0 and high > WIDE * low:
        axes.set_xscale("log")
    elif low <= 0 and max(abs(low), abs(high)) > 1000 * max(1.0, float(np.median(np.abs(values)))):
        axes.set_xscale("symlog", linthresh=max(1.0, 10 ** math.floor(math.log10(high + 1) - 3)))
