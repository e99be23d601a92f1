"""How sure a model is of a voxel, by its own scores; no promise that it is right."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def entropy(scores: NDArray[np.float32], *, regions: bool = False) -> NDArray[np.float32]:
    """Entropy of a voxel's probabilities, as a share of the largest possible: 0 is certain, 1 as good as drawn.

    Args:
        scores: (K, X, Y, Z): logarithms of K labels' probabilities up to a constant, or of regions their logits.
        regions: they overlap, and each has an entropy of its own; the largest counts.

    >>> entropy(np.array([[0, 200], [0, 0]], np.float32).reshape(2, 1, 1, 2)).ravel().tolist()
    [1.0, 0.0]
    """
    if regions:
        found = entropy(np.stack([scores[0], np.zeros_like(scores[0])]))
        for score in scores[1:]:
            np.maximum(found, entropy(np.stack([score, np.zeros_like(score)])), out=found)
        return found
    logs = scores - scores.max(axis=0)
    weights = np.exp(logs)
    total = weights.sum(axis=0)
    # -sum p log p, with p = weights / total.
    bits: NDArray[np.float32] = np.log(total) - (weights * logs).sum(axis=0) / total
    share: NDArray[np.float32] = np.clip(bits / np.float32(math.log(len(scores))), 0, 1)
    return share
