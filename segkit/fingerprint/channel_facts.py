"""Measure the values of the channels of one case."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.memory import blocks
from segkit.plans.ranges import Range
from segkit.preprocessing.ct_values import thins_out

SAMPLED_VOXELS = 1 << 16
"""Approximate number of voxels that are checked for whole numbers in a floating-point channel."""
HASHED_VOXELS = 1 << 20
"""Number of voxels that are hashed at a time, but at least one plane."""
LOWER_PERCENTILE = 0.5
"""Lower percentile of the labeled voxels; the upper one is 100 minus this."""


@dataclass(frozen=True)
class ChannelFacts:
    """Values of one channel of one case."""

    lowest: float
    highest: float
    whole: bool
    """True if all values are whole numbers, judging by a sample."""
    labelled: Range | None = None
    """0.5th and 99.5th percentile of the sampled labeled voxels; None if there are none."""
    noise: bool = False
    """True if its values below those of MR are the tail of noise, and no air."""


def channel_facts(array: NDArray[Any], samples: NDArray[Any]) -> tuple[ChannelFacts, ...]:
    """Return the facts of each channel.

    Args:
        array: the scan (C, X, Y, Z).
        samples: values (C, N) of N labeled voxels.
    """
    return tuple(_facts(channel, values) for channel, values in zip(array, samples, strict=True))


def voxels_hash(array: NDArray[Any]) -> str:
    """Return 32 hex digits over the values of a scan (C, X, Y, Z), rounded to float32.

    The hash does not depend on the data type or the memory layout.

    >>> scan = np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4)
    >>> voxels_hash(scan) == voxels_hash(np.asfortranarray(scan.astype(np.float64)))
    True
    """
    digest = hashlib.sha256(repr(array.shape).encode())
    for channel in array:
        for voxels in _bytes_in_order(channel):
            digest.update(voxels)
    return digest.hexdigest()[:32]


def holds_whole_numbers(channel: NDArray[Any]) -> bool:
    """Return whether the values of a channel (X, Y, Z) are whole numbers, judging by a sample.

    >>> holds_whole_numbers(np.full((2, 2, 2), 3.0)), holds_whole_numbers(np.full((2, 2, 2), 0.5))
    (True, False)
    """
    if channel.dtype.kind in "iu":
        return True
    x, y, z = channel.shape
    step = max(1, int(np.ceil(np.cbrt(x * y * z / SAMPLED_VOXELS))))
    sample = np.asarray(channel[::step, ::step, ::step])
    return bool(np.array_equal(sample, np.rint(sample)))


def _facts(channel: NDArray[Any], samples: NDArray[Any]) -> ChannelFacts:
    ends = [(float(block.min()), float(block.max())) for block in _loaded_blocks(channel)]
    labeled = None
    if samples.size:
        low, high = np.percentile(samples, (LOWER_PERCENTILE, 100 - LOWER_PERCENTILE))
        labeled = (float(low), float(high))
    lowest, highest = min(low for low, _ in ends), max(high for _, high in ends)
    noise = thins_out(_loaded_blocks(channel), lowest)
    return ChannelFacts(lowest, highest, holds_whole_numbers(channel), labeled, noise)


def _loaded_blocks(channel: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (np.asarray(channel[box]) for box in blocks(channel))


def _bytes_in_order(channel: NDArray[Any]) -> Iterator[memoryview]:
    """Yield the voxels (X, Y, Z) as float32 with X fastest, a few planes at a time.

    Adding 0 turns -0.0 into 0.0, so that equal values have equal bytes.
    """
    x, y, z = channel.shape
    count = max(1, HASHED_VOXELS // max(1, x * y))
    for first in range(0, z, count):
        planes = np.asarray(channel[:, :, first : first + count]).transpose(2, 1, 0)
        yield (planes.astype(np.float32, order="C") + np.float32(0)).data
