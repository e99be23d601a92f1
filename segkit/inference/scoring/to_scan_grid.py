"""Results on the scan's grid: which are made, their memory, and how slabs of scores fill them.

Scores are resampled from the network's grid, not labels, which keeps borders smooth. They arrive
slab by slab, and only a few planes are held at the scan's resolution.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.inference.prediction import Result, Wanted
from segkit.io.memory import MAPPED_FROM, blocks, drop_pages, in_memory, map_scratch
from segkit.labels.voxel_values import (
    FUNCTIONS,
    STEPS,
    Decide,
    Scores,
    decide_by,
    entropy,
    label_dtype,
)
from segkit.plans.plan import Plan
from segkit.preprocessing.chain import InverseTransform
from segkit.preprocessing.orient_and_crop import SliceShifts
from segkit.preprocessing.resample import SlabResampler, axis_matrices, matrices_of_part
from segkit.volume import Box, Shape

SLAB_BYTES = 16 << 20
"""Bytes of the scores that are held at the scan's resolution."""
MAX_BLOCK_BYTES, BLOCK_BYTES_PER_VOXEL = 96 << 20, 64
"""Memory for processing a label map in blocks (components, statistics, pictures): upper bound in
bytes, and bytes per voxel."""


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
        # Values that are written together are neighbors in the file (`io.memory.in_memory`).
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
        tilted = self._empty((self.channels, *tilt.grid.shape), tilt.grid.voxels)
        for channel, values in enumerate(array):
            tilted[channel] = tilt.back(in_memory(values)[None])[0]
            drop_pages(tilted)
        return tilted

    def _empty(self, shape: Sequence[int], voxels: int) -> NDArray[Any]:
        if self.scratch and self.is_mapped(voxels):
            return map_scratch(self.scratch, shape, self.dtype)
        return np.zeros(shape, self.dtype)


def decisions_of(plan: Plan, wanted: Wanted) -> dict[Result, Decision]:
    """Return what is decided from scores, in this order: labels, uncertainty, probabilities."""
    regions = bool(plan.regions)
    decide_labels = decide_by(plan.label_values, regions=regions)
    decisions: dict[Result, Decision] = {
        "labels": Decision(decide_labels, label_dtype(plan.label_values))
    }
    options: dict[str, Any] = {"regions": regions, "temperatures": wanted.temperatures}
    if wanted.uncertainty:
        decide_uncertainty = partial(entropy, **options)
        decisions["uncertainty"] = Decision(decide_uncertainty, np.dtype(np.float32))
    if wanted.probabilities:
        certain = STEPS if wanted.probabilities == "uint8" else 1
        decisions["probabilities"] = Decision(
            partial(FUNCTIONS[wanted.probabilities], **options),
            np.dtype(wanted.probabilities),
            channels=len(plan.label_values),
            outside=0 if regions else certain,
            scratch=wanted.scratch,
        )
    return decisions


def block_bytes(voxels: int) -> int:
    """Return about how many bytes processing a label map of so many voxels in blocks takes.

    >>> block_bytes(1000)
    64000
    """
    return min(MAX_BLOCK_BYTES, BLOCK_BYTES_PER_VOXEL * voxels)


def bytes_after_scoring(
    decisions: Mapping[Result, Decision],
    voxels: int,
    *,
    rules: int,
    is_compared: bool,
    is_tilted: bool,
) -> int:
    """Return about how many bytes are needed after scoring, in addition to the results.

    Args:
        decisions: the results.
        voxels: number of voxels of the scan.
        rules: number of labels with a rule of postprocessing.
        is_compared: True where labels are compared with those of the training data.
        is_tilted: True where results are moved back to the grid of a tilted scan.
    """
    # A rule makes a copy while the copy of the rule before it is still held.
    copies = decisions["labels"].bytes * min(2, rules) * voxels
    blocks = block_bytes(voxels) if rules or is_compared else 0
    return max(copies + blocks, _bytes_tilted_back(decisions, voxels) if is_tilted else 0)


def _bytes_tilted_back(decisions: Mapping[Result, Decision], voxels: int) -> int:
    """Return the bytes of copies of all results; of one in a file, of a channel and its copy."""
    in_file = [decision for decision in decisions.values() if decision.is_mapped(voxels)]
    in_memory = [decision for decision in decisions.values() if not decision.is_mapped(voxels)]
    channel = max((2 * decision.dtype.itemsize for decision in in_file), default=0)
    return (sum(decision.bytes for decision in in_memory) + channel) * voxels


@dataclass(frozen=True, eq=False)
class Output:
    """Array to fill, and the function from a voxel's scores to its values."""

    decide: Decide
    array: NDArray[Any]
    """Values (X, Y, Z) or (K, X, Y, Z) on the scan's grid; unchanged outside the cropped grid."""


def write_on_scan_grid(
    slabs: Iterable[Scores],
    inverse: InverseTransform,
    outputs: Sequence[Output],
    *,
    axis: int = 0,
    box: Box | None = None,
    scores_of: Callable[[Scores], Scores] | None = None,
    classes: int = 1,
    slab_bytes: int = SLAB_BYTES,
) -> None:
    """Fill ``outputs`` on the scan's grid from consecutive slabs of scores on the network's grid.

    Args:
        slabs: (K, ...) planes along ``axis`` of the network's grid, from first to last; each is
            used before the next one is requested.
        inverse: the scan's grid, as `preprocessing.chain` kept it.
        outputs: arrays to fill.
        axis: 0 is X of the network's grid.
        box: box of the cropped grid that the slabs belong to; None is all of it.
        scores_of: linear function from a slab's values to scores; None where slabs hold scores.
        classes: number of scores of a voxel that ``scores_of`` returns.
        slab_bytes: memory for scores at the scan's resolution.
    """
    part = box or whole_box(inverse.cropped_shape)
    matrices = axis_matrices(inverse.network_shape, inverse.cropped_shape, "linear")
    _, matrices = matrices_of_part(matrices, part)
    targets = [Output(output.decide, inverse.view(output.array)) for output in outputs]
    written, done = list(part), part[axis].start
    # The in-plane resampling steps pass through grids of either resolution.
    sizes = zip(inverse.network_shape, inverse.cropped_shape, strict=True)
    plane = math.prod(max(pair) for index, pair in enumerate(sizes) if index != axis)
    resampler = SlabResampler(matrices, axis=axis, planes=int(slab_bytes / 4 / plane))
    for values in itertools.chain.from_iterable(map(resampler.add, slabs)):
        written[axis] = slice(done, done + values.shape[1 + axis])
        done += values.shape[1 + axis]
        voxels = slab_bytes // (4 * max(classes, values.shape[0]))
        for lines in _lines(values.shape[1:], voxels, axis):
            scores = values[:, *lines] if scores_of is None else scores_of(values[:, *lines])
            for target in targets:
                planes_written: NDArray[Any] = target.array[_spatial(written)]
                planes_written[_spatial(lines)] = target.decide(scores)
                drop_pages(target.array)


def _spatial(box: Sequence[slice]) -> Any:
    """Return the index of a box in an array (X, Y, Z) or (K, X, Y, Z)."""
    return (..., *box)


def _lines(shape: Sequence[int], voxels: int, axis: int) -> Iterator[Box]:
    """Yield boxes of about ``voxels`` voxels: planes along ``axis``, or lines of the longest axis.

    Whole planes lie together in a temporary file, so fewer of its pages are touched at a time.
    """
    if math.prod(shape) > voxels * shape[axis]:
        axis = int(np.argmax(shape))
    count = max(1, voxels * shape[axis] // math.prod(shape))
    for start in range(0, shape[axis], count):
        x, y, z = (
            slice(start, start + count) if index == axis else slice(None) for index in range(3)
        )
        yield x, y, z


def whole_box(shape: Shape) -> Box:
    """Return the box that holds all voxels of a grid."""
    x, y, z = (slice(0, size) for size in shape)
    return x, y, z
