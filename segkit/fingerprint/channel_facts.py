"""What is measured about the values of one case."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.memory_map import blocks
from segkit.plans.ranges import Range

SAMPLED = 1 << 16
"""Voxels that tell whether a channel of floating-point numbers holds whole numbers."""
HASHED = 1 << 20
"""Voxels that are hashed together, but one plane at least."""
LEAST = 0.5
"""Percentile of the lower end of the labelled voxels; the upper end is 100 less this."""


@dataclass(frozen=True)
class ChannelFacts:
    """The values of one channel of one case."""

    lowest: float
    highest: float
    whole: bool
    """Whether all values are whole numbers, as far as a sample of them tells."""
    labelled: Range | None = None
    """0.5th and 99.5th percentile of the labelled voxels that were drawn; None without any."""


def channel_facts(array: NDArray[Any], samples: NDArray[Any]) -> tuple[ChannelFacts, ...]:
    """Measure each channel of (C, X, Y, Z); ``samples`` (C, N) are values of labelled voxels."""
    return tuple(_facts(channel, drawn) for channel, drawn in zip(array, samples, strict=True))


def voxels_hash(array: NDArray[Any]) -> str:
    """Return 32 hex digits over the values of (C, X, Y, Z), rounded to float32: type and order in memory do not count.

    >>> scan = np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4)
    >>> voxels_hash(scan) == voxels_hash(np.asfortranarray(scan.astype(np.float64)))
    True
    """
    digest = hashlib.sha256(repr(array.shape).encode())
    for channel in array:
        for voxels in _in_order(channel):
            digest.update(voxels)
    return digest.hexdigest()[:32]


def holds_whole_numbers(channel: NDArray[Any]) -> bool:
    """Return whether all values of (X, Y, Z) are whole numbers, judged by at most about SAMPLED voxels."""
    if channel.dtype.kind in "iu":
        return True
    x, y, z = channel.shape
    step = max(1, int(np.ceil(np.cbrt(x * y * z / SAMPLED))))
    sample = np.asarray(channel[::step, ::step, ::step])
    return bool(np.array_equal(sample, np.rint(sample)))


def _facts(channel: NDArray[Any], drawn: NDArray[Any]) -> ChannelFacts:
    ends = [(float(part.min()), float(part.max())) for part in _blocks(channel)]
    labelled = None
    if drawn.size:
        low, high = np.percentile(drawn, (LEAST, 100 - LEAST))
        labelled = (float(low), float(high))
    lowest, highest = min(low for low, _ in ends), max(high for _, high in ends)
    return ChannelFacts(lowest, highest, holds_whole_numbers(channel), labelled)


def _blocks(channel: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (np.asarray(channel[box]) for box in blocks(channel))


def _in_order(channel: NDArray[Any]) -> Iterator[memoryview]:
    """The voxels (X, Y, Z) as float32, X fastest, some planes at a time. -0.0 becomes 0.0."""
    x, y, z = channel.shape
    many = max(1, HASHED // max(1, x * y))
    for first in range(0, z, many):
        planes = np.asarray(channel[:, :, first : first + many]).transpose(2, 1, 0)
        yield (planes.astype(np.float32, order="C") + np.float32(0)).data
