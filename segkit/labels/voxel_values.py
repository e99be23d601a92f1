"""Values of voxels from the scores of a network: labels, probabilities and uncertainty.

The label is that of the highest score. The probabilities of labels that exclude each other sum to 1
at each voxel, background included (softmax). Regions overlap, and each has a probability of its own
(sigmoid). Where two labels are equally probable except for rounding, the label of the label map
gets the higher number: the largest probability always belongs to the label of the label map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy  # its submodules are imported on first use
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.labels.postprocessing import merge_regions

Scores = NDArray[np.float32]
"""Scores (K, X, Y, Z) of some planes."""
Decide = Callable[[Scores], NDArray[Any]]
"""Function from scores to one value (X, Y, Z) or several values (K, X, Y, Z) of each voxel."""
Kind = Literal["uint8", "float32"]
"""Number type of probabilities; uint8 holds steps of 1/255."""
Temperatures = Sequence[float] | None
"""Temperature of each output of a network, background included; None leaves scores as they are."""
STEPS = 255
"""Step of a probability of 1."""
_HALF = np.float32(0.5)
VOXELS_IN_CACHE = 1 << 15
"""Number of voxels whose highest score is found together, so that they stay in the cache."""


def check_finite_scores(scores: Scores, where: Path, precision: str) -> None:
    """Raise an error if scores are NaN or infinite, because no label can be decided from them.

    Args:
        scores: (K, X, Y, Z) of some voxels.
        where: name of the scan in the message.
        precision: the number type that the network computes with.

    Raises:
        InputError: a score that is NaN or infinite.
    """
    # One sum is faster than a test of each score, and a NaN or infinity makes it not finite.
    with np.errstate(all="ignore"):
        if np.isfinite(scores.sum()) or np.isfinite(scores).all():
            return
    remedy = "The weights of the model are damaged or its training diverged: train it again."
    if precision != "float32":
        remedy = (
            f"The range of {precision} may be too small for this model: "
            f"predict with --precision float32. {remedy}"
        )
    raise InputError(
        where,
        expected="finite scores of the network",
        found=f"scores that are NaN or infinite, computed in {precision}",
        remedy=remedy,
    )


def label_dtype(values: Sequence[int]) -> np.dtype[Any]:
    """Return the smallest integer type that holds all ``values``.

    >>> label_dtype((0, 5, 300)).name
    'uint16'
    """
    return np.result_type(*(np.min_scalar_type(value) for value in values))


def decide_by(label_values: Sequence[int], *, regions: bool = False) -> Decide:
    """Return the function from scores to a label map: the value of the highest score of a voxel.

    With ``regions``, which may overlap, every output with a score above 0 (a probability above 1/2)
    is written, later ones over earlier ones.
    """
    table = np.asarray(label_values, dtype=label_dtype(label_values))
    if regions:
        return lambda scores: merge_regions(scores > 0, label_values, table.dtype)
    if np.array_equal(table, np.arange(len(table))):
        return highest
    return lambda scores: table[highest(scores)]


def highest(scores: Scores) -> NDArray[Any]:
    """Return the index (X, Y, Z) of the highest of scores (K, X, Y, Z), the first of equal ones.

    The result is that of `numpy.argmax`, which took eight times as long for 15 scores and four
    times as long for 118, in the type of `label_dtype`.

    >>> highest(np.array([0.5, 2.0, 2.0], np.float32).reshape(3, 1, 1, 1)).item()
    1
    """
    dtype = label_dtype(range(len(scores)))
    flat = scores.reshape(len(scores), -1)
    indices = np.empty(flat.shape[1], dtype)
    for start in range(0, indices.size, VOXELS_IN_CACHE):
        voxels = slice(start, start + VOXELS_IN_CACHE)
        _write_highest(flat[:, voxels], indices[voxels])
    return indices.reshape(scores.shape[1:])


def _write_highest(scores: NDArray[np.float32], indices: NDArray[Any]) -> None:
    """Write the index of the highest of (K, n) scores into (n,).

    Arithmetic replaces masks, because processors have fast instructions for it.
    """
    indices[...] = 0
    best = scores[0].copy()
    for index, score in enumerate(scores[1:], start=1):
        higher = (score > best).view(np.uint8)
        np.maximum(best, score, out=best)
        # Indices ascend, so the maximum of all candidates is the index of the last new highest.
        candidate = np.multiply(higher, indices.dtype.type(index), dtype=indices.dtype)
        np.maximum(indices, candidate, out=indices)


def divided(scores: Scores, temperatures: Temperatures) -> Scores:
    """Return scores (K, ...) divided by the temperature of each output, or as they are for None."""
    if temperatures is None:
        return scores
    column = np.array(temperatures, np.float32).reshape(-1, *[1] * (scores.ndim - 1))
    return np.asarray(scores / column)


def probabilities(
    scores: Scores, *, regions: bool = False, temperatures: Temperatures = None
) -> NDArray[np.float32]:
    """Return the probabilities (K, X, Y, Z) of scores (K, X, Y, Z).

    Args:
        scores: scores of K labels, or of K regions.
        regions: True where the outputs are overlapping regions.
        temperatures: what the scores are divided by first. The label of a voxel stays that of the
            scores: temperatures are equal, or those of regions.

    >>> probabilities(np.log(np.array([1, 3], np.float32)).reshape(2, 1, 1, 1)).ravel().tolist()
    [0.25, 0.75]
    """
    if regions:
        values = scipy.special.expit(divided(scores, temperatures))
        above_half = np.nextafter(_HALF, np.float32(1))
        np.maximum(values, above_half, out=values, where=scores > 0)
        return np.asarray(values)
    values = softmax(divided(scores, temperatures))
    best, voxels = _not_highest(values, scores)
    largest = np.moveaxis(values, 0, -1)[voxels].max(axis=-1)
    values[(best, *voxels)] = np.nextafter(largest, np.float32(1))
    return values


def steps(
    scores: Scores, *, regions: bool = False, temperatures: Temperatures = None
) -> NDArray[np.uint8]:
    """Return the probabilities (K, X, Y, Z) in steps of 1/255, rounded to the nearest step.

    The step of a region is above 127 where its score is above 0. The label of the highest score
    gets one step more than any other label that rounds to the same step. Arguments are those of
    `probabilities`.

    >>> steps(np.log(np.array([1, 3], np.float32)).reshape(2, 1, 1, 1)).ravel().tolist()
    [64, 191]
    """
    used = divided(scores, temperatures)
    scaled = scipy.special.expit(used) if regions else softmax(used)
    scaled *= STEPS
    values = np.rint(scaled, out=scaled).astype(np.uint8)
    if regions:
        np.maximum(values, STEPS // 2 + 1, out=values, where=scores > 0)
        np.minimum(values, STEPS // 2, out=values, where=scores <= 0)
        return values
    best, voxels = _not_highest(values, scores)
    values[(best, *voxels)] = np.moveaxis(values, 0, -1)[voxels].max(axis=-1) + 1
    return values


FUNCTIONS: dict[Kind, Callable[..., NDArray[Any]]] = {"uint8": steps, "float32": probabilities}
"""Function from scores to probabilities of each number type."""


def entropy(
    scores: Scores, *, regions: bool = False, temperatures: Temperatures = None
) -> NDArray[np.float32]:
    """Return the entropy (X, Y, Z) of each voxel's probabilities, as a fraction of the largest one.

    0 is certain; 1 means that all labels are equally probable.

    Args:
        scores: (K, X, Y, Z), logarithms of the probabilities of K labels up to a constant, or the
            logits of K regions.
        regions: True where the outputs are overlapping regions; each has an entropy of its own,
            and the largest one counts.
        temperatures: what the scores are divided by first.

    >>> entropy(np.array([[0, 200], [0, 0]], np.float32).reshape(2, 1, 1, 2)).ravel().tolist()
    [1.0, 0.0]
    """
    scores = divided(scores, temperatures)
    if regions:
        largest = entropy(np.stack([scores[0], np.zeros_like(scores[0])]))
        for score in scores[1:]:
            single = entropy(np.stack([score, np.zeros_like(score)]))
            np.maximum(largest, single, out=largest)
        return largest
    logs = scores - scores.max(axis=0)
    weights = np.exp(logs)
    total = weights.sum(axis=0)
    # -sum p log p, with p = weights / total.
    nats: NDArray[np.float32] = np.log(total) - (weights * logs).sum(axis=0) / total
    fraction: NDArray[np.float32] = np.clip(nats / np.float32(math.log(len(scores))), 0, 1)
    return fraction


def softmax(scores: Scores) -> NDArray[np.float32]:
    """Return the probabilities (K, X, Y, Z) of scores of K labels that exclude each other.

    >>> softmax(np.log(np.array([1, 3], np.float32)).reshape(2, 1, 1, 1)).ravel().tolist()
    [0.25, 0.75]
    """
    values: NDArray[np.float32] = scores - scores.max(axis=0)
    np.exp(values, out=values)
    values /= values.sum(axis=0)
    return values


def _not_highest(
    values: NDArray[Any], scores: Scores
) -> tuple[NDArray[Any], tuple[NDArray[Any], ...]]:
    """Return the voxels whose label is not the first of the highest in ``values``, and that label.

    The label is the one with the highest score; voxels are given by their indices x, y and z.
    """
    best = highest(scores)
    voxels = np.nonzero(best != highest(values))
    return best[voxels], voxels
