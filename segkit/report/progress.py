"""Picture progress.png: validation Dice, loss, learning rate and time of a training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from segkit.files.atomic import atomic_path
from segkit.labels.colors import Color, label_colors

MOST_NAMED = 8
"""Number of labels up to which each gets its own color, name and band."""
LOWEST = 3
"""Number of labels, those with the lowest Dice, that are named where there are more."""
LONGEST_NAME = 40
"""Number of characters after which the name of a label is cut."""

Rows = Sequence[Mapping[str, float | str]]
"""Rows of training.csv: column to value, or "" without one."""


def write_progress_picture(
    path: Path, rows: Rows, labels: Sequence[str], *, colors: Mapping[str, Color] | None = None
) -> None:
    """Draw the curves of a training; no display is needed.

    Args:
        path: the PNG to write.
        rows: rows of training.csv.
        labels: names of the labels.
        colors: colors by label; the others follow from the index of the label.

    Raises:
        InputError: the file cannot be written.
    """
    figure = Figure(figsize=(8, 9), layout="constrained")
    FigureCanvasAgg(figure)
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=(4, 2, 1.5))
    _draw_dice(upper, rows, label_colors(labels, colors))
    _draw_loss(middle, rows)
    _draw_time(lower, rows)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes, which needs no warning in a training.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(temporary, dpi=100, format="png")


def _draw_dice(axes: Axes, rows: Rows, labels: Mapping[str, Color]) -> None:
    axes.set(ylabel="Dice on validation cases", ylim=(0, 1))
    axes.grid(alpha=0.3)
    if not _series(rows, "dice")[0]:
        axes.text(
            0.5, 0.5, "no validation so far", transform=axes.transAxes, ha="center", color="gray"
        )
        return
    named, prefix = list(labels), ""
    if len(labels) > MOST_NAMED:
        named, prefix = _lowest(rows, list(labels)), "lowest: "
    for label in labels:
        if label not in named:
            axes.plot(*_series(rows, f"dice_{label}"), color="lightgray", linewidth=1, zorder=1)
    for label in named:
        red, green, blue = labels[label]
        color = f"#{red:02x}{green:02x}{blue:02x}"
        _draw_with_band(
            axes, rows, f"dice_{label}", label=_literal(prefix + label), color=color, linewidth=1.5
        )
    if len(labels) != 1:
        _draw_with_band(axes, rows, "dice", label="mean over labels", color="black", linewidth=2.5)
    handles = axes.get_legend_handles_labels()[0]
    if len(named) < len(labels):
        others = f"the other {len(labels) - len(named)} labels"
        handles.append(Line2D([], [], color="lightgray", label=others))
    if axes.collections:
        band = "band or bar: 95 % interval of the mean over cases"
        handles.append(Patch(color="gray", alpha=0.3, label=band))
    columns = 2 if len(handles) > 5 else 1
    axes.legend(handles=handles, fontsize="small", ncols=columns, loc="lower right")


def _lowest(rows: Rows, labels: Sequence[str]) -> list[str]:
    """Return the labels with the lowest Dice in the last validation that has them."""
    dice = {label: _series(rows, f"dice_{label}")[1] for label in labels}
    last = {label: values[-1] for label, values in dice.items() if values}
    return sorted(last, key=last.__getitem__)[:LOWEST]


def _draw_with_band(
    axes: Axes, rows: Rows, name: str, *, label: str, color: str, linewidth: float
) -> None:
    steps, values = _series(rows, name)
    axes.plot(steps, values, "o-", label=label, linewidth=linewidth, markersize=4, color=color)
    rows_with_interval = [row for row in rows if row.get(f"ci95_{name}", "") != ""]
    if not rows_with_interval:
        return
    steps, dice = _series(rows_with_interval, name)
    half_width = np.array(_series(rows_with_interval, f"ci95_{name}")[1])
    if len(steps) == 1:  # a band needs two points
        axes.errorbar(steps, dice, yerr=half_width, color=color, alpha=0.4, capsize=4)
    else:
        low, high = np.clip(dice - half_width, 0, 1), np.clip(dice + half_width, 0, 1)
        axes.fill_between(steps, low, high, color=color, alpha=0.12, linewidth=0)


def _literal(name: str) -> str:
    """Return a name so that matplotlib shows it literally.

    Matplotlib takes a dollar sign for the start of a formula, and hides names with a leading
    underscore.
    """
    short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    return (" " if name.startswith("_") else "") + short.replace("$", r"\$")


def _draw_loss(axes: Axes, rows: Rows) -> None:
    axes.plot(*_series(rows, "loss"), color="tab:red")
    axes.set_ylabel("training loss", color="tab:red")
    axes.grid(alpha=0.3)
    rates = axes.twinx()
    rates.plot(*_series(rows, "learning_rate"), color="dimgray", linestyle="--", linewidth=1)
    rates.set_ylabel("learning rate (dashed)", color="dimgray")


def _draw_time(axes: Axes, rows: Rows) -> None:
    steps, seconds = _series(rows, "seconds_per_step")
    axes.plot(steps, seconds, color="tab:blue")
    axes.set_ylabel("seconds per step", color="tab:blue")
    axes.set(xlabel="step", ylim=(0, 1.25 * max(seconds, default=1) or 1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    waiting = axes.twinx()
    steps, share = _series(rows, "data_share")
    percent = [100 * value for value in share]
    waiting.plot(steps, percent, color="dimgray", linestyle="--", linewidth=1)
    waiting.set(ylim=(0, max(5, 125 * max(share, default=0))))
    waiting.set_ylabel("waiting for data, %\n(dashed)", color="dimgray")


def _series(rows: Rows, name: str) -> tuple[list[int], list[float]]:
    """Return steps and values of the rows that have the column ``name``."""
    present = [row for row in rows if row.get(name, "") != ""]
    return [int(row["step"]) for row in present], [float(row[name]) for row in present]
