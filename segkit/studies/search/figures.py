"""Figures of a search: Dice against cost, Dice against the number of points, importance of axes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from segkit.report.figures import (
    Line,
    add_legend,
    draw_lines,
    logarithmic_axis,
    new_figure,
    save_figure,
    style_of,
)
from segkit.studies.scaling.pareto import pareto_front
from segkit.studies.search.importance import Importance
from segkit.studies.search.phases import Outcome
from segkit.studies.search.summary import ARM_NAMES, Finalist, Summary, Trained, best_so_far

Picture = tuple[Path, str]
"""PNG file and its caption."""

PARETO_CAPTION = (
    "Dice on the cases for quoting against cost: all networks that were trained for all steps, "
    "with the first seed. Lines join the Pareto set of each color; the other points are dominated "
    "by one of their own color. A cross is one of the best networks with all seeds: the mean, and "
    "a bar from the smallest to the largest seed. The ring is the chosen configuration."
)
PROGRESS_CAPTION = (
    "Best Dice found so far, on the cases for choosing and with the fewest steps, against the "
    "number of trained points. The first points are the same in both, drawn at random."
)
IMPORTANCE_CAPTION = (
    "Share of each axis in the importance for the Dice with the fewest steps (PED-ANOVA), and the "
    "share of shuffled results that reach it (p)."
)


def write_figures(
    folder: Path, summary: Summary, found: Sequence[Importance], cost_label: str
) -> list[Picture]:
    """Write the figures and return their PNG files with captions.

    Args:
        folder: the study's folder.
        summary: the results.
        found: importance of each axis; nothing if it cannot be computed.
        cost_label: name of the compared cost.
    """
    pictures = []
    if summary.trained:
        pictures.append((_pareto(folder, summary, cost_label), PARETO_CAPTION))
    if any(arm.records for arm in summary.outcome.arms):
        pictures.append((_progress(folder, summary.outcome), PROGRESS_CAPTION))
    if found:
        pictures.append((_importance(folder, found), IMPORTANCE_CAPTION))
    return pictures


def _pareto(folder: Path, summary: Summary, cost_label: str) -> Path:
    figure, (axes,) = new_figure()
    for number, arm in enumerate(ARM_NAMES):
        rows = [row for row in summary.trained if row.arm == arm]
        if rows:
            _draw_arm(axes, rows, number)
    for finalist in summary.finalists:
        _draw_finalist(axes, finalist, summary)
    logarithmic_axis(axes, [row.cost for row in summary.trained])
    axes.set(xlabel=cost_label, ylabel="Dice, cases for quoting")
    axes.grid(alpha=0.3)
    add_legend(axes)
    return save_figure(figure, folder / "pareto")


def _draw_arm(axes: Axes, rows: Sequence[Trained], number: int) -> None:
    """Draw the networks of an arm, and a line through those that none of them dominates."""
    style = style_of(number)
    costs, dice = [row.cost for row in rows], [row.quoted for row in rows]
    label = ARM_NAMES[rows[0].arm]
    # Rings, the first ones larger: several arms can have the same network.
    marks = axes.scatter(costs, dice, 70 - 14 * number, label=label, marker=style["marker"])
    marks.set(facecolor="none", edgecolor=style["color"])
    front = pareto_front(list(zip(costs, dice, strict=True)))
    axes.plot([costs[i] for i in front], [dice[i] for i in front], color=style["color"], alpha=0.5)


def _draw_finalist(axes: Axes, finalist: Finalist, summary: Summary) -> None:
    """Draw a configuration with all seeds."""
    color = style_of(list(ARM_NAMES).index(finalist.arm))["color"]
    x, means = summary.costs[finalist.name], finalist.seed_means
    middle = float(np.mean(means))
    axes.plot([x, x], [min(means), max(means)], color=color, linewidth=1.5)
    axes.plot([x], [middle], color=color, marker="x", markersize=8)
    if finalist is summary.chosen:
        axes.plot([x], [middle], "o", color="black", markersize=14, fillstyle="none")


def _progress(folder: Path, outcome: Outcome) -> Path:
    figure, (axes,) = new_figure()
    lines = []
    for number, (name, label) in enumerate(ARM_NAMES.items()):
        arm = outcome.arm(name)
        if arm and arm.records:
            best = best_so_far(arm)
            lines.append(Line(label, range(1, len(best) + 1), best, number=number))
    draw_lines(axes, lines, x_label="trained points", y_label="best Dice so far")
    return save_figure(figure, folder / "progress_of_search")


def _importance(folder: Path, found: Sequence[Importance]) -> Path:
    figure, (axes,) = new_figure()
    rows = list(reversed(found))
    axes.barh([row.axis.replace("_", " ") for row in rows], [row.share for row in rows])
    for position, row in enumerate(rows):
        axes.text(row.share, position, f" p = {row.p:.2f}", va="center", fontsize="small")
    axes.set(xlabel="share of the importance", xlim=(0, 1.25 * max(row.share for row in rows)))
    return save_figure(figure, folder / "importance")
