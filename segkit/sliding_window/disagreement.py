"""How many voxels get another label from one window alone than from all windows that overlap there.

Measured while windows are computed, without any more of them: of those over an image as few are taken as still cover
it, and each voxel's label in the one whose middle is nearest is kept until the sums at the voxel are complete. At an
overlap of 0.5 that is every second window along each axis, which is what an overlap of 0 would compute; below 0.5 no
window can be left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.sliding_window.rows import Rows
from segkit.volume import Box

Decide = Callable[[Tensor], NDArray[Any]]
"""Scores (K, X, Y, Z) to labels (X, Y, Z)."""


class TileMismatch:
    """Counts over an image, or over boxes that make it up, one after the other."""

    def __init__(self, decide: Decide) -> None:
        self.decide = decide
        self.voxels = self.different = 0

    @property
    def share(self) -> float:
        """Voxels whose labels differ, of all; 0 where a single window is all there is."""
        return self.different / self.voxels if self.voxels else 0.0

    def labels(self, scores: Tensor) -> NDArray[Any]:
        """Labels (X, Y, Z) of scores (K, X, Y, Z), a plane at a time: there may be many labels."""
        return np.concatenate([self.decide(scores[:, x : x + 1]) for x in range(scores.shape[1])])

    def add(self, alone: NDArray[Any], together: Tensor) -> None:
        """Count labels (X, Y, Z) of single windows against the scores (K, X, Y, Z) of all."""
        if alone.size:
            self.voxels += alone.size
            self.different += int(np.count_nonzero(self.labels(together) != alone))


class Tiles:
    """Labels of single windows at the planes that windows still reach, in a buffer that moves along the image."""

    def __init__(self, rows: Rows, counts: TileMismatch) -> None:
        self.rows, self.counts, self._along = rows, counts, rows.windows.axis
        self._begin = rows.begin
        """Where the buffer begins in the padded image, along X, Y, Z."""
        self._labels: NDArray[Any] | None = None

    def add(self, box: Box, scores: Tensor) -> None:
        """Keep what a window (K, X, Y, Z) at ``box`` of the buffer says of its own voxels, if it has any."""
        places = [part.start + begin for part, begin in zip(box, self._begin, strict=True)]
        if not all(place in tiles for place, tiles in zip(places, self.rows.tiles, strict=True)):
            return
        own = [tiles[place] for place, tiles in zip(places, self.rows.tiles, strict=True)]
        inside = [
            slice(first - place, stop - place)
            for (first, stop), place in zip(own, places, strict=True)
        ]
        into = [
            slice(first - begin, stop - begin)
            for (first, stop), begin in zip(own, self._begin, strict=True)
        ]
        found = self.counts.labels(scores[:, *inside])
        if self._labels is None:
            self._labels = np.zeros(self.rows.held, found.dtype)
        self._labels[tuple(into)] = found

    def compare(self, scores: Tensor, start: int, stop: int) -> None:
        """Count the planes ``start``, the buffer's first, to ``stop``; ``scores`` (K, ...) are those of all windows."""
        if self._labels is None:  # windows that reach into a box, and no plane of it yet
            return
        planes = torch.from_numpy(self._labels)[None].narrow(1 + self._along, 0, stop - start)
        alone = self.rows.inside(planes, start, stop)[0].numpy()
        self.counts.add(alone, self.rows.inside(scores, start, stop))

    def move_on(self, planes: int) -> None:
        """Drop the first planes."""
        self._begin[self._along] += planes
        if self._labels is None:
            return
        labels = np.moveaxis(self._labels, self._along, 0)
        labels[: len(labels) - planes] = labels[planes:].copy()
