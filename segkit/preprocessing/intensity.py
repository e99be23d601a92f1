"""Intensity normalization: CT values, z-scores, or none, depending on the channel's name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.harmonization.monotone_map import MonotoneMap
from segkit.io.memory import blocks
from segkit.plans.plan import ChannelPlan, Scheme
from segkit.preprocessing.ct_values import thins_out

SCHEMES: dict[str, Scheme] = {"ct": "ct", "nonorm": "none", "none": "none"}
"""Normalization by channel name in lower case; channels with other names are z-scored."""


def scheme_of(name: str) -> Scheme:
    """Return the normalization of a channel with this name.

    >>> scheme_of("CT"), scheme_of("noNorm"), scheme_of("T1")
    ('ct', 'none', 'zscore')
    """
    return SCHEMES.get(name.strip().lower(), "zscore")


@dataclass(frozen=True)
class Normalizer:
    """Normalization of one channel of one scan, with statistics of the whole scan."""

    channel: ChannelPlan
    lowest: float
    """Lowest value of the voxels used (all, or those inside the mask)."""
    highest: float
    """Highest value of the voxels used."""
    mean: float
    """Mean of the voxels used."""
    std: float
    """Standard deviation of the voxels used."""
    where: str
    """Name of scan and channel in messages."""
    curve: MonotoneMap | None = None
    """Harmonization of the values before they are normalized; mean and std are of its results."""
    noise: bool = False
    """True if a z-scored channel has values as low as a CT, but as the tail of noise."""

    def __call__(
        self, voxels: NDArray[Any], mask: NDArray[np.bool_] | None, target: NDArray[np.float32]
    ) -> None:
        """Write the normalized voxels (X, Y, Z) of a part of the scan to ``target``."""
        voxels = _curved(voxels, self.curve)
        # `check` has already refused overflow inside the mask.
        with np.errstate(all="ignore"):
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
        """Write (voxels - mean) / std, with the difference in float64 to keep all its digits."""
        if self.lowest == self.highest or (self.curve is not None and not self.std):
            target[...] = 0  # there is no spread to divide by
            return
        np.subtract(np.asarray(voxels), self.mean, out=target, dtype=np.float64, casting="unsafe")
        target /= np.float32(self.std)

    def check(self) -> None:
        """Raise an InputError unless float32 can represent the normalized values.

        Normalization is monotonic, so it is enough to test the lowest and the highest value.
        """
        ends = np.array([self.lowest, self.highest]).reshape(2, 1, 1)
        normalized = np.empty(ends.shape, np.float32)
        self(ends, None, normalized)
        if not np.isfinite(normalized).all():
            raise InputError(
                self.where,
                expected="intensities that 32-bit numbers can hold",
                found=f"values from {self.lowest:.3g} to {self.highest:.3g}",
                remedy="The file is damaged, or in an unusual unit: rescale it and save it again.",
            )


def normalizers(
    array: NDArray[Any],
    channels: Sequence[ChannelPlan],
    mask: NDArray[np.bool_] | None = None,
    *,
    curves: Sequence[MonotoneMap] | None = None,
    where: str | Path = "scan",
) -> list[Normalizer]:
    """Measure each channel of a scan block by block and return its normalization.

    Args:
        array: voxels (C, X, Y, Z) of any real type.
        channels: plan of each channel, which names the scheme.
        mask: voxels (X, Y, Z) that are used for a channel that is ``masked``; the others become 0.
            By default all are used.
        curves: harmonization of each channel, which is applied first.
        where: name of the scan in messages.

    Raises:
        InputError: normalized values would exceed the range of float32.
    """
    each: Sequence[MonotoneMap | None] = curves or [None] * len(channels)
    return [
        _measured(voxels, channel, mask, where, curve)
        for voxels, channel, curve in zip(array, channels, each, strict=True)
    ]


def apply_normalizers(
    measured: Sequence[Normalizer], part: NDArray[Any], mask: NDArray[np.bool_] | None
) -> NDArray[np.float32]:
    """Return a part (C, X, Y, Z) of the measured scan, normalized, as float32."""
    result = np.empty(part.shape, dtype=np.float32)
    for normalizer, voxels, target in zip(measured, part, result, strict=True):
        for box in blocks(voxels):
            normalizer(voxels[box], None if mask is None else mask[box], target[box])
    return result


def _measured(
    voxels: NDArray[Any],
    channel: ChannelPlan,
    mask: NDArray[np.bool_] | None,
    where: str | Path,
    curve: MonotoneMap | None,
) -> Normalizer:
    # Only z-scores exclude the voxels outside the mask.
    used = mask if channel.masked and channel.scheme == "zscore" else None
    ends = [(float(part.min()), float(part.max())) for part in _blocks(voxels, used) if part.size]
    lowest = min((low for low, _ in ends), default=0.0)
    highest = max((high for _, high in ends), default=0.0)
    mean, std = 0.0, 1.0
    if channel.scheme == "zscore" and lowest != highest:
        mean, std = _moments(voxels, used, curve)
    name = f"{where}, channel {channel.name}"
    noise = channel.scheme == "zscore" and thins_out(_blocks(voxels, used), lowest)
    measured = Normalizer(channel, lowest, highest, mean, std, name, curve, noise)
    measured.check()
    return measured


def _moments(
    voxels: NDArray[Any], mask: NDArray[np.bool_] | None, curve: MonotoneMap | None
) -> tuple[float, float]:
    """Return mean and standard deviation of the harmonized values, summed in float64.

    Sums over millions of voxels would lose digits in float32, and values may be as large as 1e5.
    """
    with np.errstate(all="ignore"):  # `Normalizer.check` refuses values that overflow
        count = sum(part.size for part in _blocks(voxels, mask))
        total = sum(
            float(_curved(part, curve).sum(dtype=np.float64)) for part in _blocks(voxels, mask)
        )
        mean = total / count
        squares = sum(
            float(np.square(_curved(part, curve).astype(np.float64) - mean).sum())
            for part in _blocks(voxels, mask)
        )
    return mean, math.sqrt(squares / count)


def _curved(voxels: NDArray[Any], curve: MonotoneMap | None) -> NDArray[Any]:
    """Return the harmonized values in float64; without a curve the voxels as they are."""
    return voxels if curve is None else curve(np.asarray(voxels))


def _blocks(voxels: NDArray[Any], mask: NDArray[np.bool_] | None) -> Iterator[NDArray[Any]]:
    """Yield the voxels inside the mask, block by block."""
    for box in blocks(voxels):
        part = np.asarray(voxels[box])
        yield part if mask is None else part[mask[box]]


def _scale(target: NDArray[np.float32], mean: float, std: float) -> None:
    target -= np.float32(mean)
    target /= np.float32(std)
