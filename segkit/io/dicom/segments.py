"""The segments of a DICOM-SEG as a label map on a grid that is given: a SEG leaves out planes without segments."""

# mypy: allow-untyped-calls
# (parts of pydicom have no annotations)

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels

from segkit.errors import InputError
from segkit.io.dicom.files import DicomFile
from segkit.io.dicom.frames import Frame, frames_of
from segkit.io.dicom.study import Instance, guarded, read_header
from segkit.io.geometry import LPS_TO_RAS
from segkit.io.limits import check_memory
from segkit.io.segment_names import says_nothing
from segkit.regions import own_values
from segkit.volume import Grid, Volume

_OFF = 0.05
"""How far a frame's corners may lie from voxels, as a share of a voxel's edge: what `Grid.matches` allows."""
_VALUE = re.compile(r", label value (-?[0-9]+)$")
"""How `segmentation` ends the description of a segment that is one value."""


@dataclass(frozen=True, eq=False)
class Segments:
    """A label map, and the name of each of its values."""

    labels: Volume
    names: dict[str, int]


@dataclass(frozen=True)
class _Segment:
    name: str
    value: int
    is_region: bool
    """It may lie over others, as the regions that are given do."""


def read_segments(
    path: Path, grid: Grid, known: Mapping[str, int | Sequence[int]], *, of: str = "the reference"
) -> Segments:
    """Put the segments of a file on the ``grid`` of ``of``; its frames must lie on voxels of it.

    The value of a segment is that of its name in ``known``, or else what segkit wrote into its description, or else its
    number. Regions in ``known`` (several values) are written in their order, one over the other, with a value that is
    their own (`regions.own_values`).

    Raises:
        InputError: no DICOM-SEG, a FRACTIONAL one, frames beside the grid, segments that overlap, or damage.
    """
    file = DicomFile(path)
    with guarded(path):
        header = read_header(file)
        _check_kind(path, header)
        segments = _segments(path, header, known)
        check_memory(path, path.stat().st_size + 4 * grid.voxels)
        labels = np.zeros(grid.shape, np.int32)
        for frame, segment, pixels in _frames(file, header, list(segments)):
            of_frame = segments if segment is None else {1: segments[segment]}
            _write(_view(labels, frame, grid, path, of), pixels, of_frame, path)
    return Segments(
        Volume(labels[None], grid.affine, grid.unit), {segment.name: segment.value for segment in segments.values()}
    )


def _check_kind(path: Path, header: Dataset) -> None:
    kind = header.get("SegmentationType") if header.get("Modality") == "SEG" else None
    if kind not in ("BINARY", "LABELMAP"):
        found = header.get("Modality") or "another file"
        raise InputError(
            path,
            expected="a DICOM-SEG of the kind BINARY or LABELMAP",
            found=f"the kind {kind}" if kind else f"DICOM of the modality {found}",
            remedy="Give a label map: convert it to DICOM-SEG or .nii.gz first.",
        )


def _segments(path: Path, header: Dataset, known: Mapping[str, int | Sequence[int]]) -> dict[int, _Segment]:
    """By number, in the order in which they are written; the background of a LABELMAP is none of them."""
    regions = {name: tuple(values) for name, values in known.items() if not isinstance(values, int)}
    written = {**{name: value for name, value in known.items() if isinstance(value, int)}, **own_values(regions)}
    found = {}
    for item in header.SegmentSequence:
        number, name = int(item.SegmentNumber), str(item.get("SegmentLabel") or f"segment {item.SegmentNumber}")
        described = _VALUE.search(str(item.get("SegmentDescription") or ""))
        own = int(described[1]) if described and header.get("Manufacturer") == "segkit" else number
        if number:
            found[number] = _Segment(name, written.get(name, own), name in regions)
    found = _apart_from(found, {name: value for name, value in written.items() if not says_nothing(name)})
    by_value = {segment.value: segment for segment in found.values()}
    for segment in found.values():
        if by_value[segment.value] is not segment:
            raise InputError(
                path,
                expected="a value of its own for each segment",
                found=f"{segment.value} for {segment.name} and for {by_value[segment.value].name}",
                remedy="Say with --labels NAME=VALUE,... which value each name has.",
            )
    order = list(regions)
    return dict(sorted(found.items(), key=lambda each: order.index(each[1].name) if each[1].is_region else -1))


def _apart_from(segments: Mapping[int, _Segment], known: Mapping[str, int]) -> dict[int, _Segment]:
    """Give segments of other names a free value where their own number is the value of a known name."""
    free = max([*known.values(), *(segment.value for segment in segments.values())], default=0)
    apart = dict(segments)
    for number, segment in segments.items():
        if segment.name not in known and segment.value in known.values() and not says_nothing(segment.name):
            free += 1
            apart[number] = replace(segment, value=free)
    return apart


def _frames(file: DicomFile, header: Dataset, order: Sequence[int]) -> Iterator[tuple[Frame, int | None, NDArray[Any]]]:
    """Each frame, the number of its segment (None where its pixels are numbers) and its pixels (rows, columns)."""
    frames = frames_of(Instance(file, header, "PixelData"))
    numbers = [_segment_number(header, index) for index in range(len(frames))]
    indices = sorted(range(len(frames)), key=lambda index: order.index(numbers[index]) if numbers[index] else 0)
    with file.open() as stream:
        dataset = pydicom.dcmread(stream, force=True)
        for index, pixels in zip(indices, _pixels(dataset, indices), strict=True):
            yield frames[index], numbers[index], pixels


def _pixels(dataset: Dataset, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """The frames (rows, columns) with these indices.

    Frames of one bit a pixel follow each other without a gap, and those of a number of pixels that 8 does not divide
    begin in the middle of a byte, where pydicom 3.0 gives up.
    """
    if int(dataset.BitsAllocated) != 1 or dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        yield from iter_pixels(dataset, indices=indices)
        return
    size, packed = int(dataset.Rows) * int(dataset.Columns), np.frombuffer(dataset.PixelData, np.uint8)
    for index in indices:
        first = index * size
        bits = np.unpackbits(packed[first // 8 : (first + size + 7) // 8], bitorder="little")
        yield bits[first % 8 :][:size].reshape(int(dataset.Rows), int(dataset.Columns))


def _segment_number(header: Dataset, index: int) -> int | None:
    """Of a frame, from its own group or the shared one."""
    if header.SegmentationType == "LABELMAP":
        return None
    groups = header.PerFrameFunctionalGroupsSequence[index], *header.get("SharedFunctionalGroupsSequence", ())
    group = next(group for group in groups if "SegmentIdentificationSequence" in group)
    return int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)


def _write(view: NDArray[Any], pixels: NDArray[Any], segments: Mapping[int, _Segment], path: Path) -> None:
    """Write the value of each segment where a frame has its number; only a region may lie over another segment."""
    for number, segment in segments.items():
        mask = pixels == number
        if not segment.is_region and view[mask].any():
            raise InputError(
                path,
                expected="segments that do not overlap, which one label map can hold",
                found=f"{segment.name!r} over another one",
                remedy="Compare them one by one as .nii.gz, or give the dataset with its regions as the reference.",
            )
        view[mask] = segment.value


@dataclass(frozen=True, eq=False)
class _Plane:
    """Voxels of a grid, as indices: the first pixel of a frame, and the steps along its rows and along its columns."""

    first: NDArray[Any]
    along_row: NDArray[Any]
    along_column: NDArray[Any]

    def corners(self, rows: int, columns: int) -> NDArray[Any]:
        """(4, 3), of the pixels at the corners of a frame of this size."""
        ends = [(x, y) for x in (0, columns - 1) for y in (0, rows - 1)]
        return np.array([self.first + x * self.along_row + y * self.along_column for x, y in ends])

    def nearest(self) -> _Plane:
        """In whole voxels."""
        first, row, column = (np.rint(each).astype(int) for each in (self.first, self.along_row, self.along_column))
        return _Plane(first, row, column)


def _view(labels: NDArray[Any], frame: Frame, grid: Grid, path: Path, of: str) -> NDArray[Any]:
    """The voxels (rows, columns) of ``labels`` (X, Y, Z) that a frame is about; writing to it writes there."""
    if frame.position is None or frame.orientation is None or frame.spacing is None or grid.unit != "mm":
        raise _beside(path, frame, of, "no place in mm")
    to_grid = np.linalg.inv(LPS_TO_RAS @ grid.affine)
    steps = to_grid[:3, :3] @ frame.orientation.T * frame.spacing[::-1]
    exact = _Plane(to_grid[:3, :3] @ frame.position + to_grid[:3, 3], steps[:, 0], steps[:, 1])
    near = exact.nearest()
    if sorted(np.abs(near.along_row) + 2 * np.abs(near.along_column)) != [0, 1, 2]:
        edges = " x ".join(f"{edge:.4g}" for edge in frame.spacing)
        raise _beside(path, frame, of, f"pixels of {edges} mm or rows in another direction")
    size = int(frame.instance.header.Rows), int(frame.instance.header.Columns)
    corners = near.corners(*size)
    if corners.min() < 0 or (corners >= grid.shape).any():
        raise _beside(path, frame, of, "a place that reaches out of it")
    off = np.linalg.norm((exact.corners(*size) - corners) @ grid.affine[:3, :3].T, axis=1).max()
    if off > _OFF * min(grid.spacing):
        raise _beside(path, frame, of, f"corners up to {off:.3g} mm beside them")
    return _cut(labels, near, size)


def _cut(labels: NDArray[Any], plane: _Plane, size: tuple[int, int]) -> NDArray[Any]:
    """The plane (rows, columns) of this size, whose steps are one voxel long and along one axis each."""
    index: list[Any] = plane.first.tolist()
    down, across = (int(np.flatnonzero(step)[0]) for step in (plane.along_column, plane.along_row))
    for axis, step, count in ((down, plane.along_column, size[0]), (across, plane.along_row, size[1])):
        start, way = index[axis], int(step[axis])
        stop = start + way * count
        index[axis] = slice(start, None if stop < 0 else stop, way)
    found: NDArray[Any] = labels[tuple(index)]
    return found.T if across < down else found


def _beside(path: Path, frame: Frame, of: str, found: str) -> InputError:
    return InputError(
        path,
        expected=f"frames that lie on the voxels of {of}",
        found=f"{found}, for {frame.name}",
        remedy="Compare it with a label map of the images that it was made for.",
    )
