"""How a scan is gone through in the memory there is: along which axis, in how many parts, how many windows at once.

What is chosen changes time and memory, not the result, but for how a processor rounds when a network gets fewer windows
at once: those that were tried make no difference.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.errors import OutOfMemoryError
from segkit.inference.scoring.to_scan_grid import SLAB_BYTES, Part, parts_of
from segkit.io.limits import available_memory, resident_memory
from segkit.io.memory_map import BLOCK_SPAN, is_mapped
from segkit.plans.plan import NetworkPlan, Plan
from segkit.preprocessing.chain import ScanParts
from segkit.sliding_window.rows import Rows, Windows
from segkit.sliding_window.windows import Margins
from segkit.units import size_text
from segkit.volume import Box, Shape

log = logging.getLogger(__name__)

LIVE = 6
"""Tensors as large as a stage's output that a forward pass holds at once: a skip, a concatenation of two, what becomes
of it and the working memory of a convolution."""
SCORED = 4
"""Times a window's scores: of this network, of those before, mirrored back, and of the windows before."""
MOST_PARTS = 64


@dataclass(frozen=True)
class Layout:
    """Rows of windows over a scan, perhaps part by part."""

    windows: Windows
    parts: tuple[Part, ...]
    around: Margins
    bytes: int
    """About what it takes at its fullest, besides what is held already."""

    def with_batch(self, batch: int | None) -> Layout:
        """So many windows at once; None leaves them."""
        return self if batch is None else replace(self, windows=replace(self.windows, batch=batch))

    def count(self, shape: Shape) -> int:
        """Windows that the network computes, those at the border of two parts twice."""
        return sum(
            Rows.over(shape, self.around, self.windows, part.made_of).count for part in self.parts
        )


@dataclass(frozen=True)
class Work:
    """What has to be done to a scan, as far as memory is concerned."""

    scan: ScanParts
    plan: Plan
    channels: int
    """Of what is averaged over windows."""
    classes: int
    overlap: float
    around: Margins
    """Voxels that the scan is padded by so that windows fit."""
    networks: tuple[NetworkPlan, ...]
    """One after the other; none where they compute elsewhere, in a GPU's memory."""
    written: int
    """Bytes for each of the scan's voxels."""
    kept: int = 0
    """Bytes for each voxel of which sums are held, for labels of single windows."""
    box: Box | None = None
    """What of the cropped scan is gone through; None is all of it. The axis of rows does not depend on it, so that
    scores are summed in one order whatever the box."""
    sums: bool = True
    """Sums over windows are held in this memory, not in a GPU's."""
    after: int = 0
    """Bytes that are taken besides those written, once the network is done."""
    mapped: int = 0
    """Bytes for each of the scan's voxels that go to a temporary file, of which a few planes are held."""


def choose_layout(work: Work, *, limit: int | None = None, where: str | Path = "scan") -> Layout:
    """The layout that does the least work of those that fit.

    Args:
        work: the scan and what is done to it.
        limit: bytes that the whole process may take; None for what is free.
        where: the scan's name in messages.

    Raises:
        OutOfMemoryError: not even the smallest layout fits.
    """
    free, held = available_memory(), resident_memory()
    known = [
        amount for amount in (free, None if limit is None else limit - held) if amount is not None
    ]
    smallest = None
    for layout in _layouts(work):
        if not known or layout.bytes <= min(known):
            if limit is not None:
                how = "in one go" if len(layout.parts) == 1 else f"in {len(layout.parts)} parts"
                takes = f"about {size_text(layout.bytes)} besides the {size_text(held)} that are held already"
                log.info("%s: gone through %s, which takes %s", where, how, takes)
            return layout
        smallest = min(smallest or layout, layout, key=lambda each: each.bytes)
    assert smallest is not None
    size = " x ".join(str(edge) for edge in work.scan.shape)
    needed = f"{where}: {size} voxels take at least {size_text(smallest.bytes)} of memory"
    if limit is None or min(known) == free:
        raise OutOfMemoryError(
            f"{needed}, and {size_text(min(known))} are free. Take a machine with more memory, or cut the scan."
        )
    raise OutOfMemoryError(
        f"{needed} besides the {size_text(held)} that are held already, and {size_text(limit)} in all are allowed. "
        "Allow more, or cut the scan."
    )


def _layouts(work: Work) -> Iterator[Layout]:
    """From fast to frugal."""
    axis, other = _axes(work.scan.shape, work.plan)
    cover = parts_of(work.scan.way_back, other, 1, work.box)[0].made_of if work.box else None
    for count in range(1, min(MOST_PARTS, work.scan.way_back.cropped_shape[other]) + 1):
        parts = tuple(parts_of(work.scan.way_back, other, count, work.box))
        for batch in (None, 1):
            windows = Windows(
                work.plan.patch, work.overlap, axis, batch, work.plan.slice_axis, cover
            )
            most = max(_bytes(work, windows, part) for part in parts)
            after = work.written * work.scan.way_back.source_voxels + work.after
            yield Layout(windows, parts, work.around, max(most, after))


def _axes(shape: Shape, plan: Plan) -> tuple[int, int]:
    """Where rows follow each other, which leaves the least in memory, and the longest of the other axes."""
    padded = [max(pair) for pair in zip(shape, plan.patch, strict=True)]
    # Memory is that of all voxels, cut down to a window's edge along the axis.
    axis = min(range(3), key=lambda each: plan.patch[each] / padded[each])
    return axis, max((each for each in range(3) if each != axis), key=lambda each: padded[each])


def _bytes(work: Work, windows: Windows, part: Part) -> int:
    way_back, channels = work.scan.way_back, len(work.plan.channels)
    rows = Rows.over(work.scan.shape, work.around, windows, part.made_of)
    voxels = math.prod(rows.held)
    # The image twice where it moves on, and before, from the scan's voxels on, a step of resampling and the next.
    image = 3 * channels * voxels
    if work.scan.shape != way_back.cropped_shape:
        image += (
            2
            * channels
            * int(voxels * max(1, math.prod(way_back.cropped_shape) / math.prod(work.scan.shape)))
        )
    pages = BLOCK_SPAN if is_mapped(work.scan.voxels) else 0
    found = pages + 4 * image + work.written * way_back.source_voxels + work.kept * voxels
    found += _restoring(work, windows, part)
    if work.sums:
        found += 4 * (work.channels + 1) * voxels  # sums, and the windows' weights
    if work.networks:
        found += 4 * work.channels * math.prod(work.plan.patch)  # what was said of a blank window
        found += max(network_bytes(each, work, windows.together) for each in work.networks)
    return found


def _restoring(work: Work, windows: Windows, part: Part) -> int:
    """What `restore` takes: planes that it still needs, a step of resampling and the next, and scores of some lines."""
    axis = windows.axis
    after: list[int] = [lines.stop - lines.start for lines in part.lines]
    shrinks = max(1, work.scan.shape[axis] / work.scan.way_back.cropped_shape[axis])
    rows = Rows.over(work.scan.shape, work.around, windows, part.made_of)
    sizes = list(zip(rows.shape, after, strict=True))
    plane = math.prod(max(pair) for each, pair in enumerate(sizes) if each != axis)
    # Slabs are as thick as SLAB_BYTES allows, but one plane, or one line of scores, at the least, and all at the most.
    voxels = plane * max(sizes[axis])
    planes = max(4 * work.channels * plane, min(SLAB_BYTES, 4 * work.channels * voxels))
    longest = max(size for _, size in sizes)
    lines = max(4 * work.classes * plane // longest, min(SLAB_BYTES, 4 * work.classes * voxels))
    matrices = 100 * sum(max(pair) for pair in sizes)
    # Pages of a temporary file are given back after some planes, or else some lines, of whatever planes these are.
    together = SLAB_BYTES // (
        4 * plane * (work.classes if 4 * work.classes * plane <= SLAB_BYTES else work.channels)
    )
    pages = work.mapped * plane * max(1, min(max(sizes[axis]), together))
    return int((2 + 2 * shrinks) * planes + 3 * lines) + pages + matrices


def network_bytes(network: NetworkPlan, work: Work, windows: int) -> int:
    """About what a forward pass of so many windows takes in float32."""
    sizes = network.sizes(work.plan.patch)
    stages = zip(network.encoder, sizes, strict=False)
    widest = max(stage.layers[-1].channels * math.prod(size) for stage, size in stages)
    return 4 * windows * (LIVE * widest + SCORED * work.channels * math.prod(work.plan.patch))
