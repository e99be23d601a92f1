"""Scores of a whole image from overlapping windows, slab by slab, for any network that maps windows to scores.

Windows are computed row by row along one axis. Once the windows of a row are done, the planes in front of the next row
can no longer change: they are handed on, and their memory takes the sums of the planes to come. So memory depends on
the window's edge along that axis, not on the image's. Scores do not depend on how much is held at a time, bit for bit,
as long as axis and windows per call of the network are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from segkit.sliding_window.disagreement import TileMismatch, Tiles
from segkit.sliding_window.rows import Rows, Windows
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
    image: LazyImage,
    windows: Windows,
    *,
    device: torch.device,
    within: Box | None = None,
    around: Margins | None = None,
    mismatch: TileMismatch | None = None,
) -> Iterator[Tensor]:
    """Scores of consecutive slabs of the image, or a box of it, along ``windows.axis``, from first to last plane.

    Each is (K, ...), float32 and on ``device``, and is overwritten when the next one is asked for.

    Args:
        network: maps (B, C, *windows.edges) to (B, K, *windows.edges), in eval mode. Its own device, precision and
            memory layout are its business (wrap it), as `torch.inference_mode` is the caller's.
        image: whatever it keeps in memory; a slab of it is held.
        windows: see there.
        device: where scores are summed.
        within: a box of the image, of which only the windows that touch it are computed; None is the whole image.
        around: what `margins` gives for the image, where it is known.
        mismatch: counts where windows alone say something else than together.
    """
    rows = Rows.over(
        image.shape, around or margins(image, windows.edges, windows.overlap), windows, within
    )
    feed = _Feed(image, rows)
    sums: _Sums | None = None
    for group, done in rows.groups():
        image_slab = feed.slab(group[0], group[-1] + rows.depth).to(device)
        found = _scored(network, image_slab, rows.windows_of(group), windows)
        if rows.single:
            _, scores = next(found)
            yield rows.inside(scores, rows.begin[windows.axis], rows.end)
            return
        for box, scores in found:
            if sums is None:
                sums = _Sums(
                    rows, torch.zeros((scores.shape[0], *rows.held), device=device), mismatch
                )
            sums.add(box, scores)
        if sums is None:
            raise ValueError("no windows")
        yield rows.inside(sums.finished(group[0], done), group[0], done)
        sums.move_on(done - group[0])


class _Sums:
    """Weighted sums of scores over the planes that windows still reach, in a buffer that moves along the image."""

    def __init__(self, rows: Rows, sums: Tensor, mismatch: TileMismatch | None) -> None:
        self.rows, self.sums = rows, sums
        self.tiles = Tiles(rows, mismatch) if mismatch else None
        self.weights = gaussian_weights(rows.windows.edges).to(sums.device)
        self._along = 1 + rows.windows.axis

    def add(self, box: Box, scores: Tensor) -> None:
        # One pass over memory: a product written out first takes 1.5 to 9 times as long.
        self.sums[:, *box].addcmul_(scores, self.weights)
        if self.tiles:
            self.tiles.add(box, scores)

    def finished(self, start: int, stop: int) -> Tensor:
        """Mean scores of the planes ``start``, the buffer's first, to ``stop``, in place of their sums."""
        found = self.sums.narrow(self._along, 0, stop - start)
        found.div_(self.rows.weights(self.weights, start, stop))
        if self.tiles:
            self.tiles.compare(found, start, stop)
        return found

    def move_on(self, planes: int) -> None:
        """Drop the first planes, and have as many empty ones at the end."""
        if self.tiles:
            self.tiles.move_on(planes)
        depth = self.sums.shape[self._along]
        # No more at a time than have become free, so that nothing is read after it was written.
        for first in range(planes, depth, planes):
            count = min(planes, depth - first)
            self.sums.narrow(self._along, first - planes, count).copy_(
                self.sums.narrow(self._along, first, count)
            )
        self.sums.narrow(self._along, max(0, depth - planes), min(depth, planes)).zero_()


class _Feed:
    """Slabs of what the windows cover of a padded image, each plane of which is asked for once."""

    def __init__(self, image: LazyImage, rows: Rows) -> None:
        self.image, self.rows, self.axis = image, rows, rows.windows.axis
        self._held: Tensor | None = None
        self._span = (0, 0)

    def slab(self, start: int, stop: int) -> Tensor:
        """The planes ``start`` to ``stop`` (C, ...); never before those of the last call."""
        first, last = self._span
        fresh = self._covered(max(start, last), stop)
        if self._held is not None and start < last:
            fresh = torch.cat(
                [self._held.narrow(1 + self.axis, start - first, last - start), fresh],
                dim=1 + self.axis,
            )
        self._held, self._span = fresh, (start, stop)
        return fresh

    def _covered(self, start: int, stop: int) -> Tensor:
        """Planes of the padded image, cut to what the windows cover."""
        box, widths = [], []
        for axis, (begin, count) in enumerate(zip(self.rows.begin, self.rows.shape, strict=True)):
            lower, size = self.rows.margins[axis][0], self.image.shape[axis]
            first, last = (start, stop) if axis == self.axis else (begin, begin + count)
            inside = slice(min(max(first - lower, 0), size), min(max(last - lower, 0), size))
            box.append(inside)
            widths.append((inside.start + lower - first, last - lower - inside.stop))
        part = self.image.part((box[0], box[1], box[2]))
        if any(map(any, widths)):
            part = functional.pad(part, [width for pair in reversed(widths) for width in pair])
        return part.contiguous()


def _scored(
    network: Network, image: Tensor, places: Sequence[Box], windows: Windows
) -> Iterator[tuple[Box, Tensor]]:
    """Every box with its scores (K, X, Y, Z), float32."""
    for first in range(0, len(places), windows.together):
        group = places[first : first + windows.together]
        cut = torch.stack([image[:, *box] for box in group])
        scores = apply_network(network, cut, windows.slice_axis)
        if isinstance(scores, list):
            raise TypeError("a network in training mode: call its eval() before predicting")
        yield from zip(group, scores.to(image.device, torch.float32), strict=True)
        del cut, scores  # before the next ones are made
