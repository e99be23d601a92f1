"""Signs of a good or bad result that need no reference: four numbers for each label of a scan.

They are ratios and logarithms of ratios, so that they mean the same at any voxel size. Training
measures them on validation cases and degraded copies, and prediction on a new scan, by the same
functions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from numpy.typing import NDArray

from segkit.plans.plan import Plan
from segkit.plans.ranges import DataRanges, Range
from segkit.quality.measured_labels import MeasuredLabel, measure_labels, values_of_labels
from segkit.quality.soft_overlap import SoftOverlap
from segkit.volume import Unit

AS_IT_IS = "none"
"""Degradation of a case as it is."""
LOWEST, HIGHEST = 0.01, 0.9999
"""Limits of a soft Dice; its logit would be infinite at 0 and 1."""
MOST_APART = 1000.0
"""Factor beyond the training range at which a volume counts as one that is not there at all."""


@dataclass(frozen=True)
class Features:
    """Signs of one label of one scan; a larger one is better for the first, worse for the others.

    The order of the fields is that of the weights in a bundle.
    """

    soft_dice: float
    """Logit of the soft Dice (`segkit.quality.soft_overlap`)."""
    pieces: float
    """Logarithm of the number of connected components; 0 for one or none."""
    volume: float
    """Logarithm of the factor by which the volume is outside the range of the training data."""
    border: float
    """Square root of the share of the label's voxels on the outermost planes of the scan."""

    @property
    def values(self) -> tuple[float, ...]:
        """The numbers in the order of the fields."""
        return astuple(self)


SIGNS = (1, -1, -1, -1)
"""Sign of each feature: 1 if the Dice of a label rises with it, -1 if it falls."""
NAMES = ("soft_dice", "pieces", "volume", "border")
"""Names of the features in bundle.json."""


def label_features(
    overlap: SoftOverlap,
    labels: NDArray[Any],
    plan: Plan,
    *,
    voxel_volume: float | None,
    ranges: DataRanges | None,
    measured: Mapping[str, MeasuredLabel] | None = None,
) -> dict[str, Features]:
    """Return the features of each label or region, by name.

    Args:
        overlap: sums over the scan.
        labels: label map (X, Y, Z) in the values of the label files, before postprocessing.
        plan: the plan of the model.
        voxel_volume: volume of a voxel in mm^3, or in px; None where it is not known.
        ranges: ranges of the training data; None if labels cannot be compared with them.
        measured: measurements of the labels, if they were measured before.
    """
    values = values_of_labels(plan)
    measured = measured or measure_labels(labels, values, {})
    usual = ranges.labels if ranges and voxel_volume is not None else {}
    features = {}
    for name, soft in zip(plan.labels, overlap.dice(), strict=True):
        label = measured[name]
        volume = label.voxels * (voxel_volume or 0.0)
        features[name] = Features(
            soft_dice=logit(float(soft)),
            pieces=math.log(max(1, label.pieces(labels, values[name]))),
            volume=apart(volume, usual[name].volume) if name in usual else 0.0,
            border=math.sqrt(_share_on_border(label, plan.unit)),
        )
    return features


def logit(share: float) -> float:
    """Return log(p / (1 - p)) of a share, which is first limited to `LOWEST` and `HIGHEST`.

    >>> logit(0.5)
    0.0
    """
    limited = min(max(share, LOWEST), HIGHEST)
    return math.log(limited / (1 - limited))


def apart(volume: float, usual: Range) -> float:
    """Return the logarithm of the factor by which a volume is outside a range; 0 inside it.

    >>> apart(3.0, (1.0, 2.0)) == math.log(1.5), apart(1.5, (1.0, 2.0)), apart(0.0, (1.0, 2.0))
    (True, 0.0, 6.907755278982137)
    """
    low, high = usual
    above = volume / high if high else MOST_APART
    below = low / volume if volume else MOST_APART
    return math.log(min(max(above, below, 1.0), MOST_APART))


def _share_on_border(label: MeasuredLabel, unit: Unit) -> float:
    """Return the share of a label on the outermost planes, at most 1; a picture has no depth.

    A voxel on an edge of the scan counts once for each of its planes.
    """
    axes = range(3 if unit == "mm" else 2)
    ends = sum(int(label.planes[axis][[0, -1]].sum()) for axis in axes)
    return min(1.0, ends / label.voxels) if label.voxels else 0.0


def voxel_volume_of(plan: Plan) -> float | None:
    """Return the volume of a voxel of the network's grid; None where it depends on the scan."""
    if plan.unit == "px":
        return 1.0 if set(plan.spacing) <= {None, 1.0} else None
    edges = [edge for edge in plan.spacing if edge is not None]
    return math.prod(edges) if len(edges) == 3 else None
