"""Decide labels, uncertainty and probabilities of voxels from their scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.inference.prediction import Result, Wanted
from segkit.inference.scoring.probabilities import FUNCTIONS, STEPS
from segkit.inference.scoring.to_scan_grid import Decide, decide_by, label_dtype
from segkit.io.memory_map import MAPPED_FROM, blocks, drop_pages, in_memory, map_scratch
from segkit.plans.plan import Plan
from segkit.preprocessing.chain import InverseTransform
from segkit.preprocessing.gantry_tilt import SliceShifts


@dataclass(frozen=True)
class Decision:
    """Function from the scores of a voxel to its values, and the type of these values."""

    decide: Decide
    dtype: np.dtype[Any]
    channels: int = 1
    """Number of values of a voxel."""
    outside: int = 0
    """Value of the first channel outside the cropped scan; the other channels have 0 there."""
    scratch: Path | None = None
    """Folder for a temporary file that holds many values; None holds them in memory."""

    @property
    def bytes(self) -> int:
        """Bytes of a voxel."""
        return self.channels * self.dtype.itemsize

    def is_mapped(self, voxels: int) -> bool:
        """Return whether the values of so many voxels are held in a temporary file."""
        return self.scratch is not None and self.bytes * voxels >= MAPPED_FROM

    def array(self, inverse: InverseTransform, axis: int) -> NDArray[Any]:
        """Return an empty array (K, X, Y, Z) on the scan's grid.

        Several values of a voxel are laid out to be filled plane by plane along ``axis`` of the
        network's grid.

        Raises:
            InputError: the disk has no space for a temporary file.
        """
        order = [0, 1, 2]
        if self.channels > 1:
            plane_axis = inverse.axis_map.order[axis]
            # The other axes in the order of the file, in which Z changes slowest.
            order = [plane_axis, *(other for other in (2, 1, 0) if other != plane_axis)]
        first, *rest = (inverse.source_shape[source] for source in order)
        # Values that are written together are neighbors in the file (`io.memory_map.in_memory`).
        planes = self._empty((first, self.channels, *rest), inverse.source_voxels)
        array = planes.transpose(1, *((0, 2, 3)[order.index(source)] for source in range(3)))
        if self.outside:
            for box in blocks(array[0]):
                array[0][box] = self.outside
        return array

    def tilted_back(self, array: NDArray[Any], tilt: SliceShifts) -> NDArray[Any]:
        """Return the values (K, X, Y, Z) of an upright scan on the grid of the tilted scan."""
        if not tilt.shifts:
            return array
        tilted = self._empty((self.channels, *tilt.shape), math.prod(tilt.shape))
        for channel, values in enumerate(array):
            tilted[channel] = tilt.back(in_memory(values)[None])[0]
            drop_pages(tilted)
        return tilted

    def _empty(self, shape: Sequence[int], voxels: int) -> NDArray[Any]:
        if self.scratch and self.is_mapped(voxels):
            return map_scratch(self.scratch, shape, self.dtype)
        return np.zeros(shape, self.dtype)


def check_finite_scores(scores: NDArray[np.float32], where: Path, precision: str) -> None:
    """Raise an error if scores are NaN or infinite, because no label can be decided from them.

    Args:
        scores: (K, X, Y, Z) of some voxels.
        where: name of the scan in the message.
        precision: the number type that the network computes with.

    Raises:
        InputError: a score that is NaN or infinite.
    """
    # One sum is faster than a test of each score, and a NaN or infinity makes it not finite.
    with np.errstate(all="ignore"):
        if np.isfinite(scores.sum()) or np.isfinite(scores).all():
            return
    remedy = "The weights of the model are damaged or its training diverged: train it again."
    if precision != "float32":
        remedy = (
            f"The range of {precision} may be too small for this model: "
            f"predict with --precision float32. {remedy}"
        )
    raise InputError(
        where,
        expected="finite scores of the network",
        found=f"scores that are NaN or infinite, computed in {precision}",
        remedy=remedy,
    )


def decisions_of(plan: Plan, wanted: Wanted) -> dict[Result, Decision]:
    """Return what is decided from scores, in this order: labels, uncertainty, probabilities."""
    regions = bool(plan.regions)
    decide_labels = decide_by(plan.label_values, regions=regions)
    decisions: dict[Result, Decision] = {
        "labels": Decision(decide_labels, label_dtype(plan.label_values))
    }
    if wanted.uncertainty:
        decide_uncertainty = partial(entropy, regions=regions)
        decisions["uncertainty"] = Decision(decide_uncertainty, np.dtype(np.float32))
    if wanted.probabilities:
        certain = STEPS if wanted.probabilities == "uint8" else 1
        decisions["probabilities"] = Decision(
            partial(FUNCTIONS[wanted.probabilities], regions=regions),
            np.dtype(wanted.probabilities),
            channels=len(plan.label_values),
            outside=0 if regions else certain,
            scratch=wanted.scratch,
        )
    return decisions


def entropy(scores: NDArray[np.float32], *, regions: bool = False) -> NDArray[np.float32]:
    """Return the entropy (X, Y, Z) of each voxel's probabilities, as a fraction of the largest one.

    0 is certain; 1 means that all labels are equally probable.

    Args:
        scores: (K, X, Y, Z), logarithms of the probabilities of K labels up to a constant, or the
            logits of K regions.
        regions: True where the outputs are overlapping regions; each has an entropy of its own,
            and the largest one counts.

    >>> entropy(np.array([[0, 200], [0, 0]], np.float32).reshape(2, 1, 1, 2)).ravel().tolist()
    [1.0, 0.0]
    """
    if regions:
        largest = entropy(np.stack([scores[0], np.zeros_like(scores[0])]))
        for score in scores[1:]:
            single = entropy(np.stack([score, np.zeros_like(score)]))
            np.maximum(largest, single, out=largest)
        return largest
    logs = scores - scores.max(axis=0)
    weights = np.exp(logs)
    total = weights.sum(axis=0)
    # -sum p log p, with p = weights / total.
    nats: NDArray[np.float32] = np.log(total) - (weights * logs).sum(axis=0) / total
    fraction: NDArray[np.float32] = np.clip(nats / np.float32(math.log(len(scores))), 0, 1)
    return fraction
