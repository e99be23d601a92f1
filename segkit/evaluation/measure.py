"""Compute all metrics of the catalogue (`metrics`) for every label of two label maps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segkit.evaluation.calibration import NO_VOXELS, Reliability
from segkit.evaluation.extras import NO_EXTRAS, Extras
from segkit.evaluation.lesions import Lesions
from segkit.evaluation.mask_pair import MaskPair
from segkit.evaluation.overlap import Mask
from segkit.labels.memory_order import memory_order
from segkit.volume import Box, Unit

Structure = int | Sequence[int]
"""Value of a label, or list of values of a region."""
Presence = Literal["both", "reference only", "prediction only", "neither"]
Calibrate = Callable[[Mapping[str, Box]], Mapping[str, Reliability]]
"""Function from the box of each label that occurs to its probabilities and the reference."""


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
    lesions: Lesions | None = None
    """Numbers of lesions, if they were counted."""
    reliability: Reliability | None = None
    """Probabilities of the label compared with the reference, if there are any."""


def measure_masks(
    predicted: Mask,
    reference: Mask,
    spacing: Sequence[float],
    *,
    unit: Unit = "mm",
    tolerance: float = 1.0,
    annotated: Mask | None = None,
    extras: Extras = NO_EXTRAS,
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
        extras: metrics besides those that are always measured.

    >>> mask = np.ones((2, 2, 2), bool)
    >>> measure_masks(mask, mask, (1.0, 1.0, 1.0))["volume_difference_ml"]
    0.0
    """
    pair = MaskPair(predicted, reference, spacing, unit, tolerance, annotated, extras.lesion_iou)
    return _values(pair, extras)


def measure_labels(
    predicted: NDArray[Any],
    reference: NDArray[Any],
    spacing: Sequence[float],
    *,
    labels: Mapping[str, Structure],
    unit: Unit = "mm",
    tolerance: float = 1.0,
    annotated: Mask | None = None,
    extras: Extras = NO_EXTRAS,
    calibrate: Calibrate | None = None,
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
        extras: metrics besides those that are always measured.
        calibrate: compares probabilities with the reference, if there are any.
    """
    structures = {name: values_of(structure) for name, structure in labels.items()}
    values = np.array(sorted({0}.union(*structures.values())))
    ranks = {name: np.searchsorted(values, structure) for name, structure in structures.items()}
    maps = (_ranks(predicted, values), _ranks(reference, values))
    found = [_boxes(labels_of, values.size) for labels_of in maps]
    places = {
        name: tuple(_union(boxes[rank] for rank in ranks[name]) for boxes in found)
        for name in labels
    }
    around = {name: box for name, pair in places.items() if (box := _union(pair))}
    calibrated = calibrate(around) if calibrate else {}
    results = {}
    for name, (predicted_box, reference_box) in places.items():
        presence = _presence(predicted_box, reference_box)
        if name not in around:
            results[name] = LabelResult(presence, {})
            continue
        box = _with_margin(around[name])
        first, second = (_members(labels_of[box], ranks[name] + 1) for labels_of in maps)
        known = None if annotated is None else annotated[box]
        pair = MaskPair(
            first,
            second,
            spacing,
            unit,
            tolerance,
            known,
            extras.lesion_iou,
            calibrated.get(name, NO_VOXELS),
        )
        results[name] = _result(presence, pair, extras)
    return results


def _values(pair: MaskPair, extras: Extras) -> dict[str, float]:
    return {metric.key(pair.unit): metric.compute(pair) for metric in extras.metrics}


def _result(presence: Presence, pair: MaskPair, extras: Extras) -> LabelResult:
    metrics = _values(pair, extras)
    measured = {metric: value for metric, value in metrics.items() if not math.isnan(value)}
    return LabelResult(
        presence,
        measured,
        tuple(metric for metric in metrics if metric not in measured),
        pair.volumes,
        pair.lesions if "lesions" in extras.families else None,
        pair.reliability if pair.reliability is not NO_VOXELS else None,
    )


def values_of(structure: Structure) -> tuple[int, ...]:
    """Return the value of a label, or the values of a region, as a tuple.

    >>> values_of(3), values_of([1, 2])
    ((3,), (1, 2))
    """
    return (structure,) if isinstance(structure, int) else tuple(structure)


def _ranks(array: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Return 1 + the index of each voxel's value in the sorted ``values``, or 0 if it is absent.

    The type is as small as the number of values allows, because it has the size of the scan. The
    voxels are in memory in the order of ``array``.

    Args:
        array: label map (X, Y, Z).
        values: values in ascending order, 0 among them.
    """
    background = 1 + int(np.searchsorted(values, 0))
    ranks = np.full_like(array, background, np.min_scalar_type(values.size))
    order = memory_order(array)
    # Plane by plane, because searchsorted returns 64 bits per voxel; most voxels are background.
    for row, voxels in zip(ranks.transpose(order), array.transpose(order), strict=True):
        marked = voxels != 0
        labeled = voxels[marked]
        indices = np.minimum(np.searchsorted(values, labeled), values.size - 1)
        row[marked] = np.where(values[indices] == labeled, indices + 1, 0)
    return ranks


def _boxes(ranks: NDArray[Any], count: int) -> list[Box | None]:
    """Return the box of each number from 1 to ``count``, or None if it does not occur."""
    order = memory_order(ranks)
    found = ndimage.find_objects(ranks.transpose(order), count)
    places = np.argsort(order)
    return [box and tuple(box[place] for place in places) for box in found]


def _members(ranks: NDArray[Any], wanted: NDArray[Any]) -> Mask:
    """Return the mask of the voxels with one of the wanted numbers, in C order."""
    mask: Mask = ranks == wanted[0]
    for number in wanted[1:]:
        mask |= ranks == number
    return np.ascontiguousarray(mask)


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


def _with_margin(box: Box) -> Box:
    """Return the box enlarged by one voxel on each side, so that cropping adds no surface."""
    x, y, z = (slice(max(side.start - 1, 0), side.stop + 1) for side in box)
    return (x, y, z)


def _presence(predicted: Box | None, reference: Box | None) -> Presence:
    if predicted and reference:
        return "both"
    if reference:
        return "reference only"
    return "prediction only" if predicted else "neither"
