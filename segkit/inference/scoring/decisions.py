"""From the scores of a voxel to its label, the probabilities of all labels, and its uncertainty."""

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
from segkit.inference.prediction import Wanted
from segkit.inference.scoring.probabilities import MAKERS, STEPS
from segkit.inference.scoring.to_scan_grid import Decide, decide_by, label_dtype
from segkit.io.memory_map import MAPPED_FROM, blocks, drop_pages, in_memory, map_scratch
from segkit.plans.plan import Plan
from segkit.preprocessing.chain import WayBack
from segkit.preprocessing.gantry_tilt import SliceShifts


@dataclass(frozen=True)
class Decision:
    """Something that follows from the scores of a voxel, and the numbers that hold it."""

    decide: Decide
    dtype: np.dtype[Any]
    channels: int = 1
    """Number of values of a voxel."""
    elsewhere: int = 0
    """Value of the first channel where the network did not look; that of the others is 0."""
    scratch: Path | None = None
    """Folder for a temporary file that holds the values where there are many; None holds them in memory."""

    @property
    def bytes(self) -> int:
        """Bytes of a voxel."""
        return self.channels * self.dtype.itemsize

    def is_mapped(self, voxels: int) -> bool:
        """Whether the values of so many voxels go to a temporary file."""
        return self.scratch is not None and self.bytes * voxels >= MAPPED_FROM

    def array(self, way_back: WayBack, axis: int) -> NDArray[Any]:
        """Return (K, X, Y, Z) on the scan's grid, to be filled plane by plane along ``axis`` of the network's grid.

        Raises:
            InputError: a temporary file for which there is no room.
        """
        if self.channels == 1:
            return self._empty((1, *way_back.source_shape), way_back.source_voxels)
        along = way_back.axis_map.order[axis]
        order = [
            along,
            *(each for each in (2, 1, 0) if each != along),
        ]  # that of the file for the rest
        first, *rest = (way_back.source_shape[each] for each in order)
        # What is written together lies together: see `segkit.io.memory_map.in_memory`.
        planes = self._empty((first, self.channels, *rest), way_back.source_voxels)
        found = planes.transpose(1, *((0, 2, 3)[order.index(each)] for each in range(3)))
        for box in blocks(found[0]) if self.elsewhere else ():
            found[0][box] = self.elsewhere
        return found

    def leaned(self, array: NDArray[Any], lean: SliceShifts) -> NDArray[Any]:
        """Return the values (K, X, Y, Z) of a straightened scan on the scan's own grid, channel by channel."""
        if not lean.shifts:
            return array
        found = self._empty((self.channels, *lean.shape), math.prod(lean.shape))
        for channel, values in enumerate(array):
            found[channel] = lean.back(in_memory(values)[None])[0]
            drop_pages(found)
        return found

    def _empty(self, shape: Sequence[int], voxels: int) -> NDArray[Any]:
        if self.scratch and self.is_mapped(voxels):
            return map_scratch(self.scratch, shape, self.dtype)
        return np.zeros(shape, self.dtype)


def check_finite_scores(scores: NDArray[np.float32], where: Path, precision: str) -> None:
    """Raise an error where a network gives scores that are NaN or infinite, from which no label follows.

    Args:
        scores: (K, X, Y, Z) of some voxels.
        where: name of the scan in the message.
        precision: the number type that the network computes with.

    Raises:
        InputError: a score that is NaN or infinite.
    """
    # One sum is faster than asking each score, and NaN and infinity never leave it.
    with np.errstate(all="ignore"):
        if np.isfinite(scores.sum()) or np.isfinite(scores).all():
            return
    remedy = "The weights of the model are damaged or its training diverged: train it again."
    if precision != "float32":
        remedy = (
            f"Numbers of {precision} may be too small for this model: predict with --precision float32. "
            + remedy
        )
    raise InputError(
        where,
        expected="finite scores of the network",
        found=f"scores that are NaN or infinite, computed in {precision}",
        remedy=remedy,
    )


def decisions_of(plan: Plan, wanted: Wanted) -> list[Decision]:
    """Return what follows from scores: labels, uncertainty and probabilities, in this order, as far as wanted."""
    regions = bool(plan.regions)
    found = [
        Decision(decide_by(plan.label_values, regions=regions), label_dtype(plan.label_values))
    ]
    if wanted.uncertainty:
        found.append(Decision(partial(entropy, regions=regions), np.dtype(np.float32)))
    if wanted.probabilities:
        decide = partial(MAKERS[wanted.probabilities], regions=regions)
        kind = np.dtype(wanted.probabilities)
        sure = STEPS if wanted.probabilities == "uint8" else 1
        found.append(
            Decision(decide, kind, len(plan.label_values), 0 if regions else sure, wanted.scratch)
        )
    return found


def entropy(scores: NDArray[np.float32], *, regions: bool = False) -> NDArray[np.float32]:
    """Entropy of a voxel's probabilities, as a share of the largest possible: 0 is certain, 1 as good as drawn.

    Args:
        scores: (K, X, Y, Z): logarithms of K labels' probabilities up to a constant, or of regions their logits.
        regions: they overlap, and each has an entropy of its own; the largest counts.

    >>> entropy(np.array([[0, 200], [0, 0]], np.float32).reshape(2, 1, 1, 2)).ravel().tolist()
    [1.0, 0.0]
    """
    if regions:
        found = entropy(np.stack([scores[0], np.zeros_like(scores[0])]))
        for score in scores[1:]:
            np.maximum(found, entropy(np.stack([score, np.zeros_like(score)])), out=found)
        return found
    logs = scores - scores.max(axis=0)
    weights = np.exp(logs)
    total = weights.sum(axis=0)
    # -sum p log p, with p = weights / total.
    bits: NDArray[np.float32] = np.log(total) - (weights * logs).sum(axis=0) / total
    share: NDArray[np.float32] = np.clip(bits / np.float32(math.log(len(scores))), 0, 1)
    return share
