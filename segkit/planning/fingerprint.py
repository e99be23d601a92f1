"""What is measured about a dataset before anything is decided.

Axes are X, Y, Z after each scan has been turned to the nearest RAS+ orientation; lengths are in the dataset's unit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from segkit.volume import Shape

Point = tuple[float, float, float]


@dataclass(frozen=True)
class LabelFacts:
    """One label in one case; positions in mm (or px) from the scan's first voxel, per axis."""

    voxels: int
    volume: float
    """mm^3, or px."""
    centroid: Point
    deviation: Point
    """Standard deviation of its voxels' positions."""


@dataclass(frozen=True)
class CaseFacts:
    """Geometry of one case before and after its constant border is cut away."""

    id: str
    shape: Shape
    spacing: Point
    cropped: Shape
    labels: dict[str, LabelFacts] = field(default_factory=dict)
    outside: int = 0
    """Labelled voxels in the constant border."""


@dataclass(frozen=True)
class Intensity:
    """One channel's values inside all labels, over all cases in equal parts."""

    minimum: float
    lower: float
    """0.5th percentile."""
    median: float
    mean: float
    upper: float
    """99.5th percentile."""
    maximum: float
    std: float


@dataclass(frozen=True)
class Fingerprint:
    """A measured dataset; `dataclasses.asdict` gives JSON types."""

    unit: Literal["mm", "px"]
    cases: tuple[CaseFacts, ...]
    intensities: tuple[Intensity, ...]
    """One per channel."""
