"""progress.png: the loss, the validation Dice and the learning rate of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from segkit.files import atomic_path


def write_progress_picture(path: Path, rows: Sequence[Mapping[str, float | str]], labels: Sequence[str]) -> None:
    """Draw the rows of training.csv; needs no display server."""
    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _draw_dice(upper, rows, labels)
    _draw_loss(lower, rows)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")


def _draw_dice(axes: Axes, rows: Sequence[Mapping[str, float | str]], labels: Sequence[str]) -> None:
    for name in ("dice", *(f"dice_{label}" for label in labels)):
        steps, values = _series(rows, name)
        whole = name == "dice"
        text = "mean" if whole else name.removeprefix("dice_")
        axes.plot(steps, values, "o-", label=text, linewidth=2 if whole else 1, color="black" if whole else None)
    axes.set(ylabel="Dice on validation cases", ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", ncols=2 if len(labels) > 6 else 1, loc="lower right")


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
