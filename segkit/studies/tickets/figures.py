"""Figures of the study: Dice against the share of the weights, activations, density of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, geometric_mean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from segkit.evaluation.intervals import Interval
from segkit.report.figures import (
    COLORS,
    Line,
    add_band_note,
    draw_lines,
    new_figure,
    plain_text,
    save_figure,
)
from segkit.studies.tickets.curves import (
    DICE,
    ONE_SHOT,
    ONE_SHOT_RECALIBRATED,
    PRUNED,
    PRUNED_AT_RANDOM,
    PRUNED_RECALIBRATED,
    Arm,
    Curves,
    Rows,
    against_dense,
    number,
    spread_left,
)
from segkit.studies.tickets.levels import KINDS, TICKET

WEIGHTS = "weights left, %"
BAND = "band: 95 % interval over cases and seeds"
Point = tuple[float, float, float, float]
"""Share of the weights in percent, and mean, low and high end of an interval."""


def write_figures(
    folder: Path, curves: Curves, norms: Sequence[str], *, activations: Rows, density: Rows
) -> dict[str, Path]:
    """Write every figure that has data as PNG and SVG, and return the PNGs by name.

    Args:
        folder: where they go.
        curves: Dice of the study.
        norms: norms of the study, in order.
        activations: rows of activations.csv.
        density: rows of density.csv.
    """
    figures = {
        "tickets_and_controls": controls_figure(curves, norms),
        "norms": norms_figure(curves, norms),
        "after_pruning": after_pruning_figure(curves, norms),
        "activations": activations_figure(activations, norms, curves.remaining),
        "density": density_figure(density, norms, curves.remaining),
    }
    return {
        name: save_figure(figure, folder / name)
        for name, figure in figures.items()
        if figure is not None
    }


def controls_figure(curves: Curves, norms: Sequence[str]) -> Figure:
    """Return one panel per norm with the Dice of the tickets and of their controls."""
    figure, panels = new_figure(len(norms))
    for axes, norm in zip(panels, norms, strict=True):
        lines = [
            _line(name, _points(curves, norm, kind, DICE), color)
            for color, (kind, name) in enumerate(KINDS.items())
        ]
        draw_lines(
            axes, _drawn(lines), x_label=WEIGHTS, y_label="Dice", title=plain_text(norm), log_x=True
        )
        axes.invert_xaxis()
        add_band_note(axes, BAND)
    _share_range(panels)
    return figure


def norms_figure(curves: Curves, norms: Sequence[str]) -> Figure:
    """Return the tickets of all norms: Dice, and its difference from each dense network."""
    figure, (left, right) = new_figure(2)
    dice = [_line(norm, _points(curves, norm, TICKET, DICE), n) for n, norm in enumerate(norms)]
    draw_lines(left, _drawn(dice), x_label=WEIGHTS, y_label="Dice of the tickets", log_x=True)
    losses = [_line(norm, _differences(curves, norm), n) for n, norm in enumerate(norms)]
    draw_lines(
        right, _drawn(losses), x_label=WEIGHTS, y_label="Dice minus that of the dense", log_x=True
    )
    right.axhline(0, color="gray", linewidth=1)
    left.invert_xaxis()
    right.invert_xaxis()
    return figure


def after_pruning_figure(curves: Curves, norms: Sequence[str]) -> Figure | None:
    """Return Dice right after pruning: one level, and the dense network at once."""
    figure, panels = new_figure(2)
    titles = ("one level pruned, not trained again", "the dense network pruned at once")
    measures = (
        {PRUNED: "", PRUNED_RECALIBRATED: ", new statistics", PRUNED_AT_RANDOM: ", at random"},
        {ONE_SHOT: "", ONE_SHOT_RECALIBRATED: ", new statistics"},
    )
    drawn = 0
    for axes, title, names in zip(panels, titles, measures, strict=True):
        lines = _drawn(
            [
                # A norm keeps its color; the line style says what was done.
                _line(
                    f"{norm}{suffix}",
                    _points(curves, norm, TICKET, measure),
                    color + style * len(COLORS),
                )
                for color, norm in enumerate(norms)
                for style, (measure, suffix) in enumerate(names.items())
            ]
        )
        drawn += len(lines)
        draw_lines(axes, lines, x_label=WEIGHTS, y_label="Dice", title=title, log_x=True)
        axes.invert_xaxis()
    _share_range(panels)
    return figure if drawn else None


def activations_figure(
    rows: Rows, norms: Sequence[str], remaining: Mapping[int, float]
) -> Figure | None:
    """Return how much is left of the activations' spread on both sides of the norms."""
    if not rows:
        return None
    sides = ("before the norm", "after the norm")
    figure, panels = new_figure(2)
    for axes, side in zip(panels, sides, strict=True):
        lines = []
        for color, norm in enumerate(norms):
            points = _ratios(rows, norm, side, remaining)
            lines.append(Line(norm, [x for x, _ in points], [y for _, y in points], number=color))
        draw_lines(
            axes,
            _drawn(lines),
            x_label=WEIGHTS,
            y_label="standard deviation, of the dense",
            title=side,
            log_x=True,
        )
        axes.axhline(1, color="gray", linewidth=1)
        axes.invert_xaxis()
    _share_range(panels)
    return figure


def density_figure(
    rows: Rows, norms: Sequence[str], remaining: Mapping[int, float]
) -> Figure | None:
    """Return a map per norm: share of the weights that each layer keeps at each level."""
    if not rows:
        return None
    figure, panels = new_figure(len(norms))
    for axes, norm in zip(panels, norms, strict=True):
        shares: dict[str, dict[int, list[float]]] = {}
        for row in rows:
            if row["norm"] == norm:
                layer = shares.setdefault(str(row["layer"]), {})
                layer.setdefault(int(number(row, "level")), []).append(number(row, "density"))
        levels = sorted({level for layer in shares.values() for level in layer})
        table = [
            [100 * fmean(layer[level]) if level in layer else float("nan") for level in levels]
            for layer in shares.values()
        ]
        if table:
            image = axes.imshow(table, aspect="auto", cmap="cividis", vmin=0, vmax=100)
            figure.colorbar(image, ax=axes, label="weights of the layer, %")
        axes.set_yticks(range(len(shares)), [plain_text(name) for name in shares], fontsize=6)
        axes.set_xticks(range(len(levels)), [f"{100 * remaining[n]:.3g}" for n in levels])
        axes.set(xlabel=WEIGHTS, title=plain_text(norm))
    return figure


def _share_range(panels: Sequence[Axes]) -> None:
    """Give all panels the same vertical range, so that they can be compared."""
    lows, highs = zip(*(axes.get_ylim() for axes in panels), strict=True)
    for axes in panels:
        axes.set_ylim(min(lows), max(highs))


def _ratios(
    rows: Rows, norm: str, side: str, remaining: Mapping[int, float]
) -> list[tuple[float, float]]:
    """Return the spread left of a dense network pruned at once, by percent of the weights.

    It is the geometric mean over seeds.
    """
    left = {0: {0: 1.0}, **spread_left(rows, norm, side, "one_shot")}
    return [
        (_percent(remaining[level]), geometric_mean(seeds.values()))
        for level, seeds in left.items()
        if level in remaining
    ]


def _points(curves: Curves, norm: str, kind: str, measure: str) -> list[Point]:
    found = [(level, curves.interval(Arm(norm, kind, level, measure))) for level in curves.levels]
    return [_point(curves.remaining[level], interval) for level, interval in found if interval]


def _differences(curves: Curves, norm: str) -> list[Point]:
    return [(100.0, 0.0, 0.0, 0.0)] + [
        _point(comparison.remaining, comparison.difference)
        for comparison in against_dense(curves, norm)
    ]


def _point(share: float, interval: Interval) -> Point:
    return _percent(share), interval.mean, *(interval.ends or (interval.mean, interval.mean))


def _percent(share: float) -> float:
    """Return a share in percent with three digits, as a tick shows it."""
    return float(f"{100 * share:.3g}")


def _line(label: str, points: Sequence[Point], number: int) -> Line:
    x, y, low, high = ([point[part] for point in points] for part in range(4))
    return Line(label, x, y, low, high, number=number)


def _drawn(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if len(line.x)]
