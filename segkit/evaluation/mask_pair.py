"""Two masks of one label, and what several metrics need of them, computed once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from segkit.evaluation.calibration import NO_VOXELS, Reliability
from segkit.evaluation.lesions import Lesions, count_lesions
from segkit.evaluation.overlap import MM3_PER_ML, Mask, Overlap, overlap
from segkit.evaluation.surface import SurfaceDistances, surface_distances
from segkit.evaluation.surface_elements import ElementDistances, element_distances
from segkit.volume import Unit


@dataclass(frozen=True, eq=False)
class MaskPair:
    """Two masks of one label on one grid; what several metrics need is computed once."""

    predicted: Mask
    """Mask (X, Y, Z) of the prediction."""
    reference: Mask
    """Mask (X, Y, Z) of the reference."""
    spacing: Sequence[float]
    """Voxel spacing along X, Y, Z in ``unit``."""
    unit: Unit = "mm"
    """Unit of lengths; volumes are in ml with mm, and in px with px."""
    tolerance: float = 1.0
    """Tolerance of surface Dice in ``unit``."""
    annotated: Mask | None = None
    """Mask (X, Y, Z) of annotated voxels, which contains both masks; None if all are annotated."""
    lesion_iou: float = 0.0
    """Smallest IoU of two components that are one lesion; 0 if a shared voxel is enough."""
    reliability: Reliability = NO_VOXELS
    """Probabilities of the label compared with the reference, where there are any."""

    @cached_property
    def overlap(self) -> Overlap:
        """Numbers of voxels of both masks and of their intersection."""
        return overlap(self.predicted, self.reference)

    @cached_property
    def distances(self) -> SurfaceDistances:
        """Distances between the two surfaces, in both directions."""
        return surface_distances(
            self.predicted, self.reference, self.spacing, annotated=self.annotated
        )

    @cached_property
    def elements(self) -> ElementDistances:
        """Distances between the elements of the two surfaces, with their areas."""
        return element_distances(
            self.predicted, self.reference, self.spacing, annotated=self.annotated
        )

    @cached_property
    def lesions(self) -> Lesions:
        """Numbers of lesions that were found, were missed and are false."""
        return count_lesions(self.predicted, self.reference, self.lesion_iou)

    @property
    def volumes(self) -> tuple[float, float]:
        """Volumes of the prediction and of the reference, in ml or px."""
        return self._volume(self.overlap.predicted), self._volume(self.overlap.reference)

    @property
    def volume_difference(self) -> float:
        """Volume of the prediction minus that of the reference, in ml or px."""
        return self._volume(self.overlap.voxel_difference())

    def _volume(self, voxels: float) -> float:
        volume = float(math.prod(self.spacing)) * voxels
        return volume / MM3_PER_ML if self.unit == "mm" else volume
