"""How a scan is gone through in the memory there is: along which axis, in how many parts, how many windows at once.

What is chosen changes time and memory, never the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.errors import OutOfMemoryError
from segkit.inference.restore import SLAB_BYTES, Part, label_dtype, parts_of
from segkit.io.limits import available_memory, resident_memory
from segkit.memory import size_text
from segkit.plans import Plan
from segkit.preprocessing.chain import PreparedPlanes
from segkit.sliding_window import Band, Windows
from segkit.volume import Shape
from segkit.windows import window_starts

LIVE = 6
"""Tensors as large as a stage's output that a forward pass holds at once: a skip, a concatenation of two, what becomes
of it and the working memory of a convolution."""
FOREIGN_CHANNELS = 64
"""Of the largest tensor in a network from elsewhere, whose plan does not tell."""
DECIDING = 4
"""Times the scores of some planes on the scan's grid: resampled, ordered for it, with heads, and what is chosen."""
MOST_PARTS = 64


@dataclass(frozen=True)
class Layout:
    """Rows of windows over a scan, perhaps part by part."""

    windows: Windows
    parts: tuple[Part | None, ...]
    """None is the whole scan."""
    bytes: int
    """What it takes at its fullest, besides what is held already."""

    def count(self, shape: Shape) -> int:
        """Windows that the network computes, those at the border of two parts twice."""
        return sum(_count(shape, self.windows, part) for part in self.parts)


def choose_layout(
    planes: PreparedPlanes,
    plan: Plan,
    overlap: float,
    *,
    channels: int,
    limit: int | None = None,
    where: str | Path = "scan",
) -> Layout:
    """The layout that does the least work of those that fit.

    Args:
        planes: the scan.
        plan: says what a window is and which network there is.
        overlap: of neighbouring windows.
        channels: of what is averaged over windows.
        limit: bytes that the whole process may take; None for what is free.
        where: the scan's name in messages.

    Raises:
        OutOfMemoryError: not even the smallest layout fits.
    """
    free = _free(limit)
    smallest = None
    for layout in _layouts(planes, plan, overlap, channels):
        if free is None or layout.bytes <= free:
            return layout
        smallest = min(smallest or layout, layout, key=lambda each: each.bytes)
    assert smallest is not None
    size = " x ".join(str(edge) for edge in planes.shape)
    needed, held, usable = map(size_text, (smallest.bytes, resident_memory(), max(0, free or 0)))
    raise OutOfMemoryError(
        f"{where}: {size} voxels take at least {needed} of memory besides the {held} that are held already, and {usable} "
        "may be used. Allow more, take a machine with more memory, or cut the scan."
    )


def _free(limit: int | None) -> int | None:
    known = [] if limit is None else [limit - resident_memory()]
    available = available_memory()
    return min([*known, available]) if available is not None else min(known, default=None)


def _layouts(planes: PreparedPlanes, plan: Plan, overlap: float, channels: int) -> Iterator[Layout]:
    """From fast to frugal."""
    axis, other = _axes(planes.shape, plan)
    counts = [
        count for count in range(1, MOST_PARTS + 1) if count == 1 or count <= planes.way_back.cropped_shape[other]
    ]
    for count in counts:
        parts: tuple[Part | None, ...] = tuple(parts_of(planes.way_back, other, count)) if count > 1 else (None,)
        for batch in (None, 1):
            windows = Windows(plan.patch, overlap, axis, batch, plan.slice_axis)
            yield Layout(windows, parts, _bytes(planes, plan, windows, parts, channels))


def _axes(shape: Shape, plan: Plan) -> tuple[int, int]:
    """Where rows follow each other, which leaves the least in memory, and the longest of the other axes."""
    padded = [max(pair) for pair in zip(shape, plan.patch, strict=True)]
    # Memory is that of all voxels, cut down to a window's edge along the axis.
    axis = min(range(3), key=lambda each: plan.patch[each] / padded[each])
    return axis, max((each for each in range(3) if each != axis), key=lambda each: padded[each])


def _bytes(planes: PreparedPlanes, plan: Plan, windows: Windows, parts: Sequence[Part | None], channels: int) -> int:
    padded = [max(pair) for pair in zip(planes.shape, plan.patch, strict=True)]
    slab = math.prod(padded) // padded[windows.axis] * windows.edges[windows.axis]
    share = max(_share(padded, windows, part) for part in parts)
    sums = (channels + 1) * share  # and the windows' weights
    # Twice where it moves on; and before, from the scan's voxels on, a step of resampling and the next.
    shrinks = math.prod(planes.way_back.cropped_shape) / math.prod(planes.shape)
    image = len(plan.channels) * (2 * share + (1 if shrinks == 1 else 2 * max(1, shrinks)))
    labels = planes.way_back.source_voxels * label_dtype(plan.label_values).itemsize
    return int(4 * slab * (sums + image)) + labels + DECIDING * SLAB_BYTES + network_bytes(plan, windows.together)


def _share(padded: Sequence[int], windows: Windows, part: Part | None) -> float:
    """Of the lines along a part's axis, those that its windows cover."""
    if part is None:
        return 1.0
    size, edge = padded[part.axis], windows.edges[part.axis]
    return min(1.0, float(part.made_of.stop - part.made_of.start + 2 * edge) / size)


def network_bytes(plan: Plan, windows: int) -> int:
    """About what a forward pass of so many windows takes in float32."""
    stages = plan.network.encoder
    if not stages:
        return 4 * LIVE * windows * math.prod(plan.patch) * FOREIGN_CHANNELS
    sizes = plan.network.sizes(plan.patch)
    widest = max(stage.layers[-1].channels * math.prod(size) for stage, size in zip(stages, sizes, strict=False))
    return 4 * LIVE * windows * widest


def band_of(part: Part | None) -> Band | None:
    """The lines of the network's grid that a part needs."""
    return None if part is None else Band(part.axis, part.made_of.start, part.made_of.stop)


def _count(shape: Shape, windows: Windows, part: Part | None) -> int:
    count = 1
    for axis, (size, edge) in enumerate(zip(shape, windows.edges, strict=True)):
        starts = window_starts(max(size, edge), edge, windows.overlap)
        if part and axis == part.axis and size >= edge:
            starts = [start for start in starts if start < part.made_of.stop and start + edge > part.made_of.start]
        count *= len(starts)
    return count
