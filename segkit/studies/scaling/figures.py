"""Figure of the scaling study: Dice against measured costs, with the Pareto front."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes

from segkit.report.figures import Line, draw_lines, logarithmic_axis, new_figure, save_figure
from segkit.studies.scaling.settings import WAYS
from segkit.studies.scaling.summary import COST_NAMES, Found, cost_by_name, front_of

Picture = tuple[Path, str]
"""PNG and caption."""
UNITS = {"multiply_adds": 1e9, "memory": 1e9, "step_seconds": 1.0, "seconds": 1.0}
"""Numbers by which costs are divided in the figure."""


def write_figures(folder: Path, found: Found) -> list[Picture]:
    """Write the figure if any network has a Dice, and return it with its caption."""
    panels = {cost: lines for cost in COST_NAMES if (lines := lines_of(found, cost))}
    if not panels:
        return []
    figure, axes = new_figure(len(panels))
    for part, (cost, lines) in zip(axes, panels.items(), strict=True):
        _front(part, found, cost)
        draw_lines(part, lines, x_label=COST_NAMES[cost], y_label="Dice", bars=True)
        logarithmic_axis(part, [x for line in lines for x in line.x])
    return [
        (
            save_figure(figure, folder / "pareto"),
            "Mean Dice over labels on held-out cases against what the networks cost, by the way in "
            "which they were made larger. Multiply-adds are counts; memory and seconds were "
            "measured on this machine. Bars are 95 % intervals over cases and seeds, drawn "
            "beside each other; gray steps are the Pareto front of the means.",
        )
    ]


def lines_of(found: Found, cost: str) -> list[Line]:
    """Return a line per way to scale through its sizes, by ascending cost."""
    lines = []
    for number, way in enumerate(WAYS):
        points = sorted(
            (value / UNITS[cost], dice.mean, *(dice.ends or (dice.mean, dice.mean)))
            for member in found.members
            if member.way == way
            and (dice := found.dice(member)) is not None
            and (value := cost_by_name(found, member, cost)) is not None
        )
        if points:
            x, y, low, high = (list(column) for column in zip(*points, strict=True))
            lines.append(Line(way, x, y, low, high, number=number))
    return lines


def _front(axes: Axes, found: Found, cost: str) -> None:
    """Draw the Pareto front as steps: the best Dice that a cost can buy."""
    points = [
        (value / UNITS[cost], dice.mean)
        for member in front_of(found, cost)
        if (dice := found.dice(member)) is not None
        and (value := cost_by_name(found, member, cost)) is not None
    ]
    if points:
        x, y = zip(*points, strict=True)
        axes.step(x, y, where="post", color="gray", linewidth=3, alpha=0.35, label="Pareto front")
