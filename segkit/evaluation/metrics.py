"""Catalogue of metrics: one row per metric of two masks, in the order of the tables.

A new metric needs a row at the end of `METRICS`, its value for a label in only one mask in `RULES`,
and both in docs/evaluation.md; its computation is a method of what `MaskPair` holds, such as
`Overlap` or `SurfaceDistances`. Tables, files, report and help are derived from this catalogue.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from segkit.evaluation.mask_pair import MaskPair
from segkit.volume import Unit

Quantity = Literal["fraction", "length", "volume", "count"]
Family = Literal["basic", "subvoxel", "lesions", "calibration"]
Best = Literal["highest", "lowest", "nearest to 0"]

SUFFIXES: dict[Quantity, dict[Unit, str]] = {
    "fraction": {"mm": "", "px": ""},
    "length": {"mm": "_mm", "px": "_px"},
    "volume": {"mm": "_ml", "px": "_px"},
    "count": {"mm": "", "px": ""},
}
"""Suffix of a metric's name that gives its unit, for scans in mm and for pictures in px."""
UNITS: tuple[Unit, ...] = ("mm", "px")
"""Units of lengths: of scans, and of pictures without spacing."""
FAMILIES: tuple[Family, ...] = ("basic", "subvoxel", "lesions", "calibration")
ALWAYS: tuple[Family, ...] = ("basic",)
"""Metrics that are measured without being asked for; a flag of its name switches on a family."""


RULES = (
    "The surface of a mask consists of its voxels that share a face with a voxel outside it."
    " Distances run between voxel centers. A label in neither mask has no value. If a label is in"
    " only one mask, Dice, IoU and surface Dice are 0 and distances are infinite. Without a"
    " prediction, sensitivity is 0, the relative volume error is -1, and precision has no value."
    " Without a reference, precision is 0, the relative volume error is infinite, and sensitivity"
    " has no value. Infinite and missing values are counted and excluded from the means."
)
"""Conventions that apply to all metrics."""


@dataclass(frozen=True)
class Metric:
    """Row of the catalogue."""

    name: str
    """Name without a unit."""
    quantity: Quantity
    compute: Callable[[MaskPair], float]
    """Value for two masks; NaN if it is undefined, infinite for a distance to an empty mask."""
    definition: str
    """Definition, in which {tolerance} stands for the tolerance with its unit."""
    best: Best = "highest"
    """Which value is the best one."""
    limits: tuple[float, float] = (0.0, 1.0)
    """Lowest and highest possible value."""
    family: Family = "basic"
    """Metrics that are switched on together."""
    absent: float | None = None
    """In a comparison: value of a set of predictions that is right not to predict a label, which
    the other one predicts; None if there is none, because the metric needs a mask, or because the
    other one is infinite."""

    def key(self, unit: Unit) -> str:
        """Return the name with the unit, as in metrics.csv.

        >>> METRICS[2].key("mm"), METRICS[2].key("px")
        ('hd95_mm', 'hd95_px')
        """
        return f"{self.name}{SUFFIXES[self.quantity][unit]}"

    def error(self, value: float) -> float:
        """Return how far a value is from the best one: 0 is perfect, and larger is worse.

        For a number that has no upper limit, such as that of found lesions, it is minus the number.

        >>> metric_of("dice").error(0.75), metric_of("volume_difference_ml").error(-2.0)
        (0.25, 2.0)
        """
        if self.best != "highest":
            return abs(value)
        return self.limits[1] - value if math.isfinite(self.limits[1]) else -value


METRICS = (
    Metric(
        "dice",
        "fraction",
        lambda pair: pair.overlap.dice(),
        "Dice coefficient, 2 |P and R| / (|P| + |R|) in voxels; 1 is perfect.",
        absent=1.0,
    ),
    Metric(
        "iou",
        "fraction",
        lambda pair: pair.overlap.iou(),
        "intersection over union, |P and R| / |P or R| in voxels; 1 is perfect.",
        absent=1.0,
    ),
    Metric(
        "hd95",
        "length",
        lambda pair: pair.distances.hd95(),
        "95th percentile Hausdorff distance: the larger of the two 95th percentiles of the"
        " distances from one surface to the other; 0 is perfect.",
        "lowest",
        (0.0, math.inf),
    ),
    Metric(
        "surface_dice",
        "fraction",
        lambda pair: pair.distances.within(pair.tolerance),
        "fraction of the voxels of both surfaces that lie within {tolerance} of the other surface;"
        " 1 is perfect.",
        absent=1.0,
    ),
    Metric(
        "volume_difference",
        "volume",
        lambda pair: pair.volume_difference,
        "volume of the prediction minus volume of the reference; above 0 means too large.",
        "nearest to 0",
        (-math.inf, math.inf),
        absent=0.0,
    ),
    Metric(
        "assd",
        "length",
        lambda pair: pair.distances.mean(),
        "average symmetric surface distance: the mean distance of the voxels of both surfaces to"
        " the other surface; 0 is perfect.",
        "lowest",
        (0.0, math.inf),
    ),
    Metric(
        "sensitivity",
        "fraction",
        lambda pair: pair.overlap.sensitivity(),
        "fraction of the reference that is predicted (recall), |P and R| / |R|; 1 is perfect.",
    ),
    Metric(
        "precision",
        "fraction",
        lambda pair: pair.overlap.precision(),
        "fraction of the prediction that is correct, |P and R| / |P|; 1 is perfect.",
    ),
    Metric(
        "relative_volume_error",
        "fraction",
        lambda pair: pair.overlap.relative_volume_error(),
        "volume difference as a fraction of the reference, (|P| - |R|) / |R|; 0.1 means 10 % too"
        " large.",
        "nearest to 0",
        (-1.0, math.inf),
    ),
    Metric(
        "subvoxel_hd95",
        "length",
        lambda pair: pair.elements.hd95(),
        "the larger of the two distances below which 95 % of a surface's area lies; surfaces pass"
        " between voxels (definition of surface-distance); 0 is perfect.",
        "lowest",
        (0.0, math.inf),
        "subvoxel",
    ),
    Metric(
        "subvoxel_surface_dice",
        "fraction",
        lambda pair: pair.elements.within(pair.tolerance),
        "fraction of the area of both surfaces within {tolerance} of the other surface; 1 is"
        " perfect.",
        family="subvoxel",
        absent=1.0,
    ),
    Metric(
        "subvoxel_assd",
        "length",
        lambda pair: pair.elements.mean(),
        "mean distance of the area of both surfaces to the other surface; 0 is perfect.",
        "lowest",
        (0.0, math.inf),
        "subvoxel",
    ),
    Metric(
        "lesion_f1",
        "fraction",
        lambda pair: pair.lesions.f1(),
        "detection of lesions (connected components, also at corners):"
        " 2 found / (2 found + missed + false); 1 is perfect.",
        family="lesions",
        absent=1.0,
    ),
    Metric(
        "lesions_found",
        "count",
        lambda pair: pair.lesions.found,
        "lesions of the reference that share a voxel with the prediction, or, with --lesion-iou,"
        " whose IoU with a predicted one is large enough.",
        "highest",
        (0.0, math.inf),
        "lesions",
        absent=0.0,
    ),
    Metric(
        "lesions_missed",
        "count",
        lambda pair: pair.lesions.missed,
        "lesions of the reference that were not found; 0 is perfect.",
        "lowest",
        (0.0, math.inf),
        "lesions",
        absent=0.0,
    ),
    Metric(
        "lesions_false",
        "count",
        lambda pair: pair.lesions.false,
        "predicted lesions that belong to none of the reference; 0 is perfect.",
        "lowest",
        (0.0, math.inf),
        "lesions",
        absent=0.0,
    ),
    Metric(
        "ece",
        "fraction",
        lambda pair: pair.reliability.ece(),
        "expected calibration error of the label's probability, in 15 bins, within 10 mm (px) of"
        " the box around prediction and reference; 0 is perfect.",
        "lowest",
        family="calibration",
    ),
    Metric(
        "brier",
        "fraction",
        lambda pair: pair.reliability.brier(),
        "Brier score: mean squared difference of probability and reference in the same voxels; 0 is"
        " perfect.",
        "lowest",
        family="calibration",
    ),
)


def metrics_of(families: Collection[Family]) -> tuple[Metric, ...]:
    """Return the metrics of some families, in the order of the catalogue.

    >>> [metric.name for metric in metrics_of(["calibration"])]
    ['ece', 'brier']
    """
    return tuple(metric for metric in METRICS if metric.family in families)


def metric_of(key: str) -> Metric:
    """Return the row of a metric by its name in metrics.csv, which may contain a unit.

    Raises:
        KeyError: no metric has this name.

    >>> metric_of("hd95_px").best, metric_of("dice").limits
    ('lowest', (0.0, 1.0))
    """
    return _BY_KEY[key]


_BY_KEY = {metric.key(unit): metric for metric in METRICS for unit in UNITS}


def definitions(
    tolerance: str, unit: Unit = "mm", families: Collection[Family] = FAMILIES
) -> dict[str, str]:
    """Return the definition of each metric by its name with the unit.

    Args:
        tolerance: tolerance of surface Dice with its unit.
        unit: unit of lengths.
        families: families of metrics.

    >>> definitions("2 mm")["volume_difference_ml"]
    'volume of the prediction minus volume of the reference; above 0 means too large.'
    """
    return {
        metric.key(unit): metric.definition.format(tolerance=tolerance)
        for metric in metrics_of(families)
    }
