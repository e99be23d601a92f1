"""Figure of paired differences: a point for each case, and the mean with its interval."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from segkit.evaluation.paired import PairedValue
from segkit.report.figures import COLORS, plain_text

MOST_LABELS = 40
"""Largest number of labels in a figure."""
WIDTH = 4.6
"""Width in inches; narrow, so that text is readable on a phone."""
ROW = 0.5
"""Height of a label in inches."""
POINTS, MEAN_COLOR = COLORS[0], COLORS[1]
NAME = 24
"""Longest name of a label beside a row."""


def shown_labels(results: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the results that a figure shows: all that have a difference, or the largest ones.

    Args:
        results: entries of comparison.json of one metric.
    """
    found = [entry for entry in results if entry["difference"] is not None]
    if len(found) <= MOST_LABELS:
        return found
    largest = sorted(found, key=lambda entry: -abs(entry["difference"]))[:MOST_LABELS]
    chosen = {entry["label"] for entry in largest}
    return [entry for entry in found if entry["label"] in chosen]


def difference_figure(
    results: Sequence[Mapping[str, Any]], rows: Sequence[PairedValue], *, metric: str
) -> bytes:
    """Return a PNG with a row for each label: differences of the cases, mean and interval.

    Args:
        results: entries of comparison.json to show, of one metric.
        rows: values of both in every case, of any metric.
        metric: the metric.
    """
    figure = Figure(figsize=(WIDTH, 1.1 + ROW * len(results)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    values = _values(rows, metric)
    for row, entry in enumerate(results):
        _draw_label(axes, row, entry, values[entry["label"]])
    axes.axvline(0, color="black", linewidth=1)
    names = [plain_text(_short(entry["label"])) for entry in results]
    axes.set_yticks(range(len(results)), names)
    axes.set_ylim(len(results) - 0.5, -0.5)
    _label_sides(axes, metric, higher_is_better=results[0]["higher_is_better"])
    return _png(figure)


def _values(rows: Sequence[PairedValue], metric: str) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for row in rows:
        if row.metric == metric and row.difference is not None:
            values.setdefault(row.label, []).append(row.difference)
    return values


def _draw_label(axes: Axes, row: int, entry: Mapping[str, Any], values: Sequence[float]) -> None:
    # Spread over the height of the row in a fixed order, so that equal points do not cover another.
    heights = row + 0.28 * np.sin(2.399963 * np.arange(len(values)))
    axes.plot(values, heights, ".", color=POINTS, alpha=0.45, markersize=4, markeredgewidth=0)
    mean = entry["difference"]
    if entry["low"] is not None:
        axes.plot(
            [entry["low"], entry["high"]],
            [row, row],
            color=MEAN_COLOR,
            linewidth=4,
            solid_capstyle="butt",
        )
    axes.plot([mean], [row], "D", color="white", markeredgecolor=MEAN_COLOR, markersize=5, zorder=3)


def _label_sides(axes: Axes, metric: str, *, higher_is_better: bool) -> None:
    """Make zero the middle, and say on which side which of the two is better."""
    most = max(map(abs, axes.get_xlim()))
    axes.set_xlim(-most, most)
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(labelsize=8)
    axes.grid(axis="x", alpha=0.3)
    left, right = ("A", "B") if higher_is_better else ("B", "A")
    axes.set_xlabel(f"{metric}, B - A", fontsize=9)
    axes.set_title(f"\N{LEFTWARDS ARROW} {left} better", loc="left", fontsize=9)
    axes.set_title(f"{right} better \N{RIGHTWARDS ARROW}", loc="right", fontsize=9)


def _short(name: str) -> str:
    return name if len(name) <= NAME else f"{name[: NAME - 1]}\N{HORIZONTAL ELLIPSIS}"


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes, which is no reason for a warning.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(stream, dpi=160, format="png", metadata={"Software": None})
    return stream.getvalue()
