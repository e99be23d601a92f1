"""NRRD and MetaImage (.nrrd .nhdr .mha .mhd), whose world is LPS: x and y change their sign.

They are read without ITK, whose readers trust what a header says, and written with SimpleITK.

Complex numbers are refused where the file says so. MetaImage has no word for them: SimpleITK writes them as two
channels, and no reader can tell them from two channels of a scan.
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
from segkit.io.itk.voxels import check_promise, read_voxels
from segkit.io.itk.writer import put_voxels
from segkit.io.limits import check_finite
from segkit.volume import Grid, Volume


@dataclass(frozen=True)
class ItkSource:
    """A file whose header was checked; all voxels are read on the first call and kept, or, of a large file, mapped."""

    path: Path
    header: ItkHeader

    @property
    def grid(self) -> Grid:
        return Grid(self.header.shape, self.header.affine)

    @property
    def channels(self) -> int:
        return self.header.channels

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.header.stored.newbyteorder("=")

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Voxels (C, X, Y, stop - start) of the planes ``start`` to ``stop`` along Z."""
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
    """Read and check the header.

    Raises:
        InputError: a malformed header, complex numbers, more than four axes, an unusable affine, or a header that
            promises more than the file holds or the memory can take.
    """
    must_exist(path)
    source = ItkSource(path, _HEADERS[suffix_of(path)](path))
    checked_affine(path, source.header.affine)
    warn_of_shear(path, source.grid)
    check_promise(path, source.header)
    return source


def volume_of(image: Any, where: str = "SimpleITK image") -> Volume:
    """A SimpleITK image as a Volume."""
    _check_real(where, image.GetPixelID())
    image_axes(where, image.GetSize(), image.GetNumberOfComponentsPerPixel())
    affine = _affine(image.GetSpacing(), image.GetDirection(), image.GetOrigin())
    voxels = voxels_of(image)
    check_finite(where, voxels)
    return Volume(voxels, checked_affine(where, affine))


def place_of(path: Path) -> NDArray[np.float64] | None:
    """RAS+ affine in mm by which ITK places a file whose header was checked; None for one that it refuses."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    affine = _affine(reader.GetSpacing(), reader.GetDirection(), reader.GetOrigin())
    return checked_affine(path, affine)


def voxels_of(image: Any) -> NDArray[Any]:
    """Voxels (C, X, Y, Z): components of a pixel and a fourth axis are channels; a flat image has Z = 1."""
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
    """RAS+ affine from ITK's LPS geometry."""
    count = len(spacing)
    return lps_affine(
        np.reshape(direction, (count, count)) * np.asarray(spacing), np.asarray(origin)
    )


def save(
    path: Path,
    volume: Volume,
    *,
    like: Path | None = None,
    names: Mapping[str, int] | None = None,
    channels: Sequence[str] = (),
) -> None:
    """Write atomically, packed; channels become the components of a pixel.

    Where ``like`` is a file of these formats with two axes, so is what is written. ``names`` (label -> value) are
    written into NRRD in the form in which 3D Slicer keeps the names of segments, and ``channels``, the name of each
    channel, as Channel0_Name and so on.
    """
    image = volume.with_array(volume.array[:, :1, :1, :1]).to_sitk()
    flat = like is not None and suffix_of(like) in ITK and _HEADERS[suffix_of(like)](like).flat
    if flat:
        image = image[:, :, 0]
    shape = volume.grid.shape[: image.GetDimension()]
    if names and path.suffix.lower() == ".nrrd":
        _name_segments(image, names, shape)
    for number, name in enumerate(channels if path.suffix.lower() == ".nrrd" else ()):
        image.SetMetaData(f"Channel{number}_Name", name)
    with atomic_path(path) as temporary:
        try:
            sitk.WriteImage(image, str(temporary), useCompression=True)
        except RuntimeError as error:
            raise unwritable(
                path, "that ITK could not write all of it; the disk may be full"
            ) from error
        put_voxels(temporary, storable(volume.array), shape)


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
