"""Figures of the symmetry study, as PNG and SVG: Dice against the number of training cases."""

from __future__ import annotations

from pathlib import Path

from segkit.report.figures import Line as DrawnLine
from segkit.report.figures import add_band_note, draw_lines, new_figure, save_figure
from segkit.studies.symmetry.summary import POSES, Line, Pose, Results

BAND = "95 % interval over cases and seeds"
TITLES: dict[Pose, str] = {
    "canonical": "canonical pose",
    "mean": "mean over poses",
    "worst": "worst pose",
}
COLORS = {"plain": 0, "augmented": 1, "multiply_adds": 2, "parameters": 3}
"""Number of the color of each kind of arm; averaged ones have the next free number."""
AVERAGED_COLOR = 4
Picture = tuple[Path, str]
"""PNG and caption."""


def write_figures(folder: Path, results: Results) -> list[Picture]:
    """Write a figure for every group with results, and return the PNGs with their captions."""
    found = (_dice(folder, results, group) for group in results.settings.symmetries)
    return [picture for picture in found if picture]


def _dice(folder: Path, results: Results, group: str) -> Picture | None:
    panels = {
        pose: [line for one in results.lines(group) if (line := _line(results, one, group, pose))]
        for pose in POSES
    }
    if not any(panels.values()):
        return None
    figure, axes = new_figure(len(panels), columns=len(panels))
    for part, (pose, lines) in zip(axes, panels.items(), strict=True):
        draw_lines(
            part,
            lines,
            x_label="training cases",
            y_label="Dice",
            title=f"{group}: {TITLES[pose]}",
            log_x=True,
        )
    lows, highs = zip(*(part.get_ylim() for part in axes), strict=True)
    for part in axes:
        part.set_ylim(min(lows), max(highs))
    add_band_note(axes[0], BAND)
    return save_figure(figure, folder / f"dice_{group}"), (
        f"Dice on held-out cases, the mean over labels, over the elements of {group}: the scan as "
        "it is, the mean over all poses, and the pose in which each scan does worst."
    )


def _line(results: Results, line: Line, group: str, pose: Pose) -> DrawnLine | None:
    found = {count: results.interval(line, count, group, pose) for count in results.counts}
    intervals = {count: one for count, one in found.items() if one}
    if not intervals:
        return None
    ends = [one.ends or (one.mean, one.mean) for one in intervals.values()]
    return DrawnLine(
        line.words,
        list(intervals),
        [one.mean for one in intervals.values()],
        [low for low, _ in ends],
        [high for _, high in ends],
        number=AVERAGED_COLOR if line.averaged else COLORS[line.arm.kind],
    )
