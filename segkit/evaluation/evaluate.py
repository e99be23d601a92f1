"""Label maps against references -> rows of case, label, metric and value, and a summary."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import UsageError
from segkit.evaluation.label_maps import read_pair
from segkit.evaluation.measure import LabelResult, Structure, measure_labels, values_of
from segkit.evaluation.overlap import dice
from segkit.evaluation.pairs import Pair, Pairs, find_pairs
from segkit.evaluation.summary import Row, rows_of, summarize
from segkit.evaluation.surface import SLACK
from segkit.evaluation.swapped_folders import warn_of_ignored, warn_of_other_numbers
from segkit.volume import Grid, Volume

log = logging.getLogger(__name__)
OVERLAP = 0.5
"""Dice of all labelled voxels together, from which on two label maps mark one place."""
MAX_WORKERS = 4
"""Each holds two label maps and a few masks in memory."""


@dataclass(frozen=True)
class Evaluation:
    """Rows of every case and label, and the summary that becomes summary.json (see ``summarize``)."""

    rows: tuple[Row, ...]
    summary: dict[str, Any]


@dataclass(frozen=True)
class _Compared:
    """One case."""

    results: dict[str, LabelResult]
    grid: Grid
    predicts_ignore: bool
    """The prediction has the value of what nobody has annotated."""
    other_numbers: bool
    """Both mark one place, but with different labels."""


def evaluate(
    predictions: str | Path,
    references: str | Path,
    *,
    labels: Mapping[str, Structure] | None = None,
    ignore: int | None = None,
    tolerance_mm: float = 1.0,
) -> Evaluation:
    """Compare label maps with references, case by case and label by label.

    ``predictions`` is a file or a folder; ``references`` a file, a folder, or a dataset, which then gives the names of
    the labels and of whose cases only those with a prediction count. ``labels`` (name -> value, or the values of a
    region) names the labels and restricts the comparison to them. Without them, names come from the label maps
    themselves, or from the records beside them (``CASE.json`` of segkit predict --stats); else a label is called after
    its value, such as ``label_5``. Voxels that have in the reference the value ``ignore``, or else the ignore label of
    its dataset, are left out. ``tolerance_mm`` (px for pictures without spacing) belongs to ``surface_dice``.

    A label in neither mask gives no rows. A label in one of them only has Dice 0, IoU 0, surface Dice 0 and an
    infinite distance, which is counted but kept out of the mean.

    Raises:
        InputError: no case in both, a file that cannot be read, or two label maps on different grids.
        UsageError: a tolerance below 0, or labels with the value 0 or with equal values.
    """
    if not tolerance_mm >= 0:
        raise UsageError(f"the tolerance of surface Dice must be 0 mm or more, not {tolerance_mm}")
    _check(labels)
    found = find_pairs(predictions, references, labels, ignore)
    with ThreadPoolExecutor(min(MAX_WORKERS, os.cpu_count() or 1)) as pool:
        compared = list(
            pool.map(
                lambda pair: _compare(pair, found, labels is not None, tolerance_mm), found.pairs
            )
        )
    grids = [each.grid for each in compared]
    _warn_of_tolerance(tolerance_mm, grids)
    if found.ignore is not None:
        odd = [
            pair.case
            for pair, each in zip(found.pairs, compared, strict=True)
            if each.predicts_ignore
        ]
        warn_of_ignored(odd, found.ignore)
    otherwise = [
        pair.case for pair, each in zip(found.pairs, compared, strict=True) if each.other_numbers
    ]
    warn_of_other_numbers(otherwise, len(compared))
    results = {pair.case: each.results for pair, each in zip(found.pairs, compared, strict=True)}
    summary = summarize(results)
    summary["predictions"], summary["references"] = str(predictions), str(references)
    summary["tolerance"] = tolerance_mm
    summary["ignore"] = found.ignore
    summary["unit"] = sorted({grid.unit for grid in grids})
    summary["references_in_all"] = found.total
    summary["references_without_prediction"] = list(found.without_prediction)
    return Evaluation(tuple(rows_of(results)), summary)


def _check(labels: Mapping[str, Structure] | None) -> None:
    structures = [frozenset(values_of(structure)) for structure in (labels or {}).values()]
    if any(0 in values or not values for values in structures) or len(set(structures)) < len(
        structures
    ):
        raise UsageError(
            f"labels must have different values, none of them 0 (background), not {dict(labels or {})}"
        )


def _warn_of_tolerance(tolerance: float, grids: Sequence[Grid]) -> None:
    """Say where even a surface that is one voxel off lies outside the tolerance, whatever the direction."""
    edges = [min(grid.spacing) for grid in grids]
    coarse = [edge for edge in edges if edge > tolerance * (1 + SLACK)]
    if coarse:
        log.warning(
            "surface_dice: the tolerance of %g %s is smaller than a voxel in %d of %d cases, with edges of %.3g or "
            "more: there only surface voxels that coincide count. Give a larger --tolerance-mm.",
            tolerance,
            grids[0].unit,
            len(coarse),
            len(grids),
            min(coarse),
        )


def _compare(pair: Pair, pairs: Pairs, only_named: bool, tolerance: float) -> _Compared:
    predicted, reference, found = read_pair(
        pair, pairs.labels or {}, values=pairs.values, only_known=only_named
    )
    annotated, predicts_ignore = None, False
    if pair.ignore is not None:
        predicts_ignore = bool((predicted.array == pair.ignore).any())
        annotated = reference.array != pair.ignore
        predicted, reference = (
            each.with_array(each.array * annotated) for each in (predicted, reference)
        )
    known = pairs.labels or ({} if found else pairs.in_records)
    beside = {name: value for name, value in found.items() if name not in known}
    labels = dict(known) if only_named else _with_unnamed({**known, **beside}, predicted, reference)
    result = measure_labels(
        predicted.array[0],
        reference.array[0],
        reference.spacing,
        labels=labels,
        unit=reference.unit,
        tolerance=tolerance,
        annotated=None if annotated is None else annotated[0],
    )
    return _Compared(
        result,
        reference.grid,
        predicts_ignore,
        not only_named and _numbered_otherwise(predicted, reference, result),
    )


def _numbered_otherwise(
    predicted: Volume, reference: Volume, results: Mapping[str, LabelResult]
) -> bool:
    if any(result.metrics.get("dice", 0) > 0 for result in results.values()):
        return False
    return dice(predicted.array[0] > 0, reference.array[0] > 0, reference.spacing) >= OVERLAP


def _with_unnamed(names: Mapping[str, Structure], *volumes: Volume) -> dict[str, Structure]:
    """The named labels, and ``label_5`` for every other value that occurs."""
    values = {int(value) for volume in volumes for value in np.unique(volume.array)}
    unnamed = sorted(
        values - {0} - {value for structure in names.values() for value in values_of(structure)}
    )
    return {**names, **{f"label_{value}": value for value in unnamed}}
