"""Scores of a whole image from overlapping windows, slab by slab, for any network.

Windows are computed row by row along one axis. Once the windows of a row are done, the planes in
front of the next row can no longer change: their scores are returned, and their memory is reused
for the sums of later planes. Memory therefore depends on the window's edge along that axis, not
on the image's. For the same axis and the same windows per call of the network, scores do not depend
on how much is held at a time, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from segkit.sliding_window.disagreement import TileMismatch, Tiles
from segkit.sliding_window.rows import Rows, Windows, group_boxes, scored_part, weight_sums
from segkit.sliding_window.windows import (
    LazyImage,
    Margins,
    Network,
    WholeImage,
    apply_network,
    gaussian_weights,
    margins,
)
from segkit.volume import Box


def predict_scores(network: Network, image: Tensor, windows: Windows) -> Tensor:
    """Return the scores (K, X, Y, Z) of an image (C, X, Y, Z), float32, on the image's device.

    See `score_slabs`.
    """
    scores: Tensor | None = None
    done = 0
    for slab in score_slabs(network, WholeImage(image), windows, device=image.device):
        if scores is None:
            scores = torch.empty((slab.shape[0], *image.shape[1:]), device=image.device)
        planes = slab.shape[1 + windows.axis]
        scores.narrow(1 + windows.axis, done, planes).copy_(slab)
        done += planes
    if scores is None:
        raise ValueError("an image without planes")
    return scores


def score_slabs(
    network: Network,
    image: LazyImage,
    windows: Windows,
    *,
    device: torch.device,
    within: Box | None = None,
    around: Margins | None = None,
    mismatch: TileMismatch | None = None,
) -> Iterator[Tensor]:
    """Yield the scores of consecutive slabs along ``windows.axis``, from first to last plane.

    Each slab (K, ...) is float32, on ``device``, and overwritten when the next one is requested.

    Args:
        network: maps (B, C, *windows.edges) to (B, K, *windows.edges), in eval mode. The caller
            takes care of its device, precision and memory format, and of `torch.inference_mode`.
        image: image of which one slab is held.
        windows: size, overlap and order of the windows.
        device: device on which scores are summed.
        within: box of the image; only the windows that touch it are computed. None is the whole
            image.
        around: result of `margins` for the image, if it is known.
        mismatch: counts the voxels that single windows label differently.
    """
    padding = around or margins(image, windows.edges, windows.overlap)
    rows = Rows.over(image.shape, padding, windows, within)
    image_slabs = _ImageSlabs(image, rows)
    sums: _Sums | None = None
    for group, done in rows.groups():
        image_slab = image_slabs.read(group[0], group[-1] + rows.depth).to(device)
        scored = _score_windows(network, image_slab, group_boxes(rows, group), windows)
        if rows.single:
            _, scores = next(scored)
            yield scored_part(rows, scores, rows.begin[windows.axis], rows.end)
            return
        for box, scores in scored:
            if sums is None:
                zeros = torch.zeros((scores.shape[0], *rows.held), device=device)
                sums = _Sums(rows, zeros, mismatch)
            sums.add(box, scores)
        if sums is None:
            raise ValueError("no windows")
        yield scored_part(rows, sums.means(group[0], done), group[0], done)
        sums.advance(done - group[0])


class _Sums:
    """Weighted sums of scores in a buffer that moves along the image with the rows of windows."""

    def __init__(self, rows: Rows, sums: Tensor, mismatch: TileMismatch | None) -> None:
        self.rows, self.sums = rows, sums
        self.tiles = Tiles(rows, mismatch) if mismatch else None
        self.weights = gaussian_weights(rows.windows.edges).to(sums.device)
        self._axis = 1 + rows.windows.axis

    def add(self, box: Box, scores: Tensor) -> None:
        # One pass over memory: writing the product first takes 1.5 to 9 times as long.
        self.sums[:, *box].addcmul_(scores, self.weights)
        if self.tiles:
            self.tiles.add(box, scores)

    def means(self, start: int, stop: int) -> Tensor:
        """Return the mean scores of the planes ``start``, the buffer's first, to ``stop``.

        They replace the sums.
        """
        means = self.sums.narrow(self._axis, 0, stop - start)
        means.div_(weight_sums(self.rows, self.weights, start, stop))
        if self.tiles:
            self.tiles.compare(means, start, stop)
        return means

    def advance(self, planes: int) -> None:
        """Drop the first planes, and add as many empty ones at the end."""
        if self.tiles:
            self.tiles.advance(planes)
        depth = self.sums.shape[self._axis]
        # No more planes at a time than have become free, so that none is read after it was written.
        for first in range(planes, depth, planes):
            count = min(planes, depth - first)
            self.sums.narrow(self._axis, first - planes, count).copy_(
                self.sums.narrow(self._axis, first, count)
            )
        self.sums.narrow(self._axis, max(0, depth - planes), min(depth, planes)).zero_()


class _ImageSlabs:
    """Slabs of the padded image that the windows cover; each plane of the image is read once."""

    def __init__(self, image: LazyImage, rows: Rows) -> None:
        self.image, self.rows, self.axis = image, rows, rows.windows.axis
        self._held: Tensor | None = None
        self._span = (0, 0)

    def read(self, start: int, stop: int) -> Tensor:
        """Return the planes ``start`` to ``stop`` (C, ...); ``start`` never decreases."""
        first, last = self._span
        slab = self._read_planes(max(start, last), stop)
        if self._held is not None and start < last:
            held = self._held.narrow(1 + self.axis, start - first, last - start)
            slab = torch.cat([held, slab], dim=1 + self.axis)
        self._held, self._span = slab, (start, stop)
        return slab

    def _read_planes(self, start: int, stop: int) -> Tensor:
        """Return planes of the padded image, cut to the part that the windows cover."""
        box, widths = [], []
        for axis, (begin, count) in enumerate(zip(self.rows.begin, self.rows.shape, strict=True)):
            lower, size = self.rows.margins[axis][0], self.image.shape[axis]
            first, last = (start, stop) if axis == self.axis else (begin, begin + count)
            inside = slice(min(max(first - lower, 0), size), min(max(last - lower, 0), size))
            box.append(inside)
            widths.append((inside.start + lower - first, last - lower - inside.stop))
        part = self.image.part((box[0], box[1], box[2]))
        if any(lower or upper for lower, upper in widths):
            part = functional.pad(part, [width for pair in reversed(widths) for width in pair])
        return part.contiguous()


def _score_windows(
    network: Network, image: Tensor, window_boxes: Sequence[Box], windows: Windows
) -> Iterator[tuple[Box, Tensor]]:
    """Yield every box of an image (C, X, Y, Z) with its scores (K, X, Y, Z), float32."""
    for first in range(0, len(window_boxes), windows.batch_size):
        group = window_boxes[first : first + windows.batch_size]
        batch = torch.stack([image[:, *box] for box in group])
        scores = apply_network(network, batch, windows.slice_axis)
        if isinstance(scores, list):
            raise TypeError("a network in training mode: call its eval() before predicting")
        yield from zip(group, scores.to(image.device, torch.float32), strict=True)
        del batch, scores  # frees their memory before the next ones are made
