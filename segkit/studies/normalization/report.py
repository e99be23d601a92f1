"""Report of the normalization study: verdict, tables and figures on one page."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from segkit.evaluation.intervals import SHARE, Interval, ends_text, mean_interval
from segkit.plans.plan import Plan
from segkit.report.study_page import Section, study_page, table_section
from segkit.report.tables import Cell
from segkit.studies.cells import CellResult, Row
from segkit.studies.failed_cells import failed_table
from segkit.studies.normalization.figures import Picture
from segkit.studies.normalization.settings import NormalizationSettings
from segkit.studies.normalization.summary import (
    OVERLAP,
    Arm,
    Comparison,
    arms_of,
    labels_of,
    overlaps_of,
    rows_by_arm,
    values_of,
)
from segkit.studies.normalization.verdicts import gap_sentences, headline
from segkit.training.setup import Setup

Table = tuple[list[str], list[list[Cell]]]


def report_page(
    study: Setup,
    settings: NormalizationSettings,
    results: Sequence[CellResult],
    found: Sequence[Comparison],
    pictures: Sequence[Picture],
    *,
    cells: int,
) -> str:
    """Return the page as HTML.

    Args:
        study: the study, for the name of its dataset and the patch.
        settings: settings of the study.
        results: results of the cells that were run so far.
        found: the comparisons.
        pictures: figures with captions.
        cells: number of all cells of the study.
    """
    rows = rows_by_arm(results)
    verdicts = [f"{part.verdict}." for part in found]
    sections = [
        Section("How it was measured", method(study.plan, settings, results, cells)),
        table_section("Dice", dice_table(settings, rows)),
        _points("Differences", _level_text(found), verdicts),
        _points("Training mode against evaluation", _GAP, gap_sentences(results)),
        table_section("Windows", overlap_table(settings, rows), _WINDOWS),
        table_section("Cost of a step", cost_table(settings, rows)),
        table_section("At a fixed memory", memory_table(results), _memory_text(settings)),
        Section("Figures", pictures=pictures),
        table_section("Cells without results", failed_table(results)),
    ]
    return study_page(f"Normalization on {study.dataset.name}", headline(settings, found), sections)


LOSS_OF_BATCH = (
    "The loss is computed over a batch, not over all patches of a step: Dice of the sums over its "
    "patches, and weights of its rare labels. A smaller batch therefore changes the loss as well, "
    "for all norms alike. How much that matters is seen in norms without statistics of the batch, "
    "such as group; norms are compared at one batch size."
)
"""Sentences on what depends on the batch size besides the statistics of a norm."""
_GAP = (
    "Dice of the same windows, once with running statistics (evaluation mode) and once with those "
    "of a batch of patches (training mode). The gap of group, instance and layer norm is 0 by "
    "construction. Intervals are at 95 % for each line."
)
_WINDOWS = (
    "Tile mismatch is the share of voxels, among those that either prediction labels, whose label "
    "changes if all windows are shifted by half a stride. A scan that one window covers has none."
)


def _points(title: str, text: str, points: Sequence[str]) -> Section:
    """Return a section that is empty, and therefore left out, without points."""
    return Section(title, [text] if points else [], points)


def method(
    plan: Plan, settings: NormalizationSettings, results: Sequence[CellResult], cells: int
) -> list[str]:
    """Return how the study was made, in sentences."""
    patch = " x ".join(map(str, plan.patch))
    sizes = ", ".join(map(str, sorted(settings.batch_sizes)))
    steps = {settings.steps(size) for size in settings.batch_sizes}
    length = (
        f"Small batches are accumulated, so that all take the same {steps.pop()} optimizer steps "
        "with the same patches and learning rates."
        if settings.match == "steps"
        else "Batches are not accumulated: small ones take more optimizer steps, at the same "
        "learning rate."
    )
    done = sum(result.status == "done" for result in results)
    loss = [LOSS_OF_BATCH] if len(settings.batch_sizes) > 1 else []
    return [
        f"Every training sees {settings.samples} patches of {patch} voxels, in batches of {sizes}, "
        f"with {len(settings.seeds)} {'seed' if len(settings.seeds) == 1 else 'seeds'}. {length} "
        "Plan, precision and memory format are the same in all of them.",
        *loss,
        f"{done} of {cells} cells have results. Intervals are percentiles of a bootstrap "
        "over cases and seeds; with one seed they leave out how much trainings differ by chance.",
    ]


def dice_table(settings: NormalizationSettings, rows: dict[Arm, list[Row]]) -> Table:
    """Return mean Dice with its interval, and Dice by label, of every arm."""
    labels = list(dict.fromkeys(label for found in rows.values() for label in labels_of(found)))
    header = ["norm", "batch size", "Dice", "95 % interval", *labels, "cases", "seeds"]
    table: list[list[Cell]] = []
    for arm in arms_of(settings):
        interval = _dice(rows.get(arm, []))
        if interval is None:
            continue
        by_label = [_dice(rows[arm], label) for label in labels]
        table.append(
            [
                arm.norm,
                arm.batch_size,
                interval.mean,
                ends_text(interval),
                *(None if part is None else part.mean for part in by_label),
                interval.cases,
                interval.seeds,
            ]
        )
    return header, table


def overlap_table(settings: NormalizationSettings, rows: dict[Arm, list[Row]]) -> Table:
    """Return Dice and tile mismatch at every overlap; empty if every scan is one window."""
    overlaps = sorted({overlap for found in rows.values() for overlap in overlaps_of(found)})
    header = ["norm", "batch size", *(f"Dice at {overlap:g}" for overlap in overlaps)]
    header += [f"mismatch at {overlap:g}" for overlap in overlaps]
    table: list[list[Cell]] = []
    for arm in arms_of(settings):
        found = rows.get(arm, [])
        measures = ("dice", "tile_mismatch_foreground")
        numbers: list[Cell] = [
            _mean(found, measure, overlap) for measure in measures for overlap in overlaps
        ]
        if any(number is not None for number in numbers[len(overlaps) :]):
            table.append([arm.norm, arm.batch_size, *numbers])
    return header, table


def cost_table(settings: NormalizationSettings, rows: dict[Arm, list[Row]]) -> Table:
    """Return seconds and memory of a step of every arm."""
    header = ["norm", "batch size", "batches per step", "seconds per step", "memory in MB"]
    table: list[list[Cell]] = []
    for arm in arms_of(settings):
        if arm in rows:
            memory = _mean(rows[arm], "step_memory_bytes")
            table.append(
                [
                    arm.norm,
                    arm.batch_size,
                    settings.accumulate(arm.batch_size),
                    _mean(rows[arm], "seconds_per_step"),
                    None if memory is None else round(memory / 1e6),
                ]
            )
    return header, table


def memory_table(results: Sequence[CellResult]) -> Table:
    """Return the largest patch and width of every norm at the batch sizes that were tried."""
    header = ["norm", "batch size", "voxels of the largest patch", "largest first width"]
    found: dict[tuple[str, int], dict[str, int]] = {}
    for result in results:
        if result.cell.facts["batch_size"] is None:
            for row in result.rows():
                key = (str(row["norm"]), int(row["batch"] or 0))
                found.setdefault(key, {})[str(row["measure"])] = int(row["value"] or 0)
    measures = ("largest_patch_voxels", "largest_width")
    table: list[list[Cell]] = [
        [norm, batch, *(values.get(measure) for measure in measures)]
        for (norm, batch), values in found.items()
    ]
    return header, table


def _level_text(found: Sequence[Comparison]) -> str:
    return (
        f"Differences in Dice at overlap {OVERLAP:g}, paired by case and seed. The {len(found)} "
        "intervals are wide enough to hold together with 95 % (Bonferroni)."
    )


def _memory_text(settings: NormalizationSettings) -> str:
    return (
        f"The largest patch, and the largest width of the first stage, whose training step fits "
        f"into {settings.memory}; small batches are accumulated. Found by real steps."
    )


def _dice(rows: Sequence[Row], label: str | None = None) -> Interval | None:
    return mean_interval(values_of(rows, "dice", label=label, overlap=OVERLAP), limits=SHARE)


def _mean(rows: Sequence[Row], measure: str, overlap: float | None = None) -> float | None:
    values = values_of(rows, measure, overlap=overlap)
    return mean(values.values()) if values else None
