"""Order in which windows over an image are computed: rows along an axis, some rows at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from segkit.sliding_window.windows import (
    BATCH_VOXELS,
    Edges,
    Margins,
    boxes,
    covering_starts,
    own_spans,
    window_starts,
)
from segkit.volume import Box


@dataclass(frozen=True)
class Windows:
    """Size and overlap of windows over an image, and the order and batches to compute them in."""

    edges: Edges
    """Number of voxels of a window along X, Y, Z; the image is padded with zeros to fit."""
    overlap: float = 0.5
    """Smallest fraction of an edge that neighboring windows have in common."""
    axis: int = 0
    """Axis along which rows follow each other; 0 is X."""
    batch: int | None = None
    """Number of windows per call of the network; None chooses it by their size."""
    slice_axis: int | None = None
    """Axis along which a window is one voxel thick and which a 2D network does not get."""
    cover: Box | None = None
    """Box of the image that as few windows as possible cover; None is the whole image."""

    @property
    def batch_size(self) -> int:
        """Number of windows per call of the network."""
        return self.batch or max(1, BATCH_VOXELS // math.prod(self.edges))


@dataclass(frozen=True)
class Rows:
    """Windows of a padded image, or those that touch a box of it, in rows along an axis."""

    windows: Windows
    margins: Margins
    starts: list[list[int]]
    """First voxels of the windows in the padded image, along X, Y, Z."""
    spans: list[tuple[int, int]]
    """Part of the padded image that is scored, along X, Y, Z: first voxel, and the one after."""
    single: bool
    """True where the image has one window only."""
    tiles: list[dict[int, tuple[int, int]]]
    """Windows that cover the image once, and the span of each (see `own_spans`), along X, Y, Z."""

    @classmethod
    def over(
        cls, shape: Edges, margins: Margins, windows: Windows, within: Box | None = None
    ) -> Rows:
        """Return the rows of windows over an image, or over a box of it.

        Scores in the box ``within`` are the same as those of all windows, bit for bit if the scores
        of a window do not depend on the other windows of its batch. Windows across the border of
        two boxes are computed for both.

        Args:
            shape: voxels of the image along X, Y, Z.
            margins: voxels that the image is padded by.
            windows: their size, overlap and order.
            within: box of the image; None is the whole image.
        """
        sizes = [lower + size + upper for size, (lower, upper) in zip(shape, margins, strict=True)]
        starts = [
            window_starts(size, edge, windows.overlap)
            for size, edge in zip(sizes, windows.edges, strict=True)
        ]
        if windows.cover:
            starts = [
                covering_starts(axis_starts, edge, lower + part.start, lower + part.stop)
                for axis_starts, edge, (lower, _), part in zip(
                    starts, windows.edges, margins, windows.cover, strict=True
                )
            ]
        box = within or windows.cover or [slice(0, size) for size in shape]
        spans = [
            (lower + part.start, lower + part.stop)
            for part, (lower, _) in zip(box, margins, strict=True)
        ]
        single = all(len(axis_starts) == 1 for axis_starts in starts)
        tiles = [
            own_spans(axis_starts, edge)
            for axis_starts, edge in zip(starts, windows.edges, strict=True)
        ]
        if within:
            starts = [
                [start for start in axis_starts if start < last and start + edge > first]
                for axis_starts, edge, (first, last) in zip(
                    starts, windows.edges, spans, strict=True
                )
            ]
        return cls(windows, margins, starts, spans, single, tiles)

    @property
    def count(self) -> int:
        """Number of windows."""
        return math.prod(len(starts) for starts in self.starts)

    @property
    def begin(self) -> list[int]:
        """First voxel of the first window along X, Y, Z."""
        return [starts[0] for starts in self.starts]

    @property
    def shape(self) -> list[int]:
        """Number of voxels along X, Y, Z that the windows cover."""
        return [
            starts[-1] - starts[0] + edge
            for starts, edge in zip(self.starts, self.windows.edges, strict=True)
        ]

    @property
    def depth(self) -> int:
        """Number of planes of a row."""
        return self.windows.edges[self.windows.axis]

    @property
    def end(self) -> int:
        """Plane of the padded image at which the last row ends."""
        return self.starts[self.windows.axis][-1] + self.depth

    @property
    def per_group(self) -> int:
        """Number of rows computed together; above 1 where a row has fewer windows than a batch."""
        in_row = math.prod(
            len(starts) for axis, starts in enumerate(self.starts) if axis != self.windows.axis
        )
        return max(1, self.windows.batch_size // in_row)

    @property
    def held(self) -> list[int]:
        """Number of voxels along X, Y, Z of the buffer of sums: the planes of the largest group."""
        held = self.shape
        depths = (group[-1] + self.depth - group[0] for group, _ in self.groups())
        held[self.windows.axis] = max(depths)
        return held

    def groups(self) -> Iterator[tuple[list[int], int]]:
        """Yield the first planes of each group's rows, and the plane where complete sums end."""
        starts, size = self.starts[self.windows.axis], self.per_group
        groups = [starts[first : first + size] for first in range(0, len(starts), size)]
        for group, following in pairwise([*groups, [self.end]]):
            yield group, following[0]


def group_boxes(rows: Rows, group: Sequence[int]) -> list[Box]:
    """Return the boxes of a group's windows, row by row, in a slab that begins with the group."""
    return [
        box
        for start in group
        for box in boxes(_row_starts(rows, start - group[0]), rows.windows.edges)
    ]


def _row_starts(rows: Rows, plane: int) -> list[Sequence[int]]:
    """Return the starts of a row's windows along X, Y, Z, where the row begins at ``plane``.

    Along the other axes the first window begins at 0.
    """
    starts: list[Sequence[int]] = [
        [start - axis_starts[0] for start in axis_starts] for axis_starts in rows.starts
    ]
    starts[rows.windows.axis] = [plane]
    return starts


def weight_sums(rows: Rows, weights: Tensor, start: int, stop: int) -> Tensor:
    """Return the sum of the windows' weights at the voxels of the planes ``start`` to ``stop``.

    Args:
        rows: the windows.
        weights: weight of each voxel of a window (X, Y, Z).
        start: first plane, in the padded image.
        stop: the plane after the last one.
    """
    axis = rows.windows.axis
    shape = list(rows.shape)
    shape[axis] = stop - start
    total = torch.zeros(shape, device=weights.device)
    for row in rows.starts[axis]:
        first, last = max(row, start), min(row + rows.depth, stop)
        if first < last:
            planes = total.narrow(axis, first - start, last - first)
            row_weights = weights.narrow(axis, first - row, last - first)
            for box in boxes(_row_starts(rows, 0), row_weights.shape):
                planes[box] += row_weights
    return total


def scored_part(rows: Rows, slab: Tensor, start: int, stop: int) -> Tensor:
    """Return the part of a slab that is scored, without padding; a view.

    Args:
        rows: the windows.
        slab: values (K, ...) of the planes ``start`` to ``stop`` of the padded image.
        start: first plane, in the padded image.
        stop: the plane after the last one.
    """
    begins, spans = rows.begin, list(rows.spans)
    begins[rows.windows.axis] = start
    first, last = spans[rows.windows.axis]
    # Windows that reach into a box begin before it; nothing of a slab before the box is scored.
    spans[rows.windows.axis] = (min(max(first, start), stop), min(last, stop))
    for axis, (begin, (first, last)) in enumerate(zip(begins, spans, strict=True), start=1):
        slab = slab.narrow(axis, first - begin, max(0, last - first))
    return slab
