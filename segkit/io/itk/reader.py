"""Reader and writer of NRRD and MetaImage (.nrrd .nhdr .mha .mhd), whose world is LPS+.

They are read without ITK, whose readers trust what a header says, and written with SimpleITK.
Complex numbers are refused where the file names them. MetaImage does not: SimpleITK writes complex
numbers as two channels, and no reader can tell them from two channels of a scan.
"""

# mypy: allow-untyped-calls
# (SimpleITK has no annotations)

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813  (the name its own manual uses)
from numpy.typing import NDArray

from segkit.files.atomic import atomic_path, unwritable
from segkit.files.names import ITK, must_exist, suffix_of
from segkit.io.formats import storable
from segkit.io.geometry import checked_affine, warn_of_shear
from segkit.io.itk.header import ItkHeader, complex_numbers, image_axes, lps_affine
from segkit.io.itk.metaimage_header import read_metaimage_header
from segkit.io.itk.nrrd_header import read_nrrd_header
from segkit.io.itk.voxels import check_size, read_voxels
from segkit.io.itk.writer import replace_voxels
from segkit.io.limits import check_finite
from segkit.volume import Grid, Volume


@dataclass(frozen=True)
class ItkSource:
    """NRRD or MetaImage file whose header was checked.

    All voxels are read on the first call and kept; those of a large plain file are memory-mapped.
    """

    path: Path
    header: ItkHeader

    @property
    def grid(self) -> Grid:
        """Voxel grid of the scan."""
        return Grid(self.header.shape, self.header.affine)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.header.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the voxels, in the byte order of this machine."""
        return self.header.stored.newbyteorder("=")

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Return the voxels (C, X, Y, stop - start) of the planes ``start`` to ``stop`` along Z.

        Raises:
            InputError: the file is truncated or damaged, voxels are NaN or infinite, or there is
                too little memory.
        """
        return self._voxels[..., start:stop]

    @cached_property
    def _voxels(self) -> NDArray[Any]:
        voxels = read_voxels(self.path, self.header)
        check_finite(self.path, voxels)
        return voxels


_HEADERS = {
    ".nrrd": read_nrrd_header,
    ".nhdr": read_nrrd_header,
    ".mha": read_metaimage_header,
    ".mhd": read_metaimage_header,
}


def open_scan(path: Path) -> ItkSource:
    """Open an NRRD or MetaImage file: read and check its header.

    Raises:
        InputError: the header is malformed or promises more voxels than the file holds or than fit
            into memory, the voxels are complex, there are more than four axes, or the affine cannot
            be used.
    """
    must_exist(path)
    source = ItkSource(path, _HEADERS[suffix_of(path)](path))
    checked_affine(path, source.header.affine)
    warn_of_shear(path, source.grid)
    check_size(path, source.header)
    return source


def volume_of(image: Any, where: str = "SimpleITK image") -> Volume:
    """Return a SimpleITK image as a Volume.

    Args:
        image: the image, of 2 to 4 axes.
        where: words for it in error messages.

    Raises:
        InputError: the voxels are complex, NaN or infinite, there are other axes than those of an
            image, or the affine cannot be used.
    """
    _check_real(where, image.GetPixelID())
    image_axes(where, image.GetSize(), image.GetNumberOfComponentsPerPixel())
    affine = _affine(image.GetSpacing(), image.GetDirection(), image.GetOrigin())
    voxels = voxels_of(image)
    check_finite(where, voxels)
    return Volume(voxels, checked_affine(where, affine))


def itk_affine(path: Path) -> NDArray[np.float64] | None:
    """Return the affine (4, 4) to mm in RAS+ with which ITK reads a file; None if ITK refuses it.

    Args:
        path: a file whose header was checked, in any format of ITK.

    Raises:
        InputError: the affine cannot be used.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    affine = _affine(reader.GetSpacing(), reader.GetDirection(), reader.GetOrigin())
    return checked_affine(path, affine)


def voxels_of(image: Any) -> NDArray[Any]:
    """Return the voxels (C, X, Y, Z) of a SimpleITK image.

    The components of a pixel, or a fourth axis, are the channels. An image of two axes has Z = 1.
    """
    array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() > 1:
        array = np.moveaxis(array, -1, 0)
    elif image.GetDimension() < 4:
        array = array[None]
    if image.GetDimension() == 2:
        array = array[:, None]
    return np.asarray(array.transpose(0, 3, 2, 1))


def _check_real(where: str | Path, pixel: int) -> None:
    name = sitk.GetPixelIDValueAsString(pixel)
    if re.search(r"(8|16|32|64)-bit (unsigned|signed|float)", name) is None or "complex" in name:
        raise complex_numbers(where, name)


def _affine(
    spacing: tuple[float, ...], direction: tuple[float, ...], origin: tuple[float, ...]
) -> NDArray[np.float64]:
    """Return the RAS+ affine of ITK's spacing, direction cosines and origin in LPS+."""
    axes = len(spacing)
    cosines = np.reshape(direction, (axes, axes))
    return lps_affine(cosines * np.asarray(spacing), np.asarray(origin))


def save(
    path: Path,
    volume: Volume,
    *,
    like: Path | None = None,
    names: Mapping[str, int] | None = None,
    channels: Sequence[str] = (),
) -> None:
    """Write a volume atomically as compressed NRRD or MetaImage.

    Channels become the components of a pixel.

    Args:
        path: the file, ``.nrrd`` or ``.mha``.
        volume: the voxels (C, X, Y, Z).
        like: the scan. If it is a file of these formats with two axes, the written image has two
            axes.
        names: label to value, written into NRRD as 3D Slicer keeps the names of segments.
        channels: names of the channels, written into NRRD as ``Channel0_Name`` and so on.

    Raises:
        InputError: the file cannot be written, or the header of ``like`` is malformed.
    """
    # ITK writes the header for a single voxel, which the voxels then replace, because it would
    # copy all of them.
    image = volume.with_array(volume.array[:, :1, :1, :1]).to_sitk()
    flat = like is not None and suffix_of(like) in ITK and _HEADERS[suffix_of(like)](like).flat
    if flat:
        image = image[:, :, 0]
    shape = volume.grid.shape[: image.GetDimension()]
    if names and path.suffix.lower() == ".nrrd":
        _name_segments(image, names, shape)
    if path.suffix.lower() == ".nrrd":
        for number, name in enumerate(channels):
            image.SetMetaData(f"Channel{number}_Name", name)
    with atomic_path(path) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), useCompression=True)
        except RuntimeError as error:
            reason = "that ITK could not write all of it; the disk may be full"
            raise unwritable(path, reason) from error
        replace_voxels(temporary, storable(volume.array), shape)


def _name_segments(image: Any, names: Mapping[str, int], shape: Sequence[int]) -> None:
    extent = " ".join(f"0 {size - 1}" for size in shape)
    for number, (name, value) in enumerate(names.items()):
        keys = {
            "ID": f"Segment_{value}",
            "Name": name,
            "LabelValue": str(value),
            "Layer": "0",
            "Extent": extent,
        }
        for key, content in keys.items():
            image.SetMetaData(f"Segment{number}_{key}", content)
