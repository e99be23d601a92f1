"""Compare label maps with references: rows of case, label, metric and value, and a summary."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segkit.errors import UsageError
from segkit.evaluation.case_maps import read_maps
from segkit.evaluation.extras import NO_EXTRAS, Extras, checked_extras
from segkit.evaluation.measure import LabelResult, Structure, measure_labels, values_of
from segkit.evaluation.metrics import Family
from segkit.evaluation.overlap import dice
from segkit.evaluation.pairs import Pair, Pairs, find_pairs
from segkit.evaluation.pooled import pooled
from segkit.evaluation.probability_maps import calibration_of, check_maps
from segkit.evaluation.summary import Results, Row, rows_of, summarize
from segkit.evaluation.surface import SLACK
from segkit.evaluation.swapped_folders import warn_of_ignored, warn_of_other_numbers
from segkit.files.report_folder import WORKING_FOLDER
from segkit.volume import Grid, Volume

log = logging.getLogger(__name__)
SAME_PLACE = 0.5
"""Foreground Dice from which two label maps are assumed to show the same structures."""
MAX_WORKERS = 4
"""Number of threads; each keeps two label maps and a few masks in memory."""


Volumes = Mapping[tuple[str, str], tuple[float, float]]
"""Volumes of prediction and reference, by case and label."""


@dataclass(frozen=True)
class Evaluation:
    """Metrics for every case and label, and the content of summary.json (see `summarize`)."""

    rows: tuple[Row, ...]
    summary: dict[str, Any]
    volumes: Volumes = field(default_factory=dict)
    """Volumes of prediction and reference, in ml or px, by case and label that has any."""
    pairs: Pairs | None = None
    """Files of the cases, by which a report finds what it draws; None without files."""


@dataclass(frozen=True)
class CaseResult:
    """Result of one case."""

    case: str
    labels: dict[str, LabelResult]
    grid: Grid
    predicts_ignore: bool
    """True if the prediction contains the ignore value."""
    other_numbers: bool
    """True if both label maps show the same structures with different label values."""


def evaluate(
    predictions: str | Path,
    references: str | Path,
    *,
    labels: Mapping[str, Structure] | None = None,
    ignore: int | None = None,
    tolerance_mm: float = 1.0,
    extras: Collection[Family] = (),
    lesion_iou: float = 0.0,
) -> Evaluation:
    """Compare label maps with references, case by case and label by label.

    Two files are compared with each other, whatever their names; in folders, files belong together
    if they have the same case id, whatever their formats. Without ``labels``, label names come from
    the dataset, from the label maps themselves, or from the run records next to them (``CASE.json``
    of segkit predict --stats); otherwise a label is named after its value, such as ``label_5``.

    Args:
        predictions: a label map or a folder of them.
        references: a label map, a folder of them, or a dataset. A dataset also names the labels,
            and its cases without a prediction are not counted as missing.
        labels: name -> value, or name -> the values of a region; only these are compared.
        ignore: value in the references of voxels that were not annotated and are excluded; by
            default the ignore value of the dataset.
        tolerance_mm: tolerance of surface Dice in mm (px for pictures without spacing).
        extras: families of metrics besides those that are always measured: "subvoxel", "lesions",
            "calibration".
        lesion_iou: smallest IoU of two components that are one lesion; 0 if a shared voxel is
            enough.

    Returns:
        Every metric of `segkit.evaluation.metrics` for every case and label, and the means. A label
        in neither label map has no values. A label in only one of them has overlap 0 and infinite
        distances, which are counted but excluded from the means.

    Raises:
        InputError: no case has a prediction and a reference, a file cannot be read, or two label
            maps are on different grids.
        UsageError: as for `check_settings`.

    In this example two voxels are predicted and one of them is correct: Dice is 2 * 1 / (2 + 1).

    >>> import tempfile
    >>> import numpy as np
    >>> from segkit.io import write_labels
    >>> predicted = np.array([1, 1, 0], np.uint8).reshape(1, 3, 1, 1)
    >>> reference = np.array([0, 1, 0], np.uint8).reshape(1, 3, 1, 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_labels(f"{folder}/a.nii.gz", Volume(predicted, np.eye(4)))
    ...     write_labels(f"{folder}/b.nii.gz", Volume(reference, np.eye(4)))
    ...     result = evaluate(f"{folder}/a.nii.gz", f"{folder}/b.nii.gz", labels={"liver": 1})
    >>> round(result.summary["labels"]["liver"]["dice"], 3)
    0.667
    """
    check_settings(labels, tolerance_mm, ignore)
    wanted = checked_extras(extras, lesion_iou)
    pairs = find_pairs(predictions, references, labels, ignore)
    measured = measure_pairs(pairs, tolerance=tolerance_mm, extras=wanted)
    warn_of_tolerance(tolerance_mm, [result.grid for result in measured])
    results = {result.case: result.labels for result in measured}
    units = sorted({result.grid.unit for result in measured})
    summary = summarize(results, [metric.key(unit) for unit in units for metric in wanted.metrics])
    summary["predictions"], summary["references"] = str(predictions), str(references)
    summary[WORKING_FOLDER] = str(Path.cwd())
    summary["tolerance"] = tolerance_mm
    summary["ignore"] = pairs.ignore
    summary["unit"] = units
    summary |= pooled(results, wanted)
    summary["references_in_all"] = pairs.total
    summary["references_without_prediction"] = list(pairs.without_prediction)
    return Evaluation(tuple(rows_of(results)), summary, _volumes(results), pairs)


def _volumes(results: Results) -> Volumes:
    return {
        (case, label): result.volumes
        for case, by_label in results.items()
        for label, result in by_label.items()
        if result.presence != "neither"
    }


def check_settings(
    labels: Mapping[str, Structure] | None, tolerance: float, ignore: int | None = None
) -> None:
    """Check the labels to compare, the tolerance of surface Dice and the ignore value.

    Raises:
        UsageError: the tolerance is below 0 or infinite, labels have the value 0 or equal values,
            or a label has the ignore value.
    """
    if not 0 <= tolerance < math.inf:
        raise UsageError(f"the tolerance of surface Dice must be 0 mm or more, not {tolerance}")
    ignored = [name for name, found in (labels or {}).items() if ignore in values_of(found)]
    if ignored:
        raise UsageError(
            f"label {ignored[0]!r} has the ignore value {ignore}, whose voxels are left out: give"
            " it another value, or another ignore value"
        )
    structures = [frozenset(values_of(structure)) for structure in (labels or {}).values()]
    invalid = any(0 in values or not values for values in structures)
    if invalid or len(set(structures)) < len(structures):
        raise UsageError(
            "labels must have different values, none of them 0 (background), not"
            f" {dict(labels or {})}"
        )


def measure_pairs(
    pairs: Pairs, *, tolerance: float, extras: Extras = NO_EXTRAS
) -> list[CaseResult]:
    """Return the result of every pair, several at a time; suspicious label values are logged.

    Args:
        pairs: the files, and the names of the labels.
        tolerance: tolerance of surface Dice in mm (px for pictures without spacing).
        extras: metrics besides those that are always measured.

    Raises:
        InputError: a file cannot be read, two label maps are on different grids, or calibration is
            asked for and no prediction has probabilities.
    """
    if "calibration" in extras.families:
        check_maps(pairs.pairs)

    def measure(pair: Pair) -> CaseResult:
        return _measure(pair, pairs, tolerance=tolerance, extras=extras)

    with ThreadPoolExecutor(min(MAX_WORKERS, os.cpu_count() or 1)) as pool:
        results = list(pool.map(measure, pairs.pairs))
    if pairs.ignore is not None:
        warn_of_ignored([result.case for result in results if result.predicts_ignore], pairs.ignore)
    numbered = [result.case for result in results if result.other_numbers]
    warn_of_other_numbers(numbered, len(results))
    return results


def warn_of_tolerance(tolerance: float, grids: Sequence[Grid]) -> None:
    """Warn if a surface that is off by one voxel is outside the tolerance in every direction."""
    edges = [min(grid.spacing) for grid in grids]
    coarse = [edge for edge in edges if edge > tolerance * (1 + SLACK)]
    if coarse:
        log.warning(
            "surface_dice: the tolerance of %g %s is smaller than a voxel in %d of %d cases (edges"
            " of %.3g or more), so only surface voxels at the same position count there. Give a"
            " larger --tolerance-mm.",
            tolerance,
            grids[0].unit,
            len(coarse),
            len(grids),
            min(coarse),
        )


# -- one case --------------------------------------------------------------------------------------


def _measure(pair: Pair, pairs: Pairs, *, tolerance: float, extras: Extras) -> CaseResult:
    maps = read_maps(pair, pairs)
    calibrate = None
    if "calibration" in extras.families:
        calibrate = calibration_of(pair, maps.reference, maps.labels, maps.annotated)
    results = measure_labels(
        maps.predicted.array[0],
        maps.reference.array[0],
        maps.reference.spacing,
        labels=maps.labels,
        unit=maps.reference.unit,
        tolerance=tolerance,
        annotated=maps.annotated,
        extras=extras,
        calibrate=calibrate,
    )
    other_numbers = not pairs.only_named and _numbered_otherwise(
        maps.predicted, maps.reference, results
    )
    return CaseResult(
        pair.case,
        results,
        maps.reference.grid,
        predicts_ignore=maps.predicts_ignore,
        other_numbers=other_numbers,
    )


def _numbered_otherwise(
    predicted: Volume, reference: Volume, results: Mapping[str, LabelResult]
) -> bool:
    """Return whether no label overlaps although the two foregrounds do."""
    if any(result.metrics.get("dice", 0) > 0 for result in results.values()):
        return False
    overlap = dice(predicted.array[0] > 0, reference.array[0] > 0)
    return overlap >= SAME_PLACE
