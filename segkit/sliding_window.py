"""Scores of a whole image from overlapping windows, slab by slab, for any network that maps windows to scores.

Windows are computed row by row along one axis. Once the windows of a row are done, the planes in front of the next row
can no longer change: they are handed on, and their memory takes the sums of the planes to come. So memory depends on
the window's edge along that axis, not on the image's. Scores do not depend on how much is held at a time, bit for bit,
as long as axis and windows per call of the network are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from segkit.windows import (
    BATCH_VOXELS,
    Box,
    Edges,
    Network,
    PlanarImage,
    WholeImage,
    apply_network,
    boxes,
    gaussian_weights,
    margins,
    window_starts,
)

Allocate = Callable[[Sequence[int]], Tensor]
"""Makes float32 zeros of a shape, where the sums are to be."""


@dataclass(frozen=True)
class Windows:
    """How windows are laid over an image, and in which order and company they are computed."""

    edges: Edges
    """Voxels along X, Y, Z; an image that is smaller is padded with zeros."""
    overlap: float = 0.5
    """The least share of an edge that neighbours have in common."""
    axis: int = 0
    """Rows follow each other along it; 0 is X."""
    batch: int | None = None
    """Windows per call of the network; None chooses by their size."""
    slice_axis: int | None = None
    """The axis along which a window is 1 thick and which a 2D network does not get."""

    @property
    def together(self) -> int:
        """Windows per call of the network."""
        return self.batch or max(1, BATCH_VOXELS // math.prod(self.edges))


@dataclass(frozen=True)
class Band:
    """A part of an image that is scored for itself: the lines ``start`` to ``stop`` along ``axis``, not that of rows.

    Scores are those of the whole image, bit for bit if the network does not care in which company its windows come;
    windows across the border of two bands are computed for both.
    """

    axis: int
    start: int
    stop: int


def predict_scores(network: Network, image: Tensor, windows: Windows) -> Tensor:
    """Scores (K, X, Y, Z), float32 and on the image's device, of ``image`` (C, X, Y, Z); see `score_slabs`."""
    scores: Tensor | None = None
    done = 0
    for slab in score_slabs(network, WholeImage(image), windows, device=image.device):
        if scores is None:
            scores = torch.empty((slab.shape[0], *image.shape[1:]), device=image.device)
        scores.narrow(1 + windows.axis, done, slab.shape[1 + windows.axis]).copy_(slab)
        done += slab.shape[1 + windows.axis]
    if scores is None:
        raise ValueError("an image without planes")
    return scores


def score_slabs(
    network: Network,
    image: PlanarImage,
    windows: Windows,
    *,
    device: torch.device,
    band: Band | None = None,
    allocate: Allocate | None = None,
) -> Iterator[Tensor]:
    """Scores of consecutive slabs of the image, or a band of it, along ``windows.axis``, from first to last plane.

    Each is (K, ...), float32 and on ``device``, and is overwritten when the next one is asked for.

    Args:
        network: maps (B, C, *windows.edges) to (B, K, *windows.edges), in eval mode. Its own device, precision and
            memory layout are its business (wrap it), as `torch.inference_mode` is the caller's.
        image: whatever it keeps in memory; a slab of it is held.
        windows: see there.
        device: where scores are summed.
        band: None is the whole image.
        allocate: makes the sums; None takes memory of ``device``.
    """
    rows = _Rows.over(image, windows, band)
    feed = _Feed(image, rows)
    sums: _Sums | None = None
    for group, done in rows.groups():
        image_slab = feed.slab(group[0], group[-1] + rows.depth).to(device)
        found = _scored(network, image_slab, rows.windows_of(group), windows)
        if rows.single:
            _, scores = next(found)
            yield rows.inside(scores, 0, rows.length)
            return
        for box, scores in found:
            if sums is None:
                sums = _Sums.make(rows, scores.shape[0], allocate or _in_memory(device))
            sums.add(box, scores)
        if sums is None:
            raise ValueError("no windows")
        yield rows.inside(sums.finished(group[0], done), group[0], done)
        sums.move_on(done - group[0])


@dataclass(frozen=True)
class _Rows:
    """The windows of a padded image, or of a band of it, in rows along an axis."""

    windows: Windows
    margins: list[tuple[int, int]]
    """Padding below and above along X, Y, Z."""
    starts: list[list[int]]
    """Along X, Y, Z, in the padded image."""
    spans: list[tuple[int, int]]
    """What of the padded image is scored, along X, Y, Z."""
    single: bool
    """Whether one window is all that the image has."""

    @classmethod
    def over(cls, image: PlanarImage, windows: Windows, band: Band | None) -> _Rows:
        around = margins(image, windows.edges)
        sizes = [lower + size + upper for size, (lower, upper) in zip(image.shape, around, strict=True)]
        starts = [window_starts(size, edge, windows.overlap) for size, edge in zip(sizes, windows.edges, strict=True)]
        spans = [(lower, lower + size) for size, (lower, _) in zip(image.shape, around, strict=True)]
        single = all(len(each) == 1 for each in starts)
        if band:
            first, last = (place + around[band.axis][0] for place in (band.start, band.stop))
            spans[band.axis] = (first, last)
            edge = windows.edges[band.axis]
            starts[band.axis] = [start for start in starts[band.axis] if start < last and start + edge > first]
        return cls(windows, around, starts, spans, single)

    @property
    def begin(self) -> list[int]:
        """Where the first window begins along X, Y, Z."""
        return [starts[0] for starts in self.starts]

    @property
    def shape(self) -> list[int]:
        """Voxels along X, Y, Z that the windows cover."""
        return [starts[-1] - starts[0] + edge for starts, edge in zip(self.starts, self.windows.edges, strict=True)]

    @property
    def depth(self) -> int:
        """Planes of a row."""
        return self.windows.edges[self.windows.axis]

    @property
    def length(self) -> int:
        """Planes of the padded image."""
        return self.shape[self.windows.axis]  # a band lies along another axis

    @property
    def per_group(self) -> int:
        """Rows that are computed together: more than one where a row has fewer windows than a call of the network."""
        in_row = math.prod(len(starts) for axis, starts in enumerate(self.starts) if axis != self.windows.axis)
        return max(1, self.windows.together // in_row)

    @property
    def reach(self) -> int:
        """Planes of the largest group."""
        return max(group[-1] + self.depth - group[0] for group, _ in self.groups())

    def groups(self) -> Iterator[tuple[list[int], int]]:
        """The first planes of the rows of each group, and the plane before which all is finished afterwards."""
        starts, many = self.starts[self.windows.axis], self.per_group
        groups = [starts[first : first + many] for first in range(0, len(starts), many)]
        for group, following in pairwise([*groups, [self.length]]):
            yield group, following[0]

    def windows_of(self, group: Sequence[int]) -> list[Box]:
        """The windows of a group, in a slab that begins with it, row by row."""
        return [box for start in group for box in boxes(self._row(start - group[0]), self.windows.edges)]

    def _row(self, start: int) -> list[Sequence[int]]:
        """Starts of the windows of a row that begins at the plane ``start``, where the first window begins at 0."""
        layout: list[Sequence[int]] = [[each - starts[0] for each in starts] for starts in self.starts]
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
                    total.narrow(axis, first - start, last - first), weights.narrow(axis, first - row, last - first)
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
        spans[self.windows.axis] = (max(first, start), min(last, stop))
        for axis, (begin, (first, last)) in enumerate(zip(begins, spans, strict=True), start=1):
            slab = slab.narrow(axis, first - begin, max(0, last - first))
        return slab


class _Sums:
    """Weighted sums of scores over the planes that windows still reach, in a buffer that moves along the image."""

    def __init__(self, rows: _Rows, sums: Tensor) -> None:
        self.rows, self.sums = rows, sums
        self.weights = gaussian_weights(rows.windows.edges).to(sums.device)
        self._along = 1 + rows.windows.axis

    @classmethod
    def make(cls, rows: _Rows, classes: int, allocate: Allocate) -> _Sums:
        shape = list(rows.shape)
        shape[rows.windows.axis] = rows.reach
        return cls(rows, allocate([classes, *shape]))

    def add(self, box: Box, scores: Tensor) -> None:
        # One pass over memory: a product written out first takes 1.5 to 9 times as long.
        self.sums[:, *box].addcmul_(scores, self.weights)

    def finished(self, start: int, stop: int) -> Tensor:
        """Mean scores of the planes ``start``, the buffer's first, to ``stop``, in place of their sums."""
        found = self.sums.narrow(self._along, 0, stop - start)
        return found.div_(self.rows.weights(self.weights, start, stop))

    def move_on(self, planes: int) -> None:
        """Drop the first planes, and have as many empty ones at the end."""
        depth = self.sums.shape[self._along]
        # No more at a time than have become free, so that nothing is read after it was written.
        for first in range(planes, depth, planes):
            count = min(planes, depth - first)
            self.sums.narrow(self._along, first - planes, count).copy_(self.sums.narrow(self._along, first, count))
        self.sums.narrow(self._along, max(0, depth - planes), min(depth, planes)).zero_()


class _Feed:
    """Slabs of what the windows cover of a padded image, each plane of which is asked for once."""

    def __init__(self, image: PlanarImage, rows: _Rows) -> None:
        self.image, self.rows, self.axis = image, rows, rows.windows.axis
        self._held: Tensor | None = None
        self._span = (0, 0)

    def slab(self, start: int, stop: int) -> Tensor:
        """The planes ``start`` to ``stop`` (C, ...); never before those of the last call."""
        first, last = self._span
        fresh = self._covered(max(start, last), stop)
        if self._held is not None and start < last:
            fresh = torch.cat([self._held.narrow(1 + self.axis, start - first, last - start), fresh], dim=1 + self.axis)
        self._held, self._span = fresh, (start, stop)
        return fresh

    def _covered(self, start: int, stop: int) -> Tensor:
        """Planes of the padded image, cut to what the windows cover."""
        lower, size = self.rows.margins[self.axis][0], self.image.shape[self.axis]
        first, last = min(max(start - lower, 0), size), min(max(stop - lower, 0), size)
        widths = list(self.rows.margins)
        widths[self.axis] = (first + lower - start, stop - lower - last)
        planes = self.image.planes(self.axis, first, last)
        padded = functional.pad(planes, [width for pair in reversed(widths) for width in pair])
        for axis, (begin, count) in enumerate(zip(self.rows.begin, self.rows.shape, strict=True)):
            if axis != self.axis:
                padded = padded.narrow(1 + axis, begin, count)
        return padded.contiguous()


def _scored(network: Network, image: Tensor, places: Sequence[Box], windows: Windows) -> Iterator[tuple[Box, Tensor]]:
    """Every box with its scores (K, X, Y, Z), float32."""
    for first in range(0, len(places), windows.together):
        group = places[first : first + windows.together]
        cut = torch.stack([image[:, *box] for box in group])
        scores = apply_network(network, cut, windows.slice_axis)
        if isinstance(scores, list):
            raise TypeError("a network in training mode: call its eval() before predicting")
        yield from zip(group, scores.to(image.device, torch.float32), strict=True)


def _in_memory(device: torch.device) -> Allocate:
    return lambda shape: torch.zeros(tuple(shape), device=device)
