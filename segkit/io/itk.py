"""NRRD and MetaImage (.nrrd .nhdr .mha .mhd) by SimpleITK, whose world is LPS: x and y change their sign.

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

from segkit.errors import InputError
from segkit.file_names import DETACHED, ITK, must_exist, suffix_of
from segkit.files import atomic_path, unwritable
from segkit.io.formats import storable
from segkit.io.geometry import LPS_TO_RAS, checked_affine
from segkit.io.itk_raw import raw_voxels
from segkit.io.itk_writer import put_voxels
from segkit.io.limits import check_finite, check_memory
from segkit.volume import Grid, Volume


@dataclass(frozen=True)
class ItkSource:
    """A file whose header was checked; all voxels are read on the first call and kept, or, of a large file, mapped.

    ITK reads small files and rare kinds, for which it needs the voxels twice.
    """

    path: Path
    grid: Grid
    channels: int
    dtype: np.dtype[Any]

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Voxels (C, X, Y, stop - start) of the planes ``start`` to ``stop`` along Z."""
        return self._voxels[..., start:stop]

    @cached_property
    def _voxels(self) -> NDArray[Any]:
        voxels = raw_voxels(self.path, self.grid, self.dtype) if self.channels == 1 else None
        if voxels is None:
            check_memory(self.path, self.grid.voxels * self.channels * self.dtype.itemsize)
            voxels = voxels_of(_guarded(self.path, _reader(self.path).Execute))
        check_finite(self.path, voxels)
        return voxels


_IMAGE_IO = {".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO", ".mha": "MetaImageIO", ".mhd": "MetaImageIO"}


def open_scan(path: Path) -> ItkSource:
    """Read and check the header.

    Raises:
        InputError: a file that ITK cannot read, complex numbers, more than four axes, or an unusable affine.
    """
    must_exist(path)
    reader = _read_header(path)
    dtype = _dtype(path, reader.GetPixelID())
    size = reader.GetSize()
    shape, channels = _axes(path, size, reader.GetNumberOfComponents())
    affine = _affine(reader.GetSpacing(), reader.GetDirection(), reader.GetOrigin())
    return ItkSource(path, Grid(shape, checked_affine(path, affine)), channels, dtype)


def volume_of(image: Any, where: str = "SimpleITK image") -> Volume:
    """A SimpleITK image as a Volume."""
    _dtype(where, image.GetPixelID())
    _axes(where, image.GetSize(), image.GetNumberOfComponentsPerPixel())
    affine = _affine(image.GetSpacing(), image.GetDirection(), image.GetOrigin())
    voxels = voxels_of(image)
    check_finite(where, voxels)
    return Volume(voxels, checked_affine(where, affine))


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


def _reader(path: Path) -> Any:
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what matters is raised; the rest would litter the terminal
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    if path.suffix not in _IMAGE_IO:  # ITK does not know suffixes in capitals
        reader.SetImageIO(_IMAGE_IO[suffix_of(path)])
    return reader


def _read_header(path: Path) -> Any:
    reader = _reader(path)
    _guarded(path, reader.ReadImageInformation)
    return reader


def _guarded(path: Path, action: Any) -> Any:
    try:
        return action()
    except RuntimeError as error:
        remedy = "The file is incomplete, damaged or of a rare kind: copy it again or convert it to .nii.gz."
        if suffix_of(path) in DETACHED:
            remedy += " Its voxels are in another file, which must be copied with it."
        raise InputError(
            path, expected="an image that ITK can read", found=_in_words(str(error)), remedy=remedy
        ) from error


_WORDS = {
    "Unable to determine ImageIO reader": "no header of this format",
    "File cannot be read": "damaged voxels, or fewer than its header promises",
    "bytes but received": "damaged voxels, or fewer than its header promises",
    "fread got only": "fewer voxels than its header promises",
    "bzip2 encoding not available": "voxels packed by bzip2, which ITK cannot unpack",
    "couldn't skip bytes": "a 'byte skip' that leads out of the file",
    "bad_alloc": "more voxels than the memory holds",
    "number of domain axes": "a fourth axis that is not said to be one of channels (kinds: list)",
}


def _in_words(text: str) -> str:
    """The line that says what is wrong: ITK puts addresses in front of it, and the causes of NRRD come last."""
    for sign, words in _WORDS.items():
        if sign in text:
            return words
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1] if lines[-1].startswith("[nrrd]") else lines[min(1, len(lines) - 1)]
    return re.sub(r"^(\[nrrd\] \w+:|(sitk::|itk::|ITK )ERROR:|\w+\(0x[0-9a-f]+\):)\s*", "", line).rstrip(".")


def _dtype(where: str | Path, pixel: int) -> np.dtype[Any]:
    name = sitk.GetPixelIDValueAsString(pixel)
    numbers = re.search(r"(8|16|32|64)-bit (unsigned|signed|float)", name)
    if numbers is None or "complex" in name:
        raise InputError(
            where,
            expected="one real number per voxel and channel",
            found=name,
            remedy="Save the magnitude (or real and imaginary part as two channels) instead.",
        )
    kind = {"unsigned": "u", "signed": "i", "float": "f"}[numbers[2]]
    return np.dtype(f"{kind}{int(numbers[1]) // 8}")


def _axes(where: str | Path, size: tuple[int, ...], components: int) -> tuple[tuple[int, int, int], int]:
    if len(size) not in (2, 3, 4) or (len(size) == 4 and components > 1) or min(size) < 1:
        raise InputError(
            where,
            expected="2 or 3 voxel axes and at most one axis of channels",
            found=f"the shape {' x '.join(map(str, size))} with {components} channels",
            remedy="Save it as one image of 2 or 3 axes, with at most one further axis for channels.",
        )
    x, y, z = (*size, 1)[:3]
    return (int(x), int(y), int(z)), int(size[3]) if len(size) == 4 else int(components)


def _affine(spacing: tuple[float, ...], direction: tuple[float, ...], origin: tuple[float, ...]) -> NDArray[np.float64]:
    """RAS+ affine from ITK's LPS geometry; a missing third axis is 1 mm long and points to the head."""
    count = len(spacing)
    space = min(count, 3)
    affine = np.eye(4)
    turned = np.reshape(direction, (count, count)) * np.asarray(spacing)
    affine[:space, :space] = turned[:space, :space]
    affine[:space, 3] = origin[:space]
    return LPS_TO_RAS @ affine


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
    image = image_of(volume.with_array(volume.array[:, :1, :1, :1]))
    flat = like is not None and suffix_of(like) in ITK and _read_header(like).GetDimension() == 2
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
            raise unwritable(path, "that ITK could not write all of it; the disk may be full") from error
        put_voxels(temporary, storable(volume.array), shape)


def image_of(volume: Volume) -> Any:
    """The volume as a SimpleITK image (always three axes)."""
    array = storable(np.asarray(volume.array)).transpose(0, 3, 2, 1)
    array = array[0] if volume.channels == 1 else np.moveaxis(array, 0, -1)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array), isVector=volume.channels > 1)
    affine = LPS_TO_RAS @ volume.affine
    image.SetSpacing(volume.spacing)
    image.SetDirection((affine[:3, :3] / np.array(volume.spacing)).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def _name_segments(image: Any, names: Mapping[str, int], shape: Sequence[int]) -> None:
    extent = " ".join(f"0 {size - 1}" for size in shape)
    for number, (name, value) in enumerate(names.items()):
        keys = {"ID": f"Segment_{value}", "Name": name, "LabelValue": str(value), "Layer": "0", "Extent": extent}
        for key, content in keys.items():
            image.SetMetaData(f"Segment{number}_{key}", content)
