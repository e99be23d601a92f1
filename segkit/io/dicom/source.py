"""A DICOM series as a VolumeSource.

Its headers are checked when it is opened; its pixels are read on request.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.dicom.frames import Frame, frames_of
from segkit.io.dicom.pixels.decode import channels_of, check_pixels, stored_pixels
from segkit.io.dicom.series.image_groups import check_one_volume
from segkit.io.dicom.series.lost_files import left_out_text
from segkit.io.dicom.series.selection import ALL, Selection, selected
from segkit.io.dicom.series.slice_stack import Stack, stack_of
from segkit.io.dicom.series.study import Instance, Series, check_complete, fewer_than_counted
from segkit.io.dicom.series.uneven_spacing import nearest_planes, on_even_planes
from segkit.io.limits import check_finite, check_memory
from segkit.volume import Grid

_INTEGER_TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)


@dataclass(frozen=True, eq=False)
class DicomSource:
    """DICOM series whose headers were checked.

    The pixels are not kept in memory: every call of ``planes`` reads all files.
    """

    series: Series
    stack: Stack
    channels: int
    dtype: np.dtype[Any]
    selection: str = ""
    """The selected images of the series, as text; empty if all images are used."""
    notes: tuple[str, ...] = ()
    """Sentences for the user about the series and about files that were left out."""

    @property
    def grid(self) -> Grid:
        """Grid of the voxels, RAS+ in mm, or in pixels for a picture without a pixel spacing."""
        return self.stack.grid

    @property
    def plane_distance(self) -> float:
        """Distance between planes of the grid along their normal, in mm.

        With a tilted gantry, the spacing along the oblique Z axis is larger.
        """
        return self.grid.voxel_volume / math.prod(self.grid.spacing[:2])

    @property
    def files(self) -> list[Path]:
        """Files from which the series is read, without duplicates."""
        return list(dict.fromkeys(instance.file.path for instance in self.series.instances))

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Return the voxels (C, X, Y, stop - start) of the planes ``start`` to ``stop`` along Z.

        Raises:
            InputError: the pixels cannot be decoded, do not fit into memory or are not finite.
        """
        return self._voxels()[..., start:stop]

    def on_slices(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Return labels on the slices of the series, from the nearest plane of the grid.

        Args:
            labels: label map (X, Y, Z) on the grid.

        Returns:
            A label map (X, Y, number of slices).
        """
        if self.stack.is_even:
            return labels
        return labels[..., nearest_planes(self.stack.slice_positions)]

    def _voxels(self) -> NDArray[Any]:
        """Return all voxels (C, X, Y, Z)."""
        self._check_memory()
        x, y, _ = self.grid.shape
        slices = np.empty((len(self.stack.frames), self.channels, y, x), self.dtype)
        padding = {}
        for instance, indices in self._slices_by_file().items():
            pixels = stored_pixels(instance)
            for index in indices:
                frame = self.stack.frames[index]
                plane = pixels[frame.index]
                mask = padding_mask(plane, instance)
                if mask is not None:
                    padding[index] = np.packbits(mask)
                with np.errstate(over="ignore", invalid="ignore"):  # reported as infinite below
                    values = values_of(plane, frame).reshape(y, x, self.channels)
                    slices[index] = values.transpose(2, 0, 1)
        _fill_padding(slices, padding)
        check_finite(self.series.path, slices)
        if not self.stack.is_even:
            slices = on_even_planes(slices, self.stack.slice_positions)
        return slices.transpose(1, 3, 2, 0)

    def _check_memory(self) -> None:
        x, y, planes = self.grid.shape
        if not self.stack.is_even:
            planes += len(self.stack.frames)
        volume = planes * x * y * self.channels * self.dtype.itemsize
        check_memory(self.series.path, volume + _largest_file(self.series))

    def _slices_by_file(self) -> dict[Instance, list[int]]:
        """Return the indices along Z of the slices that each file holds."""
        slices: dict[Instance, list[int]] = defaultdict(list)
        for index, frame in enumerate(self.stack.frames):
            slices[frame.instance].append(index)
        return slices


def open_series(series: Series, selection: Selection = ALL) -> DicomSource:
    """Open a series, or a selection of its images, and check that it is a volume.

    Raises:
        MixedImages: the images are more than one volume.
        LostSlices: files of the series cannot be read.
        InputError: the images are not a volume; the message says why.
        UsageError: no image fits the selection.
    """
    for instance in series.instances:
        _check_image(instance)
    series_frames = [frame for instance in series.instances for frame in frames_of(instance)]
    frames = selected(series_frames, selection, series.path)
    series = dataclasses.replace(
        series, instances=tuple(dict.fromkeys(frame.instance for frame in frames))
    )
    check_complete(series)
    channels = _common_channels(series)
    notes = check_one_volume(
        frames, series_frames, path=series.path, number=series.number, selection=selection
    )
    return DicomSource(
        series,
        stack_of(frames, series.path),
        channels,
        _value_type(frames),
        str(selection),
        (*notes, *_series_notes(series, selection)),
    )


def _check_image(instance: Instance) -> None:
    check_pixels(instance)
    if not (instance.header.Rows and instance.header.get("Columns")):
        raise InputError(
            str(instance.file),
            expected="pixels",
            found="no Rows or Columns",
            remedy="Leave it out.",
        )


def _common_channels(series: Series) -> int:
    channels = {channels_of(instance) for instance in series.instances}
    if len(channels) > 1:
        raise InputError(
            series.path,
            expected="images of one kind",
            found="gray and color images",
            remedy="Put the images of each kind into a separate folder.",
        )
    return channels.pop()


def _series_notes(series: Series, selection: Selection) -> list[str]:
    notes = []
    if not selection.criteria and (note := fewer_than_counted(series)):
        notes.append(note)
    if series.left_out:
        notes.append(left_out_text(series.left_out))
    return notes


def _largest_file(series: Series) -> int:
    """Return the bytes of the largest decoded file, which is in memory together with the volume."""
    return max(
        instance.frames
        * int(instance.header.Rows)
        * int(instance.header.Columns)
        * channels_of(instance)
        * (int(instance.header.get("BitsAllocated") or 8) // 8)
        for instance in series.instances
    )


def stored_range(instance: Instance) -> tuple[int, int]:
    """Return the lowest and the highest number that the stored bits can hold."""
    bits = int(instance.header.get("BitsStored") or instance.header.get("BitsAllocated") or 16)
    if int(instance.header.get("PixelRepresentation") or 0):
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def _value_type(frames: list[Frame]) -> np.dtype[Any]:
    """Return the smallest type that holds the values of all frames.

    It is an integer type if all slopes and intercepts are whole numbers, else float32.
    """
    if any(frame.instance.pixels != "PixelData" for frame in frames):
        return np.dtype(np.float32)
    ends: set[float] = set()
    for frame in frames:
        if not (frame.slope.is_integer() and frame.intercept.is_integer()):
            return np.dtype(np.float32)
        ends |= {end * frame.slope + frame.intercept for end in stored_range(frame.instance)}
    for integer in _INTEGER_TYPES:
        if np.iinfo(integer).min <= min(ends) and max(ends) <= np.iinfo(integer).max:
            return np.dtype(integer)
    return np.dtype(np.float32)


def values_of(plane: NDArray[Any], frame: Frame) -> NDArray[np.float64]:
    """Return the stored numbers of a plane, rescaled with the slope and intercept of its frame.

    Stored numbers of MONOCHROME1, in which low numbers are bright, are inverted first.
    """
    values = plane.astype(np.float64)
    if frame.instance.header.get("PhotometricInterpretation") == "MONOCHROME1":
        values = sum(stored_range(frame.instance)) - values
    return np.asarray(values * frame.slope + frame.intercept, dtype=np.float64)


def padding_mask(plane: NDArray[Any], instance: Instance) -> NDArray[np.bool_] | None:
    """Return a mask of the pixels outside the scanned area, or None if there are none.

    PixelPaddingValue marks them, or the range from it to PixelPaddingRangeLimit.
    """
    header = instance.header
    value = header.get("PixelPaddingValue")
    if not isinstance(value, int) or plane.ndim != 2:
        return None
    limit = header.get("PixelPaddingRangeLimit")
    low, high = sorted((value, limit if isinstance(limit, int) else value))
    mask = (plane >= low) & (plane <= high)
    return mask if mask.any() else None


def _fill_padding(slices: NDArray[Any], padding: Mapping[int, NDArray[np.uint8]]) -> None:
    """Replace padding, whose stored value is arbitrary, with the lowest measured value, in place.

    Args:
        slices: values, shape (Z, 1, Y, X).
        padding: packed masks of the padding, by index along Z.
    """
    if not padding:
        return
    lows = []
    for index, (plane,) in enumerate(slices):
        measured = plane
        if index in padding:
            measured = plane[~_unpacked(padding[index], plane.shape)]
        if measured.size:
            lows.append(measured.min())
    if lows:
        lowest = min(lows)
        for index, bits in padding.items():
            slices[index, 0][_unpacked(bits, slices.shape[2:])] = lowest


def _unpacked(bits: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.unpackbits(bits, count=math.prod(shape)).reshape(shape).astype(bool)
