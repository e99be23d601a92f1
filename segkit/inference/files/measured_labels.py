"""Compare the measured labels of a label map with the training data, and say what is unusual."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from segkit.plans.plan import Plan
from segkit.plans.ranges import DataRanges, LabelRange, Range
from segkit.preprocessing.orient_and_crop import AxisMap
from segkit.preprocessing.scan_checks import is_far, range_text
from segkit.quality.arrangement import Arrangement
from segkit.quality.measured_labels import (
    MeasuredLabel,
    centers_of,
    measure_labels,
    values_of_labels,
)
from segkit.volume import Grid, Unit

VOLUMES_APART = 3.0
"""Factor above the largest, or below the smallest, training volume that is unusual."""
PIECES_APART = 3.0
"""Factor above the largest number of components in training from which a number is unusual."""
MORE_PIECES = 10
"""Difference from the largest number in training that an unusual number must have as well."""
ALWAYS_IN = 10
"""Number of training cases from which a label that all of them have should be in a scan."""
CAUSES = "is the scan turned, cut off, or of another contrast?"
"""Question after a label in an unusual place."""
COUNTED_VOXELS = 1 << 24
"""Size of a label's bounding box in voxels up to which components are always counted.

That takes less than a second. In a larger box they are counted only where the volume is unusual.
"""


def label_warnings(
    labels: NDArray[Any],
    plan: Plan,
    training: DataRanges,
    grid: Grid,
    *,
    axis_map: AxisMap = AxisMap((0, 1, 2), (False, False, False)),  # noqa: B008 - frozen
    arrangements: Sequence[Arrangement] = (),
) -> dict[str, str]:
    """Return the labels that differ much from the training data, each with a sentence on how.

    Args:
        labels: label map (X, Y, Z), in the axis order of the file.
        plan: plan of the model.
        training: ranges that the labels can be compared with; see
            `preprocessing.scan_checks.comparable_labels`.
        grid: grid of the scan, in RAS+ order.
        axis_map: map from the axes of the file to RAS+.
        arrangements: usual places of the labels, one of each model of an ensemble; a label must be
            in an unusual place for all of them.
    """
    values_by_name = values_of_labels(plan)
    measured = measure_labels(labels, values_by_name, {})
    warnings = {}
    for name, usual in training.labels.items():
        if name in measured:
            volume = measured[name].voxels * grid.voxel_volume
            values = values_by_name[name]
            pieces = _number_of_pieces(measured[name], labels, values, volume=volume, usual=usual)
            warning = label_warning(volume, pieces, usual, cases=training.cases, unit=grid.unit)
            if warning:
                warnings[name] = warning
    for name, text in _misplaced(measured, grid, axis_map, arrangements).items():
        warnings[name] = "; ".join([*([warnings[name]] if name in warnings else []), text])
    return warnings


def _misplaced(
    measured: Mapping[str, MeasuredLabel],
    grid: Grid,
    axis_map: AxisMap,
    arrangements: Sequence[Arrangement],
) -> dict[str, str]:
    """Return the labels in unusual places, each with a sentence."""
    # Only differences of centers count: a reversed axis needs a sign, and no size.
    signs = [-1.0 if flip else 1.0 for flip in axis_map.flips]
    edges = [grid.spacing[axis_map.order.index(axis)] for axis in range(3)]
    centers = {
        name: [sign * center[axis] for sign, axis in zip(signs, axis_map.order, strict=True)]
        for name, center in centers_of(measured, edges).items()
    }
    found = [arrangement.unusual(centers) for arrangement in arrangements]
    if not found:
        return {}
    return {
        name: f"{text}; {CAUSES}"
        for name, text in found[0].items()
        if all(name in one for one in found)
    }


def label_warning(
    volume: float, pieces: int | None, usual: LabelRange, *, cases: int, unit: Unit
) -> str | None:
    """Return how a label differs from the training data; None where it does not differ much.

    Args:
        volume: volume in mm3, or px for pictures.
        pieces: number of components; None where they were not counted.
        usual: range of the label in the training cases.
        cases: number of training cases.
        unit: "mm" for scans, "px" for pictures.

    >>> label_warning(326_000, 128, LabelRange(48, (1200, 2300), (1, 1)), cases=48, unit="mm")
    '326 ml in 128 pieces; training had 1.2 to 2.3 ml in 1 piece'
    """
    usual_pieces = _pieces_text(range_text(usual.pieces))
    had = f"training had {_volume_text(usual.volume, unit)} in {usual_pieces}"
    if not volume:
        missing = usual.cases == cases >= ALWAYS_IN
        return f"not found; {had} in each of {cases} cases" if missing else None
    most = max(PIECES_APART * usual.pieces[1], usual.pieces[1] + MORE_PIECES)
    is_fragmented = pieces is not None and pieces > most
    if not is_fragmented and not is_far(volume, usual.volume, VOLUMES_APART):
        return None
    counted = "" if pieces is None else f" in {_pieces_text(str(pieces))}"
    return f"{_volume_text((volume, volume), unit)}{counted}; {had}"


def _volume_text(volumes: Range, unit: Unit) -> str:
    low, high = volumes
    if unit == "mm":
        return f"{range_text((low / 1000, high / 1000))} ml"
    return f"{range_text(volumes)} px"


def _number_of_pieces(
    label: MeasuredLabel,
    labels: NDArray[Any],
    values: Sequence[int],
    *,
    volume: float,
    usual: LabelRange,
) -> int | None:
    """Return the number of components; None in a large box, if the volume is not unusual."""
    if not label.voxels:
        return 0
    is_large = math.prod(last - first + 1 for first, last in label.ends) > COUNTED_VOXELS
    if is_large and not is_far(volume, usual.volume, VOLUMES_APART):
        return None
    return label.pieces(labels, values)


def _pieces_text(pieces: str) -> str:
    return f"{pieces} piece{'' if pieces == '1' else 's'}"
