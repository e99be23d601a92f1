"""Fraction of voxels that a single window labels differently from all windows that overlap there.

It is measured without computing more windows. Of the windows over an image, as few as possible that
still cover it are taken, and each voxel's label in the window whose center is nearest is kept until
the sums at the voxel are complete. At an overlap of 0.5 these are every second window along each
axis, which is what an overlap of 0 would compute; below 0.5 no window can be left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.sliding_window.rows import Rows, scored_part
from segkit.volume import Box

Decide = Callable[[Tensor], NDArray[Any]]
"""Function from scores (K, X, Y, Z) to labels (X, Y, Z)."""


class TileMismatch:
    """Counter of voxels and of those with different labels, over one image or its parts."""

    def __init__(self, decide: Decide) -> None:
        self.decide = decide
        self.voxels = self.different = 0

    @property
    def share(self) -> float:
        """Fraction of voxels whose labels differ; 0 where the image has one window only."""
        return self.different / self.voxels if self.voxels else 0.0

    def labels(self, scores: Tensor) -> NDArray[Any]:
        """Return the labels (X, Y, Z) of scores (K, X, Y, Z).

        They are decided plane by plane, which takes little memory where there are many labels.
        """
        return np.concatenate([self.decide(scores[:, x : x + 1]) for x in range(scores.shape[1])])

    def add(self, window_labels: NDArray[Any], scores: Tensor) -> None:
        """Compare labels (X, Y, Z) of single windows with scores (K, X, Y, Z) of all windows."""
        if window_labels.size:
            self.voxels += window_labels.size
            self.different += int(np.count_nonzero(self.labels(scores) != window_labels))


class Tiles:
    """Labels of single windows in a buffer that moves along the image with the sums of scores."""

    def __init__(self, rows: Rows, mismatch: TileMismatch) -> None:
        self.rows, self.mismatch, self._axis = rows, mismatch, rows.windows.axis
        self._begin = rows.begin
        """First voxel of the buffer in the padded image, along X, Y, Z."""
        self._labels: NDArray[Any] | None = None

    def add(self, box: Box, scores: Tensor) -> None:
        """Keep the labels of a window's own voxels, if it has any.

        Args:
            box: box of the window in the buffer.
            scores: scores (K, X, Y, Z) of the window.
        """
        starts = [part.start + begin for part, begin in zip(box, self._begin, strict=True)]
        tiles = list(zip(starts, self.rows.tiles, strict=True))
        if not all(start in spans for start, spans in tiles):
            return
        tile = [spans[start] for start, spans in tiles]
        in_window = [
            slice(first - start, stop - start)
            for (first, stop), start in zip(tile, starts, strict=True)
        ]
        in_buffer = tuple(
            slice(first - begin, stop - begin)
            for (first, stop), begin in zip(tile, self._begin, strict=True)
        )
        labels = self.mismatch.labels(scores[:, *in_window])
        if self._labels is None:
            self._labels = np.zeros(self.rows.held, labels.dtype)
        self._labels[in_buffer] = labels

    def compare(self, scores: Tensor, start: int, stop: int) -> None:
        """Count the planes ``start``, the first of the buffer, to ``stop``.

        Args:
            scores: mean scores (K, ...) of all windows at these planes.
            start: first plane, in the padded image.
            stop: the plane after the last one.
        """
        if self._labels is None:  # windows reach into a box, but have no plane of it yet
            return
        planes = torch.from_numpy(self._labels)[None].narrow(1 + self._axis, 0, stop - start)
        window_labels = scored_part(self.rows, planes, start, stop)[0].numpy()
        self.mismatch.add(window_labels, scored_part(self.rows, scores, start, stop))

    def advance(self, planes: int) -> None:
        """Drop the first planes of the buffer."""
        self._begin[self._axis] += planes
        if self._labels is None:
            return
        labels = np.moveaxis(self._labels, self._axis, 0)
        labels[: len(labels) - planes] = labels[planes:].copy()
