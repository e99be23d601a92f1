"""progress.png: the loss, the validation Dice and the learning rate of a training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from segkit.files import atomic_path

MOST_NAMED = 12
"""Labels that get a colour and a name of their own; of more only the mean stands out."""


def write_progress_picture(path: Path, rows: Sequence[Mapping[str, float | str]], labels: Sequence[str]) -> None:
    """Draw the rows of training.csv; needs no display server."""
    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _draw_dice(upper, rows, labels)
    _draw_loss(lower, rows)
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # Names in scripts that the font lacks are drawn as boxes, which is no reason to disturb a training.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(temporary, dpi=100, format="png")


def _draw_dice(axes: Axes, rows: Sequence[Mapping[str, float | str]], labels: Sequence[str]) -> None:
    axes.set(ylabel="Dice on validation cases", ylim=(0, 1))
    axes.grid(alpha=0.3)
    if not _series(rows, "dice")[0]:
        axes.text(0.5, 0.5, "no validation so far", transform=axes.transAxes, ha="center", color="gray")
        return
    for number, label in enumerate(labels):
        named = len(labels) <= MOST_NAMED
        text = _plain(label) if named else ("one label each" if number == 0 else None)
        color, line = None if named else "lightgray", "o-" if number < 10 else "o--"  # there are ten colours
        axes.plot(*_series(rows, f"dice_{label}"), line, label=text, linewidth=1, color=color)
    axes.plot(*_series(rows, "dice"), "o-", label="mean", linewidth=2, color="black")
    axes.legend(fontsize="small", ncols=2 if 6 < len(labels) <= MOST_NAMED else 1, loc="lower right")


def _plain(name: str) -> str:
    """``name`` as it is written: matplotlib takes a dollar for the start of a formula, and hides a leading _."""
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


def _draw_loss(axes: Axes, rows: Sequence[Mapping[str, float | str]]) -> None:
    axes.plot(*_series(rows, "loss"), color="tab:red", label="loss")
    axes.set(xlabel="step", ylabel="training loss")
    axes.grid(alpha=0.3)
    rates = axes.twinx()
    rates.plot(*_series(rows, "learning_rate"), color="tab:gray", linestyle="--")
    rates.set_ylabel("learning rate (dashed)")


def _series(rows: Sequence[Mapping[str, float | str]], name: str) -> tuple[list[int], list[float]]:
    present = [row for row in rows if row.get(name, "") != ""]
    return [int(row["step"]) for row in present], [float(row[name]) for row in present]
