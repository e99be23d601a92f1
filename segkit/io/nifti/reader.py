"""Reading NIfTI-1 and NIfTI-2 in one file (.nii, .nii.gz): header by nibabel, voxels by seek and read,
or mapped where they are many.

The header is checked before any voxel is read, and never more is unpacked than it promises.
"""

from __future__ import annotations

import logging
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.files.names import must_exist
from segkit.io.geometry import checked_affine, warn_of_shear
from segkit.io.gzip_stream import LARGEST_RATIO, is_gzip, too_short, unpack
from segkit.io.limits import check_finite, check_memory
from segkit.io.memory_map import MAPPED_FROM, map_numbers
from segkit.io.nifti.header import Layout, axes, read_layout, rgb, stored_type, unit_in_mm
from segkit.io.nifti.sform_qform import header_grids, itk_grid
from segkit.io.nifti.writer import save
from segkit.io.scaled import ScaledArray, scaled_type
from segkit.volume import Grid, Volume

__all__ = ["NiftiSource", "header_grids", "itk_grid", "open_scan", "save", "volume_of"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NiftiSource:
    """A NIfTI file whose header was checked; voxels (C, X, Y, Z) are read when asked for.

    A plain file is read plane by plane, or mapped where it is large. A gzip stream is unpacked once, on the first call,
    and kept; numbers that need no change are not copied out of it, and with `scaled` neither are those to be scaled.
    """

    path: Path
    layout: Layout

    @property
    def grid(self) -> Grid:
        return self.layout.grid

    @property
    def channels(self) -> int:
        return self.layout.volumes * self._used_samples

    @property
    def _used_samples(self) -> int:
        return min(self.layout.samples, 3)  # the fourth of RGBA is transparency

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels that ``planes`` gives: the stored one, or a real one where the header scales."""
        if self.layout.scale is not None:
            return scaled_type(self.layout.stored, *self.layout.scale)
        return self.layout.stored.newbyteorder("=")

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Voxels (C, X, Y, stop - start) of the planes ``start`` to ``stop`` along Z.

        Raises:
            InputError: a truncated or damaged file, too little memory, NaN or infinite voxels.
        """
        stop = min(stop, self.grid.shape[2])
        scaled = self.layout.scale is not None
        voxels = (
            self._copied(start, stop)
            if scaled or self._stored is None
            else self._stored[:, start:stop]
        )
        check_finite(self.path, voxels)
        return voxels.transpose(0, 3, 2, 1)

    def scaled(self) -> NDArray[Any] | None:
        """All voxels (C, X, Y, Z) as `ScaledArray`, which stand for an array; None where numbers are not scaled.

        Raises:
            InputError: as `planes`.
        """
        if self.layout.scale is None:
            return None
        stored = self._stored
        if stored is None:
            check_memory(self.path, self.layout.end)
            x, y, z = self.grid.shape
            stored = self._numbers(0, self.channels * x * y * z).reshape(self.channels, z, y, x)
        found = cast(NDArray[Any], ScaledArray(stored.transpose(0, 3, 2, 1), *self.layout.scale))
        check_finite(self.path, found)
        return found

    @cached_property
    def _stored(self) -> NDArray[Any] | None:
        """All numbers (C, Z, Y, X), where memory or a large file has them as they are wanted; None elsewhere."""
        layout, stored = self.layout, self.layout.stored
        if layout.samples > 1 or not stored.isnative or layout.offset % stored.itemsize:
            return None
        count = layout.grid.voxels * layout.volumes
        if self._unpacked is not None:
            numbers = np.frombuffer(self._unpacked, stored, count, layout.offset)
        elif layout.end >= MAPPED_FROM:
            numbers = map_numbers(self.path, stored, count, layout.offset)
        else:
            return None
        return numbers.reshape(layout.volumes, *reversed(layout.grid.shape))

    def _copied(self, start: int, stop: int) -> NDArray[Any]:
        """Voxels (C, Z, Y, X) of some planes."""
        width, height, _ = self.grid.shape
        shape = (stop - start, height, width)
        check_memory(self.path, self.channels * int(np.prod(shape)) * self.dtype.itemsize)
        voxels = np.empty((self.channels, *shape), self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is reported as infinite
            for channel in range(self.channels):
                voxels[channel] = self._block(channel, start, stop).reshape(shape)
        return voxels

    def _block(self, channel: int, start: int, stop: int) -> NDArray[Any]:
        """One channel's planes, flat, in the file's order, scaled."""
        width, height, depth = self.grid.shape
        volume, sample = divmod(channel, self._used_samples)
        plane = width * height * self.layout.samples
        numbers = self._numbers((volume * depth + start) * plane, (stop - start) * plane)
        if self.layout.scale is None:
            return numbers[sample :: self.layout.samples]
        slope, intercept = self.layout.scale
        return np.asarray(numbers * np.float64(slope) + intercept)

    def _numbers(self, first: int, count: int) -> NDArray[Any]:
        """``count`` numbers of the stored type, from the ``first`` on."""
        start = self.layout.offset + first * self.layout.stored.itemsize
        if self._unpacked is not None:
            return np.frombuffer(self._unpacked, self.layout.stored, count, start)
        numbers = np.fromfile(self.path, self.layout.stored, count, offset=start)
        if numbers.size < count:
            raise too_short(self.path, self.layout.end, str(start + numbers.nbytes))
        return numbers

    @cached_property
    def _unpacked(self) -> NDArray[np.uint8] | None:
        """The gzip stream up to the last voxel; None for a plain file."""
        if not is_gzip(self.path):
            return None
        check_memory(self.path, self.layout.end)
        return unpack(self.path, self.layout.end)


def open_scan(path: Path) -> NiftiSource:
    """Read and check the header.

    Raises:
        InputError: not NIfTI, a damaged header, an unusable affine, a type that is no real number per voxel, or a
            header that promises more than the file can hold or the memory can take.
    """
    must_exist(path)
    layout = read_layout(path)
    warn_of_shear(path, layout.grid)
    _check_promise(path, layout.end)
    if layout.samples == 4:
        log.warning("%s: the fourth of the colour channels (transparency) is left out", path.name)
    return NiftiSource(path, layout)


def _check_promise(path: Path, promised: int) -> None:
    size = path.stat().st_size
    if not is_gzip(path):
        if promised > size:
            raise too_short(path, promised, str(size))
    elif promised > size * LARGEST_RATIO:
        raise too_short(path, promised, f"at most {size * LARGEST_RATIO}")
    else:
        check_memory(path, promised)


def volume_of(image: Any, where: str = "nibabel image") -> Volume:
    """A nibabel image, of whatever format, as a Volume.

    Raises:
        InputError: voxels that cannot be read, complex numbers, too many axes, an unusable affine, NaN or infinity.
    """
    try:
        voxels = np.asanyarray(image.dataobj)
    except (OSError, EOFError, ValueError, zlib.error, HeaderDataError) as error:
        raise InputError(
            where,
            expected="voxels that nibabel can read",
            found=str(error),
            remedy="Copy the file again.",
        ) from error
    _, samples = stored_type(where, voxels.dtype)
    shape, channels = axes(where, voxels.shape)
    affine = checked_affine(where, image.affine)
    if isinstance(image.header, Nifti1Header):  # NIfTI-2's is one as well
        affine[:3] *= unit_in_mm(image.header)
    if samples > 1:
        voxels, channels = rgb(voxels), channels * 3
    voxels = np.moveaxis(voxels.reshape(*shape, channels), -1, 0)
    check_finite(where, voxels)
    return Volume(voxels.astype(voxels.dtype.newbyteorder("="), copy=False), affine)
