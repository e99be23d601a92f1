"""Bring a scan's intensities to the range a network is used to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.plans import ChannelPlan

log = logging.getLogger(__name__)


def normalize(
    array: NDArray[Any],
    channels: Sequence[ChannelPlan],
    mask: NDArray[np.bool_] | None = None,
    *,
    where: str | Path = "scan",
) -> NDArray[np.float32]:
    """Normalise each channel of (C, X, Y, Z) as planned; see ChannelPlan for the schemes.

    Args:
        array: voxels of any real type.
        channels: one entry per channel.
        mask: (X, Y, Z) voxels that count where a channel is ``masked``; the others become 0. None: all count.
        where: the scan's name in messages.

    Raises:
        InputError: values that leave the range of float32.
    """
    result = np.empty(array.shape, dtype=np.float32)
    with np.errstate(all="ignore"):  # what overflows is found below
        for source, target, channel in zip(array, result, channels, strict=True):
            _normalize_channel(source, target, channel, mask if channel.masked else None, where)
            if not np.isfinite(target).all():
                raise _out_of_range(source, f"{where}, channel {channel.name}")
    return result


def _normalize_channel(
    source: NDArray[Any],
    target: NDArray[np.float32],
    channel: ChannelPlan,
    mask: NDArray[np.bool_] | None,
    where: str | Path,
) -> None:
    values = source if mask is None else source[mask]
    constant = values.size == 0 or values.min() == values.max()
    if constant:
        log.warning(
            "%s, channel %s: the scan has one constant value; nothing can be told apart in it", where, channel.name
        )
    target[...] = source
    if channel.scheme == "ct":
        np.clip(target, channel.lower, channel.upper, out=target)
        _scale(target, channel.mean, channel.std)
    elif channel.scheme == "zscore" and constant:
        target[...] = 0  # there is no spread to divide by
    elif channel.scheme == "zscore":
        # Sums of millions of float32 voxels lose digits; scans with values of 1e5 have been seen.
        _scale(target, float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)))
        if mask is not None:
            target[~mask] = 0


def _out_of_range(source: NDArray[Any], where: str) -> InputError:
    return InputError(
        where,
        expected="intensities that 32-bit numbers can hold",
        found=f"values from {float(source.min()):.3g} to {float(source.max()):.3g}",
        remedy="The file is damaged, or in a strange unit: scale it and save it again.",
    )


def _scale(target: NDArray[np.float32], mean: float, std: float) -> None:
    target -= np.float32(mean)
    target /= np.float32(std)
