"""A DICOM series as a scan: its headers are read and checked now, its pixels when asked for."""

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
from segkit.io.dicom.series.image_groups import ALL, Selection, check_alike, selected
from segkit.io.dicom.series.lost_files import left_out_text
from segkit.io.dicom.series.slice_stack import Stack, stack_of
from segkit.io.dicom.series.study import Instance, Series, check_complete, fewer_than_counted
from segkit.io.dicom.series.uneven_spacing import nearest_planes, on_even_planes
from segkit.io.limits import check_finite, check_memory
from segkit.volume import Grid

_TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32)


@dataclass(frozen=True, eq=False)
class DicomSource:
    """A series whose headers were checked. Its pixels are not kept: every call of ``planes`` reads all files."""

    series: Series
    stack: Stack
    channels: int
    dtype: np.dtype[Any]
    selection: str = ""
    """What was chosen of the series, where that is not all of it."""
    notes: tuple[str, ...] = ()
    """Sentences on what a user should know of the series and of files beside it."""

    @property
    def grid(self) -> Grid:
        return self.stack.grid

    @property
    def plane_distance(self) -> float:
        """Between planes of the grid along their normal, in mm; a tilted gantry's steps are longer."""
        return self.grid.voxel_volume / math.prod(self.grid.spacing[:2])

    @property
    def files(self) -> list[Path]:
        """The files that the series is read from, each once."""
        return list(dict.fromkeys(instance.file.path for instance in self.series.instances))

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Voxels (C, X, Y, stop - start) of the planes ``start`` to ``stop`` along Z."""
        return self._voxels()[..., start:stop]

    def on_slices(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Labels (X, Y, Z) of the grid on the planes of the series' own slices: of the plane nearest to each."""
        return (
            labels
            if self.stack.is_even
            else labels[..., nearest_planes(self.stack.slice_positions)]
        )

    def _voxels(self) -> NDArray[Any]:
        where, (x, y, z) = self.series.path, self.grid.shape
        planes = z if self.stack.is_even else z + len(self.stack.frames)
        check_memory(
            where, planes * x * y * self.channels * self.dtype.itemsize + _largest_file(self.series)
        )
        found = np.empty((len(self.stack.frames), self.channels, y, x), self.dtype)
        padded = {}
        for instance, places in self._places().items():
            pixels = stored_pixels(instance)
            for place in places:
                frame = self.stack.frames[place]
                plane = pixels[frame.index]
                padding = padding_mask(plane, instance)
                if padding is not None:
                    padded[place] = np.packbits(padding)
                found[place] = (
                    values_of(plane, frame).reshape(y, x, self.channels).transpose(2, 0, 1)
                )
        _fill_padding(found, padded)
        if not self.stack.is_even:
            found = on_even_planes(found, self.stack.slice_positions)
        voxels = found.transpose(1, 3, 2, 0)
        check_finite(where, voxels)
        return voxels

    def _places(self) -> dict[Instance, list[int]]:
        """The slices, counted along Z, that each file holds."""
        places: dict[Instance, list[int]] = defaultdict(list)
        for place, frame in enumerate(self.stack.frames):
            places[frame.instance].append(place)
        return places


def open_series(series: Series, selection: Selection = ALL) -> DicomSource:
    """Check that a series, or the part of it that is selected, is a volume.

    Raises:
        MixedImages: it is more than one.
        LostSlices: files of it cannot be read.
        InputError: it is none, with what stands in the way.
        UsageError: a selection that no image fits.
    """
    for instance in series.instances:
        check_pixels(instance)
        if not (instance.header.Rows and instance.header.get("Columns")):
            raise InputError(
                str(instance.file),
                expected="pixels",
                found="no Rows or Columns",
                remedy="Leave it out.",
            )
    frames = [frame for instance in series.instances for frame in frames_of(instance)]
    whole, frames = frames, selected(frames, selection, series.path)
    series = dataclasses.replace(
        series, instances=tuple(dict.fromkeys(frame.instance for frame in frames))
    )
    check_complete(series)
    samples = {channels_of(instance) for instance in series.instances}
    if len(samples) > 1:
        raise InputError(
            series.path,
            expected="images of one kind",
            found="grey and coloured ones",
            remedy="Take them apart.",
        )
    notes = [*check_alike(frames, whole, series.path, series.number, selection)]
    if not selection.criteria and (note := fewer_than_counted(series)):
        notes.append(note)
    if series.left_out:
        notes.append(left_out_text(series.left_out))
    stack, dtype = stack_of(frames, series.path), _value_type(frames)
    return DicomSource(series, stack, samples.pop(), dtype, str(selection), tuple(notes))


def _largest_file(series: Series) -> int:
    """Bytes of the largest image, decoded; that much is held beside the volume."""
    return max(
        instance.frames
        * int(instance.header.Rows)
        * int(instance.header.Columns)
        * channels_of(instance)
        * (int(instance.header.get("BitsAllocated") or 8) // 8)
        for instance in series.instances
    )


def stored_range(instance: Instance) -> tuple[int, int]:
    """The lowest and the highest number that the stored bits can say."""
    bits = int(instance.header.get("BitsStored") or instance.header.get("BitsAllocated") or 16)
    if int(instance.header.get("PixelRepresentation") or 0):
        return -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return 0, (1 << bits) - 1


def _value_type(frames: list[Frame]) -> np.dtype[Any]:
    """The smallest type for all values: a whole one where slopes and intercepts are whole, else float32."""
    if any(frame.instance.pixels != "PixelData" for frame in frames):
        return np.dtype(np.float32)
    ends: set[float] = set()
    for frame in frames:
        if not (frame.slope.is_integer() and frame.intercept.is_integer()):
            return np.dtype(np.float32)
        ends |= {end * frame.slope + frame.intercept for end in stored_range(frame.instance)}
    fitting = (
        each
        for each in _TYPES
        if np.iinfo(each).min <= min(ends) and max(ends) <= np.iinfo(each).max
    )
    return np.dtype(next(fitting, np.float32))


def values_of(plane: NDArray[Any], frame: Frame) -> NDArray[np.float64]:
    """Stored numbers to values: MONOCHROME1 (bright is low) is turned around, then slope and intercept."""
    values = plane.astype(np.float64)
    if frame.instance.header.get("PhotometricInterpretation") == "MONOCHROME1":
        values = sum(stored_range(frame.instance)) - values
    return np.asarray(values * frame.slope + frame.intercept, dtype=np.float64)


def padding_mask(plane: NDArray[Any], instance: Instance) -> NDArray[np.bool_] | None:
    """Pixels that PixelPaddingValue, to PixelPaddingRangeLimit, marks as outside of what was scanned."""
    header = instance.header
    value = header.get("PixelPaddingValue")
    if not isinstance(value, int) or plane.ndim != 2:
        return None
    limit = header.get("PixelPaddingRangeLimit")
    ends = sorted((value, limit if isinstance(limit, int) else value))
    mask = (plane >= ends[0]) & (plane <= ends[1])
    return mask if mask.any() else None


def _fill_padding(found: NDArray[Any], padded: Mapping[int, NDArray[np.uint8]]) -> None:
    """Give padding, whose number means nothing, the lowest value that was measured; ``found`` is (Z, 1, Y, X)."""
    if not padded:
        return
    lows = []
    for place, (plane,) in enumerate(found):
        measured = plane[~_unpacked(padded[place], plane.shape)] if place in padded else plane
        if measured.size:
            lows.append(measured.min())
    for place, bits in padded.items() if lows else ():
        found[place, 0][_unpacked(bits, found.shape[2:])] = min(lows)


def _unpacked(bits: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.unpackbits(bits, count=math.prod(shape)).reshape(shape).astype(bool)
