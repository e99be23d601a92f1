"""Summary of the normalization study: intervals per norm and batch size, and comparisons."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from segkit.evaluation.intervals import (
    SHARE,
    SHARE_DIFFERENCE,
    Interval,
    Limits,
    Values,
    mean_interval,
    paired_difference,
    shared_level,
    verdict,
)
from segkit.studies.cells import CellResult, Row
from segkit.studies.normalization.settings import NormalizationSettings

OVERLAP = 0.5
"""Overlap of windows at which norms are compared, the default of a prediction."""
PER_CASE = ("tile_mismatch", "tile_mismatch_foreground")
"""Measures per case and overlap that the summary has, besides Dice."""
PER_TRAINING = ("seconds_per_step", "step_memory_bytes")
"""Measures that a training has once."""


@dataclass(frozen=True)
class Arm:
    """Trainings that differ only in their seeds."""

    norm: str
    batch_size: int

    def __str__(self) -> str:
        return f"{self.norm} at batch size {self.batch_size}"


@dataclass(frozen=True)
class Comparison:
    """Difference in Dice between two arms, with its verdict."""

    a: Arm
    b: Arm
    difference: Interval | None

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        return verdict(self.difference, str(self.a), str(self.b))


def arms_of(settings: NormalizationSettings) -> list[Arm]:
    """Return the arms of a study, by norm and then by batch size in ascending order."""
    return [
        Arm(norm, batch_size)
        for norm in settings.norms
        for batch_size in sorted(settings.batch_sizes)
    ]


def rows_by_arm(results: Sequence[CellResult], table: str = "results") -> dict[Arm, list[Row]]:
    """Return the rows of a table by arm; cells without a batch size belong to none."""
    rows: dict[Arm, list[Row]] = defaultdict(list)
    for result in results:
        facts = result.cell.facts
        if result.status == "done" and facts["batch_size"] is not None:
            arm = Arm(str(facts["norm"]), int(facts["batch_size"]))
            rows[arm] += result.rows(table)
    return rows


def values_of(
    rows: Iterable[Row],
    measure: str,
    *,
    label: str | None = None,
    overlap: float | None = None,
) -> Values:
    """Return a measure by case and seed, the mean over labels unless one is named.

    Args:
        rows: rows of one arm.
        measure: name of the measure.
        label: the only label to take.
        overlap: the only overlap to take.
    """
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in rows:
        if row["measure"] != measure or row["value"] is None:
            continue
        if (label is None or row.get("label") == label) and (
            overlap is None or row.get("overlap") == overlap
        ):
            found[str(row.get("case", "")), int(row["seed"] or 0)].append(float(row["value"]))
    return {key: mean(values) for key, values in found.items()}


def labels_of(rows: Iterable[Row]) -> list[str]:
    """Return the labels that have a Dice, in order of appearance."""
    return list(dict.fromkeys(str(row["label"]) for row in rows if row["measure"] == "dice"))


def overlaps_of(rows: Iterable[Row]) -> list[float]:
    """Return the overlaps at which Dice was measured, in ascending order."""
    return sorted(
        {
            float(row["overlap"] or 0)
            for row in rows
            if row["measure"] == "dice" and row.get("overlap") is not None
        }
    )


def comparisons(settings: NormalizationSettings, rows: dict[Arm, list[Row]]) -> list[Comparison]:
    """Return every norm against the reference at each batch size, and each norm's batch sizes.

    All intervals hold together with 95 % (`shared_level`).
    """
    pairs = [*_with_reference(settings), *_smallest_with_largest(settings)]
    level = shared_level(len(pairs))
    dice = {arm: values_of(found, "dice", overlap=OVERLAP) for arm, found in rows.items()}
    return [
        Comparison(a, b, _difference(dice.get(a, {}), dice.get(b, {}), level)) for a, b in pairs
    ]


def _difference(a: Values, b: Values, level: float) -> Interval | None:
    return paired_difference(a, b, level=level, limits=SHARE_DIFFERENCE)


def _with_reference(settings: NormalizationSettings) -> Iterator[tuple[Arm, Arm]]:
    for batch_size in sorted(settings.batch_sizes):
        for norm in settings.norms:
            if norm != settings.reference:
                yield Arm(norm, batch_size), Arm(settings.reference, batch_size)


def _smallest_with_largest(settings: NormalizationSettings) -> Iterator[tuple[Arm, Arm]]:
    smallest, largest = min(settings.batch_sizes), settings.largest_batch
    if smallest < largest:
        for norm in settings.norms:
            yield Arm(norm, smallest), Arm(norm, largest)


def summary_of(
    settings: NormalizationSettings,
    results: Sequence[CellResult],
    found: Sequence[Comparison],
) -> dict[str, Any]:
    """Return the content of summary.json in JSON types, without the verdict.

    ``arms``         per norm and batch size: Dice with intervals, by label, with the statistics of
                     the batch, at every overlap; tile mismatch; seconds and bytes of a step
    ``comparisons``  differences in Dice with intervals that hold together, and verdicts
    ``memory``       largest patch and width that train in the given memory
    ``failed``       cells without results, with their messages
    """
    rows = rows_by_arm(results)
    return {
        "arms": [
            {**dataclasses.asdict(arm), **_arm_summary(rows[arm])}
            for arm in arms_of(settings)
            if arm in rows
        ],
        "comparisons": [_as_json(comparison) for comparison in found],
        "memory": [
            row
            for result in results
            if result.cell.facts["batch_size"] is None
            for row in result.rows()
        ],
        "failed": [
            {"cell": result.cell.name, "status": result.status, "message": result.message}
            for result in results
            if result.status != "done"
        ],
    }


def _arm_summary(rows: Sequence[Row]) -> dict[str, Any]:
    overlaps = overlaps_of(rows)
    return {
        "dice": _interval(values_of(rows, "dice", overlap=OVERLAP)),
        "dice_by_label": {
            label: _interval(values_of(rows, "dice", label=label, overlap=OVERLAP))
            for label in labels_of(rows)
        },
        "dice_by_overlap": {
            f"{overlap:g}": _interval(values_of(rows, "dice", overlap=overlap))
            for overlap in overlaps
        },
        "dice_batch_statistics": _interval(values_of(rows, "dice_batch_statistics")),
        "train_eval_gap": _interval(values_of(rows, "train_eval_gap"), SHARE_DIFFERENCE),
        **{
            measure: {
                f"{overlap:g}": _interval(values_of(rows, measure, overlap=overlap))
                for overlap in overlaps
            }
            for measure in PER_CASE
        },
        **{measure: _mean(values_of(rows, measure)) for measure in PER_TRAINING},
    }


def _interval(values: Values, limits: Limits = SHARE) -> dict[str, Any] | None:
    found = mean_interval(values, limits=limits)
    return None if found is None else dataclasses.asdict(found)


def _mean(values: Values) -> float | None:
    return mean(values.values()) if values else None


def _as_json(found: Comparison) -> dict[str, Any]:
    difference = None if found.difference is None else dataclasses.asdict(found.difference)
    return {
        "a": dataclasses.asdict(found.a),
        "b": dataclasses.asdict(found.b),
        "difference": difference,
        "verdict": found.verdict,
    }
