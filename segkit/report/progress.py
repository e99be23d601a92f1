"""Draw progress.png: validation Dice, loss, learning rate and time of a training."""

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

MAX_NAMED = 8
"""Largest number of labels for which every label gets a color, a name and a band."""
LOWEST = 3
"""Number of labels, those with the lowest Dice, that are named if there are more than MAX_NAMED."""
MAX_NAME_LENGTH = 40

Rows = Sequence[Mapping[str, float | str]]
"""Rows of training.csv: column -> value, "" if there is none."""


def write_progress_picture(
    path: Path, rows: Rows, labels: Sequence[str], *, colors: Mapping[str, Color] | None = None
) -> None:
    """Plot the rows of training.csv as a PNG; no display server is needed.

    Args:
        path: the PNG.
        rows: rows of training.csv, in the order of their steps.
        labels: names of the labels, in the order of the model.
        colors: color of each label, as in every other picture.
    """
    figure = Figure(figsize=(8, 9), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=(4, 2, 1.5))
    _draw_dice(upper, rows, label_colors(labels, colors))
    _draw_loss(middle, rows)
    _draw_time(lower, rows)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # Characters that the font lacks are drawn as boxes, which is no reason for a warning.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        # `savefig` would draw everything twice.
        canvas.print_png(temporary)  # type: ignore[no-untyped-call]


def _draw_dice(axes: Axes, rows: Rows, labels: Mapping[str, Color]) -> None:
    axes.set(ylabel="Dice on validation cases", ylim=(0, 1))
    axes.grid(alpha=0.3)
    if not _series(rows, "dice")[0]:
        axes.text(
            0.5, 0.5, "no validation so far", transform=axes.transAxes, ha="center", color="gray"
        )
        return
    named, prefix = list(labels), ""
    if len(labels) > MAX_NAMED:
        named, prefix = _lowest(rows, list(labels)), "lowest: "
    for label in labels:
        if label not in named:
            axes.plot(*_series(rows, f"dice_{label}"), color="lightgray", linewidth=1, zorder=1)
    for label in named:
        red, green, blue = labels[label]
        color = f"#{red:02x}{green:02x}{blue:02x}"
        legend = _without_markup(prefix + label)
        _draw_with_band(axes, rows, f"dice_{label}", label=legend, color=color, linewidth=1.5)
    if len(labels) != 1:
        _draw_with_band(axes, rows, "dice", label="mean over labels", color="black", linewidth=2.5)
    _add_legend(axes, unnamed=len(labels) - len(named))


def _add_legend(axes: Axes, unnamed: int) -> None:
    """Add the legend of the Dice curves; ``unnamed`` labels are drawn in gray."""
    handles = axes.get_legend_handles_labels()[0]
    if unnamed > 0:
        handles.append(Line2D([], [], color="lightgray", label=f"the other {unnamed} labels"))
    if axes.collections:
        band = "band or bar: 95 % interval of the mean over cases"
        handles.append(Patch(color="gray", alpha=0.3, label=band))
    columns = 2 if len(handles) > 5 else 1
    axes.legend(handles=handles, fontsize="small", ncols=columns, loc="lower right")


def _lowest(rows: Rows, labels: Sequence[str]) -> list[str]:
    """Return the labels with the lowest Dice, each in the last validation that has it."""
    last = {label: values[-1] for label in labels if (values := _series(rows, f"dice_{label}")[1])}
    return sorted(last, key=last.__getitem__)[:LOWEST]


def _draw_with_band(
    axes: Axes, rows: Rows, name: str, *, label: str, color: str, linewidth: float
) -> None:
    steps, values = _series(rows, name)
    axes.plot(steps, values, "o-", label=label, linewidth=linewidth, markersize=4, color=color)
    with_interval = [row for row in rows if row.get(f"ci95_{name}", "") != ""]
    if not with_interval:
        return
    steps, dice = _series(with_interval, name)
    half_widths = np.array(_series(with_interval, f"ci95_{name}")[1])
    if len(steps) == 1:
        # A band needs two ends.
        axes.errorbar(steps, dice, yerr=half_widths, color=color, alpha=0.4, capsize=4)
    else:
        low, high = np.clip(dice - half_widths, 0, 1), np.clip(dice + half_widths, 0, 1)
        axes.fill_between(steps, low, high, color=color, alpha=0.12, linewidth=0)


def _without_markup(name: str) -> str:
    """Return a name that matplotlib draws literally: $ starts a formula, a leading _ hides it."""
    short = name if len(name) <= MAX_NAME_LENGTH else f"{name[: MAX_NAME_LENGTH - 1]}…"
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
    present = [row for row in rows if row.get(name, "") != ""]
    return [int(row["step"]) for row in present], [float(row[name]) for row in present]
