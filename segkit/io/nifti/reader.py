"""Reader of NIfTI-1 and NIfTI-2 in one file (.nii, .nii.gz).

nibabel reads the header, which is checked before any voxel is read. Voxels are read plane by plane,
or memory-mapped where the file is large. Never more is unpacked than the header promises.
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
from segkit.io.memory import MAPPED_FROM, map_numbers
from segkit.io.nifti.header import (
    CheckedHeader,
    axes,
    read_checked_header,
    rgb,
    stored_type,
    unit_in_mm,
)
from segkit.io.nifti.sform_qform import header_grids, itk_grid
from segkit.io.nifti.writer import save
from segkit.io.scaled import ScaledArray, scaled_type
from segkit.volume import Grid, Volume

__all__ = ["NiftiSource", "header_grids", "itk_grid", "open_scan", "save", "volume_of"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NiftiSource:
    """NIfTI file whose header was checked; voxels (C, X, Y, Z) are read on request.

    A plain file is read plane by plane, or memory-mapped where it is large. A gzip stream is
    unpacked on the first call and kept. Numbers that need no conversion are not copied out of it;
    `scaled` does not copy those that need scaling either.
    """

    path: Path
    header: CheckedHeader

    @property
    def grid(self) -> Grid:
        """Voxel grid of the scan."""
        return self.header.grid

    @property
    def channels(self) -> int:
        """Number of channels; a color image has three."""
        return self.header.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels of ``planes``: as stored, or floating-point with scaling."""
        if self.header.scale is not None:
            return scaled_type(self.header.stored, *self.header.scale)
        return self.header.stored.newbyteorder("=")

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Return the voxels (C, X, Y, stop - start) of the planes ``start`` to ``stop`` along Z.

        Raises:
            InputError: the file is truncated or damaged, voxels are NaN or infinite, or there is
                too little memory.
        """
        stop = min(stop, self.grid.shape[2])
        if self.header.scale is not None or self._stored is None:
            voxels = self._copied(start, stop)
        else:
            voxels = self._stored[:, start:stop]
        check_finite(self.path, voxels)
        return voxels.transpose(0, 3, 2, 1)

    def scaled(self) -> NDArray[Any] | None:
        """Return all voxels (C, X, Y, Z) as `ScaledArray`; None if the header has no scaling.

        Raises:
            InputError: as `planes`.
        """
        if self.header.scale is None:
            return None
        stored = self._stored
        if stored is None:
            check_memory(self.path, self.header.end)
            x, y, z = self.grid.shape
            stored = self._numbers(0, self.channels * x * y * z).reshape(self.channels, z, y, x)
        voxels = cast(NDArray[Any], ScaledArray(stored.transpose(0, 3, 2, 1), *self.header.scale))
        check_finite(self.path, voxels)
        return voxels

    @cached_property
    def _stored(self) -> NDArray[Any] | None:
        """All stored numbers (C, Z, Y, X), unpacked in memory or memory-mapped, without a copy.

        None for a small plain file, and where the numbers must be converted first: swapped bytes,
        colors, or numbers that are not aligned in the file.
        """
        header, stored = self.header, self.header.stored
        if header.samples > 1 or not stored.isnative or header.offset % stored.itemsize:
            return None
        count = header.grid.voxels * header.volumes
        if self._unpacked is not None:
            numbers = np.frombuffer(self._unpacked, stored, count, header.offset)
        elif header.end >= MAPPED_FROM:
            numbers = map_numbers(self.path, stored, count, header.offset)
        else:
            return None
        return numbers.reshape(header.volumes, *reversed(header.grid.shape))

    def _copied(self, start: int, stop: int) -> NDArray[Any]:
        """Return a copy (C, Z, Y, X) of some planes along Z."""
        width, height, _ = self.grid.shape
        shape = (stop - start, height, width)
        check_memory(self.path, self.channels * int(np.prod(shape)) * self.dtype.itemsize)
        voxels = np.empty((self.channels, *shape), self.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # overflow is reported as infinite
            for channel in range(self.channels):
                voxels[channel] = self._block(channel, start, stop).reshape(shape)
        return voxels

    def _block(self, channel: int, start: int, stop: int) -> NDArray[Any]:
        """Return the scaled numbers of one channel's planes, flat, in the order of the file."""
        width, height, depth = self.grid.shape
        volume, sample = divmod(channel, self.header.used_samples)
        plane = width * height * self.header.samples
        numbers = self._numbers((volume * depth + start) * plane, (stop - start) * plane)
        if self.header.scale is None:
            return numbers[sample :: self.header.samples]
        slope, intercept = self.header.scale
        return np.asarray(numbers * np.float64(slope) + intercept)

    def _numbers(self, first: int, count: int) -> NDArray[Any]:
        """Return ``count`` numbers of the stored type, starting with number ``first``."""
        start = self.header.offset + first * self.header.stored.itemsize
        if self._unpacked is not None:
            return np.frombuffer(self._unpacked, self.header.stored, count, start)
        numbers = np.fromfile(self.path, self.header.stored, count, offset=start)
        if numbers.size < count:
            raise too_short(self.path, self.header.end, str(start + numbers.nbytes))
        return numbers

    @cached_property
    def _unpacked(self) -> NDArray[np.uint8] | None:
        """Unpacked bytes of a gzip stream up to the last voxel; None for a plain file."""
        if not is_gzip(self.path):
            return None
        check_memory(self.path, self.header.end)
        return unpack(self.path, self.header.end)


def open_scan(path: Path) -> NiftiSource:
    """Open a NIfTI file: read and check its header.

    Raises:
        InputError: as `read_checked_header`; or the header promises more voxels than the file can
            hold or than fit into memory.
    """
    must_exist(path)
    header = read_checked_header(path)
    warn_of_shear(path, header.grid)
    _check_size(path, header.end)
    if header.samples == 4:
        log.warning("%s: the fourth color channel (transparency) is left out", path.name)
    return NiftiSource(path, header)


def _check_size(path: Path, promised: int) -> None:
    size = path.stat().st_size
    if not is_gzip(path):
        if promised > size:
            raise too_short(path, promised, str(size))
    elif promised > size * LARGEST_RATIO:
        raise too_short(path, promised, f"at most {size * LARGEST_RATIO}")
    else:
        check_memory(path, promised)


def volume_of(image: Any, where: str = "nibabel image") -> Volume:
    """Return a nibabel image of any format as a Volume.

    Args:
        image: the image, with the axes (X, Y, Z) or (X, Y, Z, C).
        where: words for it in error messages.

    Raises:
        InputError: voxels that cannot be read or are complex, NaN or infinite; too many axes; an
            affine that cannot be used.
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
    if isinstance(image.header, Nifti1Header):  # also true for the header of NIfTI-2
        affine[:3] *= unit_in_mm(image.header)
    if samples > 1:
        voxels, channels = rgb(voxels), channels * 3
    voxels = np.moveaxis(voxels.reshape(*shape, channels), -1, 0)
    check_finite(where, voxels)
    return Volume(voxels.astype(voxels.dtype.newbyteorder("="), copy=False), affine)
