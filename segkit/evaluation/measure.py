"""Compute all metrics of the catalogue (`metrics`) for every label of two label maps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segkit.evaluation.metrics import METRICS, MaskPair
from segkit.evaluation.overlap import MM3_PER_ML, Mask
from segkit.volume import Box, Unit

Structure = int | Sequence[int]
"""Value of a label, or list of values of a region."""
Presence = Literal["both", "reference only", "prediction only", "neither"]


@dataclass(frozen=True)
class LabelResult:
    """Result of one label in one case."""

    presence: Presence
    metrics: dict[str, float]
    """Metric -> value, without metrics that are undefined; empty if both masks are empty."""
    undefined: tuple[str, ...] = ()
    """Metrics without a value although the label is in at least one mask."""
    volumes: tuple[float, float] = (0.0, 0.0)
    """Volumes of the prediction and of the reference in ml, or in px for pictures."""


def measure_masks(
    predicted: Mask,
    reference: Mask,
    spacing: Sequence[float],
    *,
    unit: Unit = "mm",
    tolerance: float = 1.0,
    annotated: Mask | None = None,
) -> dict[str, float]:
    """Return every metric for two masks, by name, in the order of the tables.

    All metrics are NaN if both masks are empty. Surface metrics are NaN if no surface voxel of one
    of the masks is known.

    Args:
        predicted: mask (X, Y, Z) of the prediction.
        reference: mask (X, Y, Z) of the reference.
        spacing: voxel spacing along X, Y, Z in ``unit``.
        unit: "mm" for lengths in mm and volumes in ml, "px" for both in px.
        tolerance: tolerance of surface Dice in ``unit``.
        annotated: mask (X, Y, Z) of annotated voxels, which contains both masks; by default all
            are.

    >>> mask = np.ones((2, 2, 2), bool)
    >>> measure_masks(mask, mask, (1.0, 1.0, 1.0))["volume_difference_ml"]
    0.0
    """
    pair = MaskPair(predicted, reference, spacing, unit, tolerance, annotated)
    return {metric.key(unit): metric.compute(pair) for metric in METRICS}


def measure_labels(
    predicted: NDArray[Any],
    reference: NDArray[Any],
    spacing: Sequence[float],
    *,
    labels: Mapping[str, Structure],
    unit: Unit = "mm",
    tolerance: float = 1.0,
    annotated: Mask | None = None,
) -> dict[str, LabelResult]:
    """Return the result of each label of two label maps, each measured in its bounding box.

    Args:
        predicted: integers (X, Y, Z).
        reference: integers (X, Y, Z).
        spacing: voxel spacing along X, Y, Z in ``unit``.
        labels: name -> value of a label, or values of a region.
        unit: unit of lengths.
        tolerance: tolerance of surface Dice in ``unit``.
        annotated: mask (X, Y, Z) of annotated voxels; the others must be 0 in both label maps. By
            default all are.
    """
    structures = {name: values_of(structure) for name, structure in labels.items()}
    values = np.array(sorted({0}.union(*structures.values())))
    predicted_ranks, reference_ranks = _ranks(predicted, values), _ranks(reference, values)
    predicted_boxes = ndimage.find_objects(predicted_ranks, values.size)
    reference_boxes = ndimage.find_objects(reference_ranks, values.size)
    results = {}
    for name, label_values in structures.items():
        ranks = np.searchsorted(values, label_values)
        predicted_box = _union(predicted_boxes[rank] for rank in ranks)
        reference_box = _union(reference_boxes[rank] for rank in ranks)
        box = _with_margin(_union((predicted_box, reference_box)))
        metrics, volumes = {}, (0.0, 0.0)
        if box:
            masks = (
                np.isin(predicted_ranks[box], ranks + 1),
                np.isin(reference_ranks[box], ranks + 1),
            )
            volumes = (_volume(masks[0], spacing, unit), _volume(masks[1], spacing, unit))
            metrics = measure_masks(
                *masks,
                spacing,
                unit=unit,
                tolerance=tolerance,
                annotated=None if annotated is None else annotated[box],
            )
        measured = {metric: value for metric, value in metrics.items() if not math.isnan(value)}
        undefined = tuple(metric for metric in metrics if metric not in measured)
        presence = _presence(predicted_box, reference_box)
        results[name] = LabelResult(presence, measured, undefined, volumes)
    return results


def values_of(structure: Structure) -> tuple[int, ...]:
    """Return the value of a label, or the values of a region, as a tuple.

    >>> values_of(3), values_of([1, 2])
    ((3,), (1, 2))
    """
    return (structure,) if isinstance(structure, int) else tuple(structure)


def _volume(mask: Mask, spacing: Sequence[float], unit: Unit) -> float:
    """Return the volume of a mask in ml, or in px if the unit is px."""
    volume = np.count_nonzero(mask) * math.prod(spacing)
    return volume / MM3_PER_ML if unit == "mm" else volume


def _ranks(array: NDArray[Any], values: NDArray[Any]) -> NDArray[np.int32]:
    """Return 1 + the index of each voxel's value in the sorted ``values``, or 0 if it is absent."""
    ranks = np.empty(array.shape, np.int32)
    # Plane by plane, because searchsorted returns 64 bits per voxel.
    for row, voxels in zip(ranks, array, strict=True):
        indices = np.minimum(np.searchsorted(values, voxels), values.size - 1)
        row[...] = np.where(values[indices] == voxels, indices + 1, 0)
    return ranks


def _union(boxes: Iterable[tuple[slice, ...] | None]) -> Box | None:
    """Return the smallest box around all boxes, or None if there is none."""
    present = [box for box in boxes if box]
    if not present:
        return None
    x, y, z = (
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*present, strict=True)
    )
    return (x, y, z)


def _with_margin(box: Box | None) -> Box | None:
    """Return the box enlarged by one voxel on each side, so that cropping adds no surface."""
    if box is None:
        return None
    x, y, z = (slice(max(side.start - 1, 0), side.stop + 1) for side in box)
    return (x, y, z)


def _presence(predicted: Box | None, reference: Box | None) -> Presence:
    if predicted and reference:
        return "both"
    if reference:
        return "reference only"
    return "prediction only" if predicted else "neither"
