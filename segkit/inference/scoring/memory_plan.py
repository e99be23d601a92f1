"""Choose how to tile a scan so that prediction fits into memory.

A memory plan chooses the axis along which rows of windows follow each other, the number of parts in
which the scan is processed, and the number of windows per batch. It changes time and memory, not
the result, except for rounding where a processor computes a smaller batch of windows differently;
the processors that were tried gave equal results.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from segkit.errors import OutOfMemoryError
from segkit.inference.scoring.to_scan_grid import SLAB_BYTES, whole_box
from segkit.io.memory import BLOCK_SPAN, available_memory, is_mapped, resident_memory
from segkit.plans.plan import NetworkPlan, Plan
from segkit.preprocessing.chain import InverseTransform, ScanParts
from segkit.preprocessing.resample import axis_matrices, matrices_of_part
from segkit.sliding_window.rows import Rows, Windows
from segkit.sliding_window.windows import Margins
from segkit.units import size_text
from segkit.volume import Box, Shape

log = logging.getLogger(__name__)

LIVE_TENSORS = 6
"""Tensors of the size of a stage's output that a forward pass holds at the same time: a skip
connection, a concatenation of two, its result, and the working memory of a convolution."""
SCORE_COPIES = 4
"""Copies of a window's scores: this network's, the sum so far, the mirrored ones, and those of the
previous batch."""
MAX_PARTS = 64


@dataclass(frozen=True)
class Part:
    """Part of a scan: a box of the cropped grid, and the box of the network's grid it needs."""

    box: Box
    network_box: Box


@dataclass(frozen=True)
class MemoryPlan:
    """Tiling of a scan: rows of windows, over the whole scan or part by part."""

    windows: Windows
    parts: tuple[Part, ...]
    margins: Margins
    bytes: int
    """Estimated peak memory in bytes, in addition to what the process holds already."""

    def with_batch(self, batch: int | None) -> MemoryPlan:
        """Return the plan with ``batch`` windows per call of the network; None changes nothing."""
        return self if batch is None else replace(self, windows=replace(self.windows, batch=batch))

    def count(self, shape: Shape) -> int:
        """Return the number of windows computed; those at the border of two parts count twice."""
        return sum(
            Rows.over(shape, self.margins, self.windows, part.network_box).count
            for part in self.parts
        )


@dataclass(frozen=True, kw_only=True)
class MemoryNeeds:
    """Facts about the prediction of one scan that decide how much memory it takes."""

    scan: ScanParts
    plan: Plan
    channels: int
    """Number of channels of the averaged tensor (features or class scores)."""
    classes: int
    """Number of class scores of a voxel."""
    overlap: float
    """Fraction of a window's edge that neighboring windows have in common."""
    margins: Margins
    """Voxels that the scan is padded by so that windows fit."""
    networks: tuple[NetworkPlan, ...]
    """Networks that compute in this memory, one after the other; none where a GPU computes."""
    result_bytes: int
    """Bytes per voxel of the scan for results that are held in memory."""
    window_label_bytes: int = 0
    """Bytes per voxel for the labels of single windows, held for as long as the sums."""
    box: Box | None = None
    """Box of the cropped scan that is processed; None is all of it.

    The axis of the rows does not depend on it, so scores are summed in the same order for any box.
    """
    holds_sums: bool = True
    """True where the sums over windows are held in this memory, not in a GPU's."""
    after: int = 0
    """Bytes needed in addition to the results once the network has finished."""
    mapped_bytes: int = 0
    """Bytes per voxel of the scan in temporary files, of which a few planes are held."""


def choose_memory_plan(
    needs: MemoryNeeds, *, limit: int | None = None, where: str | Path = "scan"
) -> MemoryPlan:
    """Return the fastest memory plan that fits.

    Args:
        needs: the scan and the results that are computed for it.
        limit: bytes that the whole process may take; None for all free memory.
        where: the scan's name in messages.

    Raises:
        OutOfMemoryError: not even the smallest plan fits.
    """
    free, held = available_memory(), resident_memory()
    allowed = None if limit is None else limit - held
    bounds = [bound for bound in (free, allowed) if bound is not None]
    plans = []
    for plan in memory_plans(needs):
        if not bounds or plan.bytes <= min(bounds):
            if limit is not None:
                _log_plan(plan, held, where)
            return plan
        plans.append(plan)
    smallest = min(plan.bytes for plan in plans)
    size = " x ".join(str(edge) for edge in needs.scan.shape)
    needed = f"{where}: {size} voxels take at least {size_text(smallest)} of memory"
    if limit is None or min(bounds) == free:
        raise OutOfMemoryError(
            f"{needed}, and {size_text(min(bounds))} are free. "
            "Use a machine with more memory, or crop the scan."
        )
    raise OutOfMemoryError(
        f"{needed} in addition to the {size_text(held)} that are already in use, and the limit is "
        f"{size_text(limit)}. Allow more, or crop the scan."
    )


def _log_plan(plan: MemoryPlan, held: int, where: str | Path) -> None:
    count = len(plan.parts)
    log.info(
        "%s: is processed in %s, which takes about %s in addition to the %s that are "
        "already in use",
        where,
        "one part" if count == 1 else f"{count} parts",
        size_text(plan.bytes),
        size_text(held),
    )


def memory_plans(needs: MemoryNeeds) -> Iterator[MemoryPlan]:
    """Yield the possible plans, from the fastest to the one that takes the least memory."""
    axis, split_axis = _axes(needs.scan.shape, needs.plan)
    inverse, box = needs.scan.inverse, needs.box
    cover = split_into_parts(inverse, split_axis, 1, box)[0].network_box if box else None
    after = needs.result_bytes * inverse.source_voxels + needs.after
    for count in range(1, min(MAX_PARTS, inverse.cropped_shape[split_axis]) + 1):
        parts = tuple(split_into_parts(inverse, split_axis, count, box))
        for batch in (None, 1):
            windows = Windows(
                needs.plan.patch,
                needs.overlap,
                axis=axis,
                batch=batch,
                slice_axis=needs.plan.slice_axis,
                cover=cover,
            )
            scoring = max(_part_bytes(needs, windows, part) for part in parts)
            yield MemoryPlan(windows, parts, needs.margins, max(scoring, after))


def split_into_parts(
    inverse: InverseTransform, axis: int, count: int, box: Box | None = None
) -> list[Part]:
    """Split the cropped grid, or a box of it, along an axis.

    Args:
        inverse: the grids of the scan.
        axis: 0, 1 or 2 for X, Y or Z of the cropped grid.
        count: number of parts; there are fewer where the box has fewer voxels along the axis.
        box: box of the cropped grid; None is all of it.
    """
    whole = box or whole_box(inverse.cropped_shape)
    first, last = whole[axis].start, whole[axis].stop
    cuts = [first + round(number * (last - first) / count) for number in range(count + 1)]
    matrices, parts = axis_matrices(inverse.network_shape, inverse.cropped_shape, "linear"), []
    for start, stop in pairwise(cuts):
        if start < stop:
            x, y, z = (
                slice(start, stop) if index == axis else span for index, span in enumerate(whole)
            )
            network_box, _ = matrices_of_part(matrices, (x, y, z))
            parts.append(Part((x, y, z), network_box))
    return parts


def _axes(shape: Shape, plan: Plan) -> tuple[int, int]:
    """Return the axis along which rows follow each other, and the longest of the other axes.

    The first one is the axis for which the fewest sums are held.
    """
    padded = [max(pair) for pair in zip(shape, plan.patch, strict=True)]
    # Sums are held for all voxels, except that along this axis they span one window's edge.
    axis = min(range(3), key=lambda index: plan.patch[index] / padded[index])
    others = (index for index in range(3) if index != axis)
    return axis, max(others, key=lambda index: padded[index])


def _part_bytes(needs: MemoryNeeds, windows: Windows, part: Part) -> int:
    """Return about how many bytes it takes to score one part and write its results."""
    inverse = needs.scan.inverse
    rows = Rows.over(needs.scan.shape, needs.margins, windows, part.network_box)
    voxels = math.prod(rows.held)
    pages = BLOCK_SPAN if is_mapped(needs.scan.voxels) else 0
    total = pages + 4 * _image_values(needs, voxels) + needs.result_bytes * inverse.source_voxels
    total += needs.window_label_bytes * voxels + _resampling_bytes(needs, rows, part)
    if needs.holds_sums:
        total += 4 * (needs.channels + 1) * voxels  # sums, and the weights of the windows
    if needs.networks:
        total += 4 * needs.channels * math.prod(needs.plan.patch)  # scores of a constant window
        batch = windows.batch_size
        total += max(network_bytes(network, needs, windows=batch) for network in needs.networks)
    return total


def _image_values(needs: MemoryNeeds, voxels: int) -> int:
    """Return how many values the image takes where ``voxels`` of the network's grid are held."""
    shape, cropped_shape = needs.scan.shape, needs.scan.inverse.cropped_shape
    channels = len(needs.plan.channels)
    # A slab exists twice while it is moved along the scan; before, it is read from the scan.
    values = 3 * channels * voxels
    if shape != cropped_shape:  # two consecutive steps of resampling
        larger = max(1, math.prod(cropped_shape) / math.prod(shape))
        values += 2 * channels * int(voxels * larger)
    return values


def _resampling_bytes(needs: MemoryNeeds, rows: Rows, part: Part) -> int:
    """Return the bytes of `write_on_scan_grid`: planes held, two resampling steps, and scores."""
    axis = rows.windows.axis
    part_shape: list[int] = [span.stop - span.start for span in part.box]
    shrinks = max(1, needs.scan.shape[axis] / needs.scan.inverse.cropped_shape[axis])
    sizes = list(zip(rows.shape, part_shape, strict=True))
    plane = math.prod(max(pair) for index, pair in enumerate(sizes) if index != axis)
    # A slab takes SLAB_BYTES; at least one plane or one line of scores, at most all of them.
    voxels = plane * max(sizes[axis])
    planes = max(4 * needs.channels * plane, min(SLAB_BYTES, 4 * needs.channels * voxels))
    longest = max(size for _, size in sizes)
    lines = max(4 * needs.classes * plane // longest, min(SLAB_BYTES, 4 * needs.classes * voxels))
    matrices = 100 * sum(max(pair) for pair in sizes)
    # Pages of a temporary file are released after some planes, or else after some lines.
    in_slab = needs.classes if 4 * needs.classes * plane <= SLAB_BYTES else needs.channels
    planes_together = SLAB_BYTES // (4 * plane * in_slab)
    pages = needs.mapped_bytes * plane * max(1, min(max(sizes[axis]), planes_together))
    return int((2 + 2 * shrinks) * planes + 3 * lines) + pages + matrices


def network_bytes(network: NetworkPlan, needs: MemoryNeeds, *, windows: int) -> int:
    """Return about how many bytes a forward pass of ``windows`` windows takes in float32."""
    sizes = network.sizes(needs.plan.patch)
    stages = zip(network.encoder, sizes, strict=False)
    widest = max(stage.layers[-1].channels * math.prod(size) for stage, size in stages)
    scores = needs.channels * math.prod(needs.plan.patch)
    return 4 * windows * (LIVE_TENSORS * widest + SCORE_COPIES * scores)
