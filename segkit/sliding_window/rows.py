"""In which order the windows over an image are computed: row by row along an axis, a few rows at a time."""

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
    """How windows are laid over an image, and in which order and company they are computed."""

    edges: Edges
    """Voxels along X, Y, Z; the image is padded with zeros to fit (`missing`)."""
    overlap: float = 0.5
    """The least share of an edge that neighbours have in common."""
    axis: int = 0
    """Rows follow each other along it; 0 is X."""
    batch: int | None = None
    """Windows per call of the network; None chooses by their size."""
    slice_axis: int | None = None
    """The axis along which a window is 1 thick and which a 2D network does not get."""
    cover: Box | None = None
    """What of the image is wanted: only as many windows are laid as cover it. None is all of it."""

    @property
    def together(self) -> int:
        """Windows per call of the network."""
        return self.batch or max(1, BATCH_VOXELS // math.prod(self.edges))


@dataclass(frozen=True)
class Rows:
    """The windows of a padded image, or those that touch a box of it, in rows along an axis."""

    windows: Windows
    margins: Margins
    starts: list[list[int]]
    """Along X, Y, Z, in the padded image."""
    spans: list[tuple[int, int]]
    """What of the padded image is scored, along X, Y, Z."""
    single: bool
    """Whether one window is all that the image has."""
    tiles: list[dict[int, tuple[int, int]]]
    """Along X, Y, Z, windows that cover the image once and what is their own of it (`own_spans`)."""

    @classmethod
    def over(
        cls, shape: Edges, around: Margins, windows: Windows, within: Box | None = None
    ) -> Rows:
        """Those over an image of ``shape`` that is padded by ``around``, or over a box of it.

        Scores in the box ``within`` are those of all these windows, bit for bit if the network does not care in which
        company its windows come; windows across the border of two boxes are computed for both.
        """
        sizes = [lower + size + upper for size, (lower, upper) in zip(shape, around, strict=True)]
        starts = [
            window_starts(size, edge, windows.overlap)
            for size, edge in zip(sizes, windows.edges, strict=True)
        ]
        inside = within or windows.cover or [slice(0, size) for size in shape]
        if windows.cover:
            starts = [
                covering_starts(each, edge, lower + part.start, lower + part.stop)
                for each, edge, (lower, _), part in zip(
                    starts, windows.edges, around, windows.cover, strict=True
                )
            ]
        spans = [
            (lower + part.start, lower + part.stop)
            for part, (lower, _) in zip(inside, around, strict=True)
        ]
        single = all(len(each) == 1 for each in starts)
        tiles = [own_spans(each, edge) for each, edge in zip(starts, windows.edges, strict=True)]
        if within:
            starts = [
                [start for start in each if start < last and start + edge > first]
                for each, edge, (first, last) in zip(starts, windows.edges, spans, strict=True)
            ]
        return cls(windows, around, starts, spans, single, tiles)

    @property
    def count(self) -> int:
        """Windows in all."""
        return math.prod(len(starts) for starts in self.starts)

    @property
    def begin(self) -> list[int]:
        """Where the first window begins along X, Y, Z."""
        return [starts[0] for starts in self.starts]

    @property
    def shape(self) -> list[int]:
        """Voxels along X, Y, Z that the windows cover."""
        return [
            starts[-1] - starts[0] + edge
            for starts, edge in zip(self.starts, self.windows.edges, strict=True)
        ]

    @property
    def depth(self) -> int:
        """Planes of a row."""
        return self.windows.edges[self.windows.axis]

    @property
    def end(self) -> int:
        """The plane of the padded image where the last row ends."""
        return self.starts[self.windows.axis][-1] + self.depth

    @property
    def per_group(self) -> int:
        """Rows that are computed together: more than one where a row has fewer windows than a call of the network."""
        in_row = math.prod(
            len(starts) for axis, starts in enumerate(self.starts) if axis != self.windows.axis
        )
        return max(1, self.windows.together // in_row)

    @property
    def held(self) -> list[int]:
        """Voxels along X, Y, Z of which sums are held: the planes of the largest group."""
        held = self.shape
        held[self.windows.axis] = max(
            group[-1] + self.depth - group[0] for group, _ in self.groups()
        )
        return held

    def groups(self) -> Iterator[tuple[list[int], int]]:
        """The first planes of the rows of each group, and the plane before which all is finished afterwards."""
        starts, many = self.starts[self.windows.axis], self.per_group
        groups = [starts[first : first + many] for first in range(0, len(starts), many)]
        for group, following in pairwise([*groups, [self.end]]):
            yield group, following[0]

    def windows_of(self, group: Sequence[int]) -> list[Box]:
        """The windows of a group, in a slab that begins with it, row by row."""
        return [
            box for start in group for box in boxes(self._row(start - group[0]), self.windows.edges)
        ]

    def _row(self, start: int) -> list[Sequence[int]]:
        """Starts of the windows of a row that begins at the plane ``start``, where the first window begins at 0."""
        layout: list[Sequence[int]] = [
            [each - starts[0] for each in starts] for starts in self.starts
        ]
        layout[self.windows.axis] = [start]
        return layout

    def weights(self, weights: Tensor, start: int, stop: int) -> Tensor:
        """Sum of the windows' weights at the voxels of the planes ``start`` to ``stop``."""
        axis = self.windows.axis
        shape = list(self.shape)
        shape[axis] = stop - start
        total = torch.zeros(shape, device=weights.device)
        for row in self.starts[axis]:
            first, last = max(row, start), min(row + self.depth, stop)
            if first < last:
                self._add_row(
                    total.narrow(axis, first - start, last - first),
                    weights.narrow(axis, first - row, last - first),
                )
        return total

    def _add_row(self, total: Tensor, weights: Tensor) -> None:
        """Add the weights of a row's windows, cut to the same planes as ``total``."""
        for box in boxes(self._row(0), weights.shape):
            total[box] += weights

    def inside(self, slab: Tensor, start: int, stop: int) -> Tensor:
        """What of a slab (K, ...) of the padded planes ``start`` to ``stop`` is asked for, and no padding."""
        begins, spans = self.begin, list(self.spans)
        begins[self.windows.axis] = start
        first, last = spans[self.windows.axis]
        # Windows that reach into a box begin before it: of a slab before the box, nothing is asked for.
        spans[self.windows.axis] = (min(max(first, start), stop), min(last, stop))
        for axis, (begin, (first, last)) in enumerate(zip(begins, spans, strict=True), start=1):
            slab = slab.narrow(axis, first - begin, max(0, last - first))
        return slab
