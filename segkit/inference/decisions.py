"""What follows from the scores of a voxel: its label, the probabilities of all labels, and how uncertain they are."""

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
from segkit.inference.probabilities import MAKERS, STEPS
from segkit.inference.restore import Decide, decide_by, label_dtype
from segkit.inference.uncertainty import entropy
from segkit.io.mapped import MAPPED_FROM, blocks, drop_pages, gathered, map_scratch
from segkit.plans import Plan
from segkit.preprocessing.chain import WayBack
from segkit.preprocessing.straighten import Lean


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
        order = [along, *(each for each in (2, 1, 0) if each != along)]  # that of the file for the rest
        first, *rest = (way_back.source_shape[each] for each in order)
        # What is written together lies together: see `segkit.io.mapped.gathered`.
        planes = self._empty((first, self.channels, *rest), way_back.source_voxels)
        found = planes.transpose(1, *((0, 2, 3)[order.index(each)] for each in range(3)))
        for box in blocks(found[0]) if self.elsewhere else ():
            found[0][box] = self.elsewhere
        return found

    def leaned(self, array: NDArray[Any], lean: Lean) -> NDArray[Any]:
        """Return the values (K, X, Y, Z) of a straightened scan on the scan's own grid, channel by channel."""
        if not lean.shifts:
            return array
        found = self._empty((self.channels, *lean.shape), math.prod(lean.shape))
        for channel, values in enumerate(array):
            found[channel] = lean.back(gathered(values)[None])[0]
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
        remedy = f"Numbers of {precision} may be too small for this model: predict with --precision float32. " + remedy
    raise InputError(
        where,
        expected="finite scores of the network",
        found=f"scores that are NaN or infinite, computed in {precision}",
        remedy=remedy,
    )


def decisions_of(plan: Plan, wanted: Wanted) -> list[Decision]:
    """Return what follows from scores: labels, uncertainty and probabilities, in this order, as far as wanted."""
    regions = bool(plan.regions)
    found = [Decision(decide_by(plan.label_values, regions=regions), label_dtype(plan.label_values))]
    if wanted.uncertainty:
        found.append(Decision(partial(entropy, regions=regions), np.dtype(np.float32)))
    if wanted.probabilities:
        decide = partial(MAKERS[wanted.probabilities], regions=regions)
        kind = np.dtype(wanted.probabilities)
        sure = STEPS if wanted.probabilities == "uint8" else 1
        found.append(Decision(decide, kind, len(plan.label_values), 0 if regions else sure, wanted.scratch))
    return found
