"""A harmonized scan: its voxels are computed block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.harmonization.model import Harmonization
from segkit.harmonization.monotone_map import MonotoneMap
from segkit.harmonization.scan import group_of, is_known_group, maps_of
from segkit.io.memory import MAPPED_FROM, blocks, map_scratch
from segkit.preprocessing.content_values import channel_values
from segkit.volume import Volume


@dataclass(frozen=True, eq=False)
class Harmonized:
    """A harmonized scan, and what is to be said about it."""

    volume: Volume
    """Voxels (C, X, Y, Z) as float32 on the grid of the scan."""
    group: str | None
    """Group of the scan; None if it is unknown, or if there are no groups."""
    is_known: bool
    """True if the group was among the training scans, or if there are no groups."""
    constant: tuple[str, ...]
    """Channels with one value only, which became 0."""


def harmonize(
    volume: Volume,
    model: Harmonization,
    group: str | None = None,
    *,
    where: str | Path = "scan",
    scratch: Path | None = None,
) -> Harmonized:
    """Return the harmonized scan.

    Every voxel is mapped by the function of its channel. The constant border, which does not count
    when that function is made, is mapped as well and so stays constant.

    Args:
        volume: the scan; it may be memory-mapped, because it is read block by block.
        model: the fitted harmonization.
        group: group of the scan, if a table or DICOM names it.
        where: name of the scan in messages.
        scratch: folder for a temporary file that holds the voxels of a large scan; by default
            they are held in memory.

    Raises:
        InputError: the scan has another number of channels than the harmonization, or values that
            32-bit numbers cannot hold.
    """
    if volume.channels != len(model.channels):
        names = ", ".join(channel.name for channel in model.channels)
        raise InputError(
            where,
            expected=f"{len(model.channels)} channels ({names}), as the harmonization was fitted",
            found=f"{volume.channels}",
            remedy="Give the scans of the same channels, or fit a harmonization to these scans.",
        )
    values = channel_values(volume, where=where)
    group = group_of(model, values, group)
    maps = maps_of(model, values, group)
    array = _mapped(volume.array, maps, _empty(volume.array.shape, scratch), where)
    constant = tuple(
        channel.name
        for channel, own in zip(model.channels, values, strict=True)
        if own.quantiles[0] == own.quantiles[-1] and not own.std
    )
    return Harmonized(volume.with_array(array), group, is_known_group(model, group), constant)


def _empty(shape: tuple[int, ...], scratch: Path | None) -> NDArray[np.float32]:
    if scratch is not None and 4 * int(np.prod(shape)) >= MAPPED_FROM:
        # The writer takes the planes along Z, so that these are contiguous in the file.
        turned = map_scratch(scratch, shape[:1] + shape[:0:-1], np.dtype(np.float32))
        return turned.transpose(0, 3, 2, 1)
    return np.empty(shape, np.float32)


def _mapped(
    array: NDArray[Any], maps: Sequence[MonotoneMap], result: NDArray[np.float32], where: str | Path
) -> NDArray[np.float32]:
    for channel, function, target in zip(array, maps, result, strict=True):
        for box in blocks(target):
            with np.errstate(over="ignore", invalid="ignore"):  # reported below
                target[box] = function(np.asarray(channel[box]))
            if not np.isfinite(target[box]).all():
                raise InputError(
                    where,
                    expected="intensities that 32-bit numbers can hold after harmonization",
                    found="values that overflow",
                    remedy="The file is damaged, or in an unusual unit: rescale it and save it "
                    "again.",
                )
    return result
