"""Two label maps on one grid -> the metrics of every label."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segkit.evaluation.overlap import dice, iou, volume_difference_ml, volume_difference_px
from segkit.evaluation.surface import surface_distances
from segkit.volume import Unit

Mask = NDArray[np.bool_]
Box = tuple[slice, ...]
Structure = int | Sequence[int]
"""A label is one value of a label map, a region several."""
Presence = Literal["both", "reference only", "prediction only", "neither"]


@dataclass(frozen=True)
class LabelResult:
    """One label of one case: where it occurs, and its metrics (none where it occurs in neither mask)."""

    presence: Presence
    metrics: dict[str, float]


def metric_names(unit: Unit) -> tuple[str, ...]:
    """Names of the metrics in the order of the tables; lengths are in mm and volumes in ml, or both in px."""
    volume = "volume_difference_ml" if unit == "mm" else "volume_difference_px"
    return ("dice", "iou", f"hd95_{unit}", "surface_dice", volume)


def measure_masks(
    predicted: Mask,
    reference: Mask,
    spacing: Sequence[float],
    *,
    unit: Unit = "mm",
    tolerance: float = 1.0,
    annotated: Mask | None = None,
) -> dict[str, float]:
    """Return every metric of two masks (X, Y, Z); ``spacing`` and ``tolerance`` in ``unit``.

    All are NaN where both masks are empty. ``annotated`` are the voxels that are known, if not all are; both masks lie
    within them. Surface metrics are NaN where a mask has no surface that is known.
    """
    distances = surface_distances(predicted, reference, spacing, annotated=annotated)
    difference = volume_difference_ml if unit == "mm" else volume_difference_px
    values = (
        dice(predicted, reference, spacing),
        iou(predicted, reference, spacing),
        distances.hd95(),
        distances.within(tolerance),
        difference(predicted, reference, spacing),
    )
    return dict(zip(metric_names(unit), values, strict=True))


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
    """Return the metrics per label of two integer label maps (X, Y, Z). Each label is measured in its bounding box.

    ``annotated`` are the voxels that somebody has annotated, if not all are; the others must be 0 in both label maps.
    A metric that cannot be measured, see `measure_masks`, is left out.
    """
    made_of = {name: values_of(structure) for name, structure in labels.items()}
    values = np.array(sorted({0, *(value for its in made_of.values() for value in its)}))
    ours, theirs = (_positions(array, values) for array in (predicted, reference))
    our_boxes, their_boxes = (ndimage.find_objects(array, values.size) for array in (ours, theirs))
    results = {}
    for name, its in made_of.items():
        numbers = np.searchsorted(values, its)
        our_box, their_box = (
            _around(boxes[number] for number in numbers) for boxes in (our_boxes, their_boxes)
        )
        box = _joined(our_box, their_box)
        found = {}
        if box:
            found = measure_masks(
                np.isin(ours[box], numbers + 1),
                np.isin(theirs[box], numbers + 1),
                spacing,
                unit=unit,
                tolerance=tolerance,
                annotated=None if annotated is None else annotated[box],
            )
        known = {metric: value for metric, value in found.items() if not math.isnan(value)}
        results[name] = LabelResult(_presence(our_box, their_box), known)
    return results


def values_of(structure: Structure) -> tuple[int, ...]:
    """The values of a label, which is one, or of a region."""
    return (structure,) if isinstance(structure, int) else tuple(structure)


def _positions(array: NDArray[Any], values: NDArray[Any]) -> NDArray[np.int32]:
    """1 + the place of every voxel in the sorted ``values``, 0 where its value is not among them."""
    found = np.empty(array.shape, np.int32)
    for row, voxels in zip(
        found, array, strict=True
    ):  # plane by plane, because searchsorted answers in 64 bits
        places = np.minimum(np.searchsorted(values, voxels), values.size - 1)
        row[...] = np.where(values[places] == voxels, places + 1, 0)
    return found


def _joined(first: Box | None, second: Box | None) -> Box | None:
    """The box around both, with a margin of one voxel so that the cut makes no surface of its own."""
    box = _around((first, second))
    return box and tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)


def _around(boxes: Iterable[Box | None]) -> Box | None:
    found = [box for box in boxes if box]
    if not found:
        return None
    return tuple(
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*found, strict=True)
    )


def _presence(predicted: Box | None, reference: Box | None) -> Presence:
    if predicted and reference:
        return "both"
    if reference:
        return "reference only"
    return "prediction only" if predicted else "neither"
