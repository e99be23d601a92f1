"""Figures of the normalization study, as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from segkit.evaluation.intervals import SHARE, SHARE_DIFFERENCE, Values
from segkit.report.figures import add_band_note, draw_lines, new_figure, save_figure
from segkit.studies.cells import CellResult, Row
from segkit.studies.normalization.bottleneck_figure import bottleneck_figure
from segkit.studies.normalization.lines import (
    Rows,
    layers_of,
    line_of,
    means,
    over_batches,
    over_overlaps,
    over_samples,
)
from segkit.studies.normalization.settings import NormalizationSettings
from segkit.studies.normalization.summary import (
    OVERLAP,
    Arm,
    arms_of,
    rows_by_arm,
    values_of,
)

BAND = "95 % interval over cases and seeds"
Picture = tuple[Path, str]
"""PNG and caption."""


def write_figures(
    folder: Path, settings: NormalizationSettings, results: Sequence[CellResult]
) -> list[Picture]:
    """Write every figure for which there are results, and return the PNGs with their captions."""
    rows = rows_by_arm(results)
    layers = rows_by_arm(results, "layers")
    drawn = [
        _dice(folder, settings, rows),
        _gap(folder, settings, rows),
        _convergence(folder, settings, rows_by_arm(results, "convergence")),
        _overlap(folder, settings, rows),
        _gradients(folder, settings, layers),
        _bottleneck(folder, settings, layers),
        _cost(folder, settings, rows),
    ]
    return [picture for picture in drawn if picture]


def _dice(folder: Path, settings: NormalizationSettings, rows: Rows) -> Picture | None:
    lines = over_batches(
        settings, rows, lambda found: values_of(found, "dice", overlap=OVERLAP), SHARE
    )
    if not lines:
        return None
    figure, (axes,) = new_figure()
    draw_lines(axes, lines, x_label="batch size", y_label="Dice", log_x=True)
    add_band_note(axes, BAND)
    return save_figure(figure, folder / "dice"), (
        "Dice on validation cases by batch size, the mean over labels, at overlap 0.5."
    )


def _gap(folder: Path, settings: NormalizationSettings, rows: Rows) -> Picture | None:
    lines = over_batches(
        settings, rows, lambda found: values_of(found, "train_eval_gap"), SHARE_DIFFERENCE
    )
    if not lines:
        return None
    figure, (axes,) = new_figure()
    axes.axhline(0, color="gray", linewidth=0.8)
    y_label = "Dice in evaluation minus\nDice in training mode"
    draw_lines(axes, lines, x_label="batch size", y_label=y_label, log_x=True)
    add_band_note(axes, BAND)
    return save_figure(figure, folder / "train_eval_gap"), (
        "What running statistics change: Dice in evaluation mode minus Dice of the same windows "
        "with the statistics of a batch. Norms without batch statistics are at 0."
    )


def _convergence(folder: Path, settings: NormalizationSettings, rows: Rows) -> Picture | None:
    sizes = sorted({min(settings.batch_sizes), settings.largest_batch})
    measures = {"loss": "training loss", "dice_during_training": "Dice during training"}
    panels = [(size, measure) for size in sizes for measure in measures]
    lines = {panel: over_samples(settings, rows, *panel) for panel in panels}
    panels = [panel for panel in panels if lines[panel]]
    if not panels:
        return None
    figure, axes = new_figure(len(panels))
    for part, (size, measure) in zip(axes, panels, strict=True):
        title = f"batch size {size}"
        y_label = measures[measure]
        found = lines[size, measure]
        draw_lines(part, found, x_label="patches seen", y_label=y_label, title=title)
    return save_figure(figure, folder / "convergence"), (
        "How fast each norm learns, at equal numbers of patches seen; mean over seeds."
    )


def _overlap(folder: Path, settings: NormalizationSettings, rows: Rows) -> Picture | None:
    size = min(settings.batch_sizes)
    names = {
        "tile_mismatch_foreground": "share of labeled voxels that\nchange with the windows",
        "dice": "Dice",
    }
    lines = {measure: over_overlaps(settings, rows, size, measure) for measure in names}
    panels = [measure for measure in names if lines[measure]]
    if not panels:
        return None
    figure, axes = new_figure(len(panels))
    for part, measure in zip(axes, panels, strict=True):
        title = f"batch size {size}"
        y_label = names[measure]
        draw_lines(part, lines[measure], x_label="overlap", y_label=y_label, title=title)
    add_band_note(axes[-1], BAND)
    return save_figure(figure, folder / "overlap"), (
        "Seams: how much the labels depend on where the windows lie, and Dice, by the overlap of "
        "the windows."
    )


def _gradients(folder: Path, settings: NormalizationSettings, rows: Rows) -> Picture | None:
    size = min(settings.batch_sizes)
    names = layers_of(rows, "gradient_norm")
    if not names:
        return None
    chosen = list(dict.fromkeys([names[0], names[len(names) // 2], names[-1]]))
    figure, axes = new_figure(len(chosen), columns=3)
    for part, layer in zip(axes, chosen, strict=True):
        lines = [
            line_of(norm, points)
            for norm in settings.norms
            if (points := means(rows.get(Arm(norm, size), ()), "gradient_norm", "samples", layer))
        ]
        draw_lines(part, lines, x_label="patches seen", y_label="gradient norm", title=layer)
        part.set_yscale("log")
    return save_figure(figure, folder / "gradients"), (
        f"Norm of the gradient of three layers over the training at batch size {size}; layers.csv "
        "has all layers."
    )


def _bottleneck(folder: Path, settings: NormalizationSettings, rows: Rows) -> Picture | None:
    """Draw pool sizes and the spread of the statistics, layer by layer, of the first arm."""
    arm = next((arm for arm in arms_of(settings) if rows.get(arm)), None)
    figure = bottleneck_figure(rows[arm], arm.norm) if arm else None
    if arm is None or figure is None:
        return None
    return save_figure(figure, folder / "bottleneck"), (
        f"The bottleneck (gray): number of values behind one mean, and how much mean and standard "
        f"deviation differ, between batches (batch norm) or between patches ({arm.norm}), "
        f"measured on real patches in the network trained with {arm.norm}."
    )


def _cost(folder: Path, settings: NormalizationSettings, rows: Rows) -> Picture | None:
    def seconds(found: Sequence[Row]) -> Values:
        return values_of(found, "seconds_per_step")

    def gigabytes(found: Sequence[Row]) -> Values:
        return {key: value / 1e9 for key, value in values_of(found, "step_memory_bytes").items()}

    names: dict[str, Callable[[Sequence[Row]], Values]] = {
        "seconds of an optimizer step": seconds,
        "memory of a step in GB": gigabytes,
    }
    lines = {name: over_batches(settings, rows, values) for name, values in names.items()}
    panels = [name for name in names if lines[name]]
    if not panels:
        return None
    figure, axes = new_figure(len(panels))
    for part, name in zip(axes, panels, strict=True):
        draw_lines(part, lines[name], x_label="batch size", y_label=name, log_x=True)
        part.set_ylim(bottom=0)
    return save_figure(figure, folder / "cost"), (
        "Time and memory of a training step. Times are those of this machine while the study ran."
    )
