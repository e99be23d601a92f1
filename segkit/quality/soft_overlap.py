"""Overlap of a label map with the probabilities that it was decided from, label by label.

If probabilities were true frequencies, the expected numerator and denominator of the Dice of a
label would be twice the sum of its probability inside the label, and the label's voxels plus the
sum of its probability everywhere. Their ratio, the soft Dice, needs no reference. Networks are
often surer than they are right, so that it is one sign among others and not the Dice itself.
"""

from __future__ import annotations

import numpy as np
import scipy  # its submodules are imported on first use
from numpy.typing import NDArray

from segkit.labels.voxel_values import VOXELS_IN_CACHE, Scores, highest, softmax


class SoftOverlap:
    """Sums over the voxels of one scan, added up part by part; arrays have one entry per label.

    >>> overlap = SoftOverlap(1)
    >>> overlap.add(np.log(np.array([[1, 3], [3, 1]], np.float32)).reshape(2, 1, 1, 2))
    >>> overlap.dice().tolist(), overlap.confidence().tolist()
    ([0.75], [0.75])
    """

    def __init__(self, labels: int, *, regions: bool = False) -> None:
        """Start without any voxel.

        Args:
            labels: number of labels, without background.
            regions: True where labels overlap, so that each has a probability of its own.
        """
        self.regions = regions
        self.voxels = np.zeros(labels)
        """Number of voxels that have the label."""
        self.inside = np.zeros(labels)
        """Sum of the label's probability over the voxels that have the label."""
        self.everywhere = np.zeros(labels)
        """Sum of the label's probability over all voxels."""

    def add(self, scores: Scores) -> None:
        """Add the voxels of scores (K, ...), in the order of the network's outputs."""
        flat = scores.reshape(len(scores), -1)
        add = self._add_regions if self.regions else self._add_labels
        for start in range(0, flat.shape[1], VOXELS_IN_CACHE):
            add(flat[:, start : start + VOXELS_IN_CACHE])

    def _add_labels(self, scores: Scores) -> None:
        values = softmax(scores)
        labels = highest(scores)
        count = len(scores)
        self.voxels += np.bincount(labels, minlength=count)[1:]
        self.inside += np.bincount(labels, weights=values.max(axis=0), minlength=count)[1:]
        self.everywhere += values[1:].sum(axis=1, dtype=np.float64)

    def _add_regions(self, scores: Scores) -> None:
        values, predicted = scipy.special.expit(scores), scores > 0
        self.voxels += predicted.sum(axis=1)
        self.inside += np.where(predicted, values, 0).sum(axis=1, dtype=np.float64)
        self.everywhere += values.sum(axis=1, dtype=np.float64)

    def dice(self) -> NDArray[np.float64]:
        """Return the soft Dice of each label; 0 where no voxel has the label."""
        return _ratio(2 * self.inside, self.voxels + self.everywhere)

    def confidence(self) -> NDArray[np.float64]:
        """Return the mean probability of each label in its voxels; 0 where there are none."""
        return _ratio(self.inside, self.voxels)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.zeros_like(below), where=below > 0)
