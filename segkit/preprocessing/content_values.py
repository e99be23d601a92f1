"""Values of the content of a scan, without its constant border, for harmonization."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.harmonization.values import PROBABILITIES, ChannelValues
from segkit.io.memory import blocks
from segkit.preprocessing.orient_and_crop import border_values, differs
from segkit.volume import Volume

MOST_VOXELS = 4_000_000
"""Largest number of voxels of which quantiles are computed; of a larger scan every k-th is used.

The median of 4 million independent values is known to 0.00025 in probability.
"""


def channel_values(volume: Volume, *, where: str | Path = "scan") -> tuple[ChannelValues, ...]:
    """Return the values of each channel of a scan.

    Voxels of the constant border, which has no tissue, do not count. A scan that is nothing but
    border counts as a whole.

    Args:
        volume: the scan; it may be memory-mapped, because it is read block by block.
        where: name of the scan in messages.

    Raises:
        InputError: the values are so large that they have no standard deviation.

    >>> scan = Volume(np.arange(1000.0).reshape(1, 10, 10, 10), np.eye(4))
    >>> values = channel_values(scan)[0]
    >>> values.mean, float(values.at(np.array([0.5]))[0])
    (499.5, 499.5)
    """
    array = volume.array
    border = border_values(array)
    count = (
        array[0].size if border is None else sum(part.shape[1] for part in _parts(array, border))
    )
    if not count:
        border, count = None, array[0].size
    sampled = _sampled(_parts(array, border), count, array.shape[1:])
    return tuple(_summary(values.astype(np.float64), where) for values in sampled)


def labeled_values(
    array: NDArray[Any], indices: NDArray[Any], labels: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return values (C, N) of voxels in the labels, and (C, M) of those in none.

    Both are spread evenly over the scan, and neither N nor M exceeds MOST_VOXELS.

    Args:
        array: the scan (C, X, Y, Z); it may be memory-mapped, because it is read block by block.
        indices: label of each voxel (X, Y, Z); 0 is none, and one above ``labels`` is ignored.
        labels: number of labels.
    """

    def parts(low: int, high: int) -> Iterator[NDArray[Any]]:
        for box in blocks(array[0]):
            chosen = (indices[box] >= low) & (indices[box] <= high)
            yield np.asarray(array[:, *box])[:, chosen]

    def values(low: int, high: int) -> NDArray[Any]:
        count = sum(part.shape[1] for part in parts(low, high))
        return _sampled(parts(low, high), count, indices.shape)

    return values(1, labels), values(0, 0)


def _parts(array: NDArray[Any], border: NDArray[Any] | None) -> Iterator[NDArray[Any]]:
    """Yield the values (C, N) of the content, block by block."""
    for box in blocks(array[0]):
        part = np.asarray(array[:, *box])
        yield part.reshape(len(part), -1) if border is None else part[:, differs(part, border)]


def _sampled(parts: Iterable[NDArray[Any]], count: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return at most MOST_VOXELS values (C, N) of all ``count`` of them, evenly spread."""
    return np.concatenate([*_every(_step(count, shape), parts)], axis=1)


def _every(step: int, parts: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Yield every ``step``-th value, counted through all parts."""
    skipped = 0
    for part in parts:
        # A copy, because a view would keep the whole part in memory.
        yield part[:, (-skipped) % step :: step].copy()
        skipped = (skipped + part.shape[1]) % step


def _step(count: int, shape: tuple[int, ...]) -> int:
    """Return how many voxels to go on, so that the sample does not fall on a few planes only."""
    step = math.ceil(count / MOST_VOXELS)
    while any(size > 1 and math.gcd(step, size) > 1 for size in shape):
        step += 1
    return step


def _summary(values: NDArray[np.float64], where: str | Path) -> ChannelValues:
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = float(values.mean()), float(values.std())
    if not math.isfinite(std):
        raise InputError(
            where,
            expected="intensities that have a mean and a standard deviation",
            found=f"values from {values.min():.3g} to {values.max():.3g}",
            remedy="The file is damaged, or in an unusual unit: rescale it and save it again.",
        )
    return ChannelValues(np.quantile(values, PROBABILITIES), mean, std)
