"""Bring a scan's intensities to the range a network is used to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.memory_map import blocks
from segkit.plans.plan import ChannelPlan, Scheme

SCHEMES: dict[str, Scheme] = {"ct": "ct", "nonorm": "none", "none": "none"}
"""Normalization by the name of a channel in lower case; channels of other names are z-scored."""


def scheme_of(name: str) -> Scheme:
    """Return how a channel of this name is normalized.

    >>> scheme_of("CT"), scheme_of("noNorm"), scheme_of("T1")
    ('ct', 'none', 'zscore')
    """
    return SCHEMES.get(name.strip().lower(), "zscore")


@dataclass(frozen=True)
class Normalizer:
    """How the voxels of one channel of one scan are normalised, wherever in it they lie."""

    channel: ChannelPlan
    lowest: float
    """Of the voxels that count; the highest, their mean and their standard deviation are so, too."""
    highest: float
    mean: float
    std: float
    where: str

    def __call__(
        self, voxels: NDArray[Any], mask: NDArray[np.bool_] | None, target: NDArray[np.float32]
    ) -> None:
        """Write the normalised ``voxels`` (X, Y, Z) of some part of the scan to ``target``."""
        with np.errstate(all="ignore"):  # what overflows was found before, or is outside the mask
            if self.channel.scheme == "zscore":
                self._standardize(voxels, target)
            else:
                target[...] = voxels
            if self.channel.scheme == "ct":
                np.clip(target, self.channel.lower, self.channel.upper, out=target)
                _scale(target, self.channel.mean, self.channel.std)
            elif self.channel.scheme == "zscore" and mask is not None and self.channel.masked:
                target[~mask] = 0

    def _standardize(self, voxels: NDArray[Any], target: NDArray[np.float32]) -> None:
        """Write (voxels - mean) / std; the difference is taken in float64, before a large offset costs digits."""
        if self.lowest == self.highest:
            target[...] = 0  # there is no spread to divide by
            return
        np.subtract(np.asarray(voxels), self.mean, out=target, dtype=np.float64, casting="unsafe")
        target /= np.float32(self.std)

    def check(self) -> None:
        """Raise an InputError unless 32-bit numbers can hold what the voxels that count become.

        All that is done to them rises or falls throughout, so the lowest and the highest tell it.
        """
        ends = np.array([self.lowest, self.highest]).reshape(2, 1, 1)
        found = np.empty(ends.shape, np.float32)
        self(ends, None, found)
        if not np.isfinite(found).all():
            raise InputError(
                self.where,
                expected="intensities that 32-bit numbers can hold",
                found=f"values from {self.lowest:.3g} to {self.highest:.3g}",
                remedy="The file is damaged, or in a strange unit: scale it and save it again.",
            )


def normalizers(
    array: NDArray[Any],
    channels: Sequence[ChannelPlan],
    mask: NDArray[np.bool_] | None = None,
    *,
    where: str | Path = "scan",
) -> list[Normalizer]:
    """Measure each channel of (C, X, Y, Z), block by block; see ChannelPlan for the schemes.

    Args:
        array: voxels of any real type.
        channels: one entry per channel.
        mask: (X, Y, Z) voxels that count where a channel is ``masked``; the others become 0. None: all count.
        where: the scan's name in messages.

    Raises:
        InputError: values that leave the range of float32.
    """
    return [
        _measured(voxels, channel, mask, where)
        for voxels, channel in zip(array, channels, strict=True)
    ]


def apply_normalizers(
    found: Sequence[Normalizer], part: NDArray[Any], mask: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """A part (C, X, Y, Z) of the scan that was measured, normalised."""
    result = np.empty(part.shape, dtype=np.float32)
    for normalizer, voxels, target in zip(found, part, result, strict=True):
        for box in blocks(voxels):
            normalizer(voxels[box], None if mask is None else mask[box], target[box])
    return result


def _measured(
    voxels: NDArray[Any], channel: ChannelPlan, mask: NDArray[np.bool_] | None, where: str | Path
) -> Normalizer:
    # Voxels outside the mask become 0 where the others are made to z-scores, and count where they are clipped or kept.
    used = mask if channel.masked and channel.scheme == "zscore" else None
    ends = [(float(part.min()), float(part.max())) for part in _blocks(voxels, used) if part.size]
    lowest, highest = (
        (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0.0, 0.0)
    )
    mean, std = (
        (0.0, 1.0) if lowest == highest or channel.scheme != "zscore" else _moments(voxels, used)
    )
    found = Normalizer(channel, lowest, highest, mean, std, f"{where}, channel {channel.name}")
    found.check()
    return found


def _moments(voxels: NDArray[Any], mask: NDArray[np.bool_] | None) -> tuple[float, float]:
    """Mean and standard deviation in float64: sums of millions of float32 voxels lose digits (values of 1e5 exist)."""
    with np.errstate(all="ignore"):  # what overflows is found when it is used
        count = sum(part.size for part in _blocks(voxels, mask))
        mean = sum(float(part.sum(dtype=np.float64)) for part in _blocks(voxels, mask)) / count
        squares = sum(
            float(np.square(part.astype(np.float64) - mean).sum()) for part in _blocks(voxels, mask)
        )
    return mean, math.sqrt(squares / count)


def _blocks(voxels: NDArray[Any], mask: NDArray[np.bool_] | None) -> Iterator[NDArray[Any]]:
    """The voxels (X, Y, Z) that count, some at a time."""
    for box in blocks(voxels):
        part = np.asarray(voxels[box])
        yield part if mask is None else part[mask[box]]


def _scale(target: NDArray[np.float32], mean: float, std: float) -> None:
    target -= np.float32(mean)
    target /= np.float32(std)
