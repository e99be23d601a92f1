"""Read the segments of a DICOM-SEG as a label map on a given grid.

The grid must be given, because a DICOM-SEG may omit planes without segments.
"""

# mypy: allow-untyped-calls
# (parts of pydicom have no annotations)

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels

from segkit.errors import InputError
from segkit.files.names import suffix_of
from segkit.io.dicom.files.detection import dicom_files
from segkit.io.dicom.files.dicom_file import DicomFile
from segkit.io.dicom.files.zips import ZIP
from segkit.io.dicom.frames import Frame, frames_of
from segkit.io.dicom.headers import guarded, opened, read_header
from segkit.io.dicom.results.frame_voxels import view_of_frame
from segkit.io.dicom.series.study import Instance
from segkit.io.dicom.series.uneven_spacing import EQUAL, nearest_slices
from segkit.io.limits import check_memory
from segkit.io.segment_names import is_placeholder
from segkit.labels.scheme import own_values
from segkit.volume import Grid, Volume

KnownValues = Mapping[str, int | Sequence[int]]
"""Value of each known label, or list of values of each known region, by name."""
_DESCRIBED_VALUE = re.compile(r", label value (-?[0-9]+)$")
"""End of the description that `segmentation_writer` gives to a segment of one value."""


@dataclass(frozen=True, eq=False)
class Segments:
    """Label map, and the value of each segment name."""

    labels: Volume
    names: dict[str, int]


@dataclass(frozen=True)
class _Segment:
    name: str
    value: int
    is_region: bool
    """True for a known region, which may overlap others."""


def read_segments(
    path: Path,
    grid: Grid,
    known: KnownValues,
    *,
    grid_name: str = "the reference",
    slices: NDArray[np.float64] | None = None,
) -> Segments:
    """Read the segments of a DICOM-SEG as a label map on a grid.

    The value of a segment is that of its name in ``known``, else the value that segkit wrote into
    its description, else its segment number. Regions are written in order, later ones over earlier
    ones, each with its own value (`segkit.labels.scheme.own_values`).

    Args:
        path: the file, or a folder or zip that holds one DICOM-SEG.
        grid: grid of the label map.
        known: values of known labels and regions.
        grid_name: name of the image to which the grid belongs, for messages.
        slices: positions of the scan's slices in planes of the grid, if the scan has more than one
            slice thickness (`Stack.slice_positions`). Each plane of the grid then has the labels of
            the nearest slice. Without them, a DICOM-SEG with several slice thicknesses is refused.

    Raises:
        InputError: the file is not a BINARY or LABELMAP DICOM-SEG, its frames do not lie on voxels
            of the grid, segments overlap, or it is damaged.
    """
    file = segmentation_file(path)
    with guarded(path):
        header = read_header(file)
        _check_kind(path, header)
        segments = _segments(path, header, known)
        check_memory(path, file.path.stat().st_size + 4 * grid.voxels)
        planes = grid.shape[2] if slices is None else len(slices)
        labels = np.zeros((*grid.shape[:2], planes), np.int32)
        thicknesses: set[float] = set()
        for frame, number, pixels in _frames(file, header, list(segments)):
            thicknesses.add(frame.slice_thickness or 0)
            view = view_of_frame(labels, frame, grid, path, grid_name=grid_name, slices=slices)
            _write(view, pixels, segments if number is None else {1: segments[number]}, path)
    if slices is not None:
        labels = labels[..., nearest_slices(slices)]
    else:
        _check_one_thickness(path, thicknesses, grid_name)
    return Segments(
        Volume(labels[None], grid.affine, grid.unit),
        {segment.name: segment.value for segment in segments.values()},
    )


def _check_one_thickness(path: Path, thicknesses: set[float], grid_name: str) -> None:
    """Refuse slices of different thicknesses: planes between thick slices would be background."""
    thinnest, thickest = min(thicknesses, default=0), max(thicknesses, default=0)
    if thickest > (1 + EQUAL) * thinnest:
        raise InputError(
            path,
            expected=f"a frame for each plane of {grid_name}",
            found=f"slices of {thinnest:.4g} to {thickest:.4g} mm, between which planes are empty",
            remedy="Compare it with a dataset whose scans are the DICOM images, "
            "or write the label map as .nii.gz.",
        )


def segmentation_file(path: Path) -> DicomFile:
    """Return the one DICOM-SEG of a folder or zip; any other path is returned as a file.

    Raises:
        InputError: the folder or zip holds none, or several.
    """
    if not path.is_dir() and suffix_of(path) != ZIP:
        return DicomFile(path)
    files = [file for file in dicom_files(path) if read_header(file).get("Modality") == "SEG"]
    if len(files) != 1:
        names = ", ".join(file.name for file in files[:3])
        raise InputError(
            path,
            expected="one DICOM-SEG",
            found=f"{len(files)}: {names}" if files else "DICOM, but none",
            remedy="Keep only the right one, or give its file.",
        )
    return files[0]


def segment_values(path: Path) -> list[tuple[str, int]]:
    """Return the name of each segment of a DICOM-SEG, and its value as in `read_segments`.

    Only the header is read.

    Raises:
        InputError: the file is not a BINARY or LABELMAP DICOM-SEG, or is damaged.
    """
    file = segmentation_file(path)
    with guarded(path):
        header = read_header(file)
        _check_kind(path, header)
        return [(segment.name, segment.value) for segment in _segments(path, header, {}).values()]


def _check_kind(path: Path, header: Dataset) -> None:
    kind = header.get("SegmentationType") if header.get("Modality") == "SEG" else None
    if kind not in ("BINARY", "LABELMAP"):
        modality = header.get("Modality") or "another file"
        raise InputError(
            path,
            expected="a DICOM-SEG of the kind BINARY or LABELMAP",
            found=f"the kind {kind}" if kind else f"DICOM of the modality {modality}",
            remedy="Give a label map: convert it to DICOM-SEG or .nii.gz first.",
        )


def _segments(path: Path, header: Dataset, known: KnownValues) -> dict[int, _Segment]:
    """Return the segments by number, in the order in which they are written.

    Regions come last, in the order of ``known``. The background of a LABELMAP is left out.

    Raises:
        InputError: two segments have the same value.
    """
    regions = {name: tuple(values) for name, values in known.items() if not isinstance(values, int)}
    values = {name: value for name, value in known.items() if isinstance(value, int)}
    values |= own_values(regions)
    segments = {}
    for item in header.SegmentSequence:
        number = int(item.SegmentNumber)
        if number:
            name = str(item.get("SegmentLabel") or f"segment {number}")
            value = values.get(name, _value_in_file(header, item))
            segments[number] = _Segment(name, value, name in regions)
    meaningful = {name: value for name, value in values.items() if not is_placeholder(name)}
    segments = _with_free_values(segments, meaningful)
    _check_distinct(path, segments.values())
    rank = {name: index for index, name in enumerate(regions)}
    return dict(sorted(segments.items(), key=lambda item: rank.get(item[1].name, -1)))


def _value_in_file(header: Dataset, item: Dataset) -> int:
    """Return the value that segkit wrote into the description of a segment, else its number."""
    described = _DESCRIBED_VALUE.search(str(item.get("SegmentDescription") or ""))
    if described and header.get("Manufacturer") == "segkit":
        return int(described[1])
    return int(item.SegmentNumber)


def _check_distinct(path: Path, segments: Iterable[_Segment]) -> None:
    by_value: dict[int, _Segment] = {}
    for segment in segments:
        other = by_value.setdefault(segment.value, segment)
        if other is not segment:
            raise InputError(
                path,
                expected="a different value for each segment",
                found=f"{segment.value} for {other.name} and for {segment.name}",
                remedy="Give the value of each name with --labels NAME=VALUE,...",
            )


def _with_free_values(
    segments: Mapping[int, _Segment], known: Mapping[str, int]
) -> dict[int, _Segment]:
    """Give an unknown segment a free value if a known name has its value."""
    largest = max([*known.values(), *(segment.value for segment in segments.values())], default=0)
    changed = dict(segments)
    for number, segment in segments.items():
        is_taken = segment.name not in known and segment.value in known.values()
        if is_taken and not is_placeholder(segment.name):
            largest += 1
            changed[number] = replace(segment, value=largest)
    return changed


def _frames(
    file: DicomFile, header: Dataset, order: Sequence[int]
) -> Iterator[tuple[Frame, int | None, NDArray[Any]]]:
    """Yield each frame, the number of its segment and its pixels (rows, columns).

    The number is None for a LABELMAP, whose pixels are segment numbers. Frames are sorted by the
    ``order`` of segment numbers.
    """
    frames = frames_of(Instance(file, header, "PixelData"))
    numbers = [_segment_number(header, index) for index in range(len(frames))]
    indices = sorted(
        range(len(frames)), key=lambda index: order.index(numbers[index]) if numbers[index] else 0
    )
    with opened(file, header) as stream:
        dataset = pydicom.dcmread(stream, force=True)
        for index, pixels in zip(indices, _pixels(dataset, indices), strict=True):
            yield frames[index], numbers[index], pixels


def _pixels(dataset: Dataset, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Yield the pixels (rows, columns) of the frames with these indices.

    Frames with one bit per pixel are stored without padding between them. If the number of pixels
    is not a multiple of 8, frames begin in the middle of a byte, which pydicom 3.0 cannot read.
    """
    if int(dataset.BitsAllocated) != 1 or dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        yield from iter_pixels(dataset, indices=indices)
        return
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    size, packed = rows * columns, np.frombuffer(dataset.PixelData, np.uint8)
    for index in indices:
        first = index * size
        bits = np.unpackbits(packed[first // 8 : (first + size + 7) // 8], bitorder="little")
        yield bits[first % 8 :][:size].reshape(rows, columns)


def _segment_number(header: Dataset, index: int) -> int | None:
    """Return the segment number of a frame, from its own functional groups or the shared ones."""
    if header.SegmentationType == "LABELMAP":
        return None
    groups = (
        header.PerFrameFunctionalGroupsSequence[index],
        *header.get("SharedFunctionalGroupsSequence", ()),
    )
    group = next(group for group in groups if "SegmentIdentificationSequence" in group)
    return int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)


def _write(
    view: NDArray[Any], pixels: NDArray[Any], segments: Mapping[int, _Segment], path: Path
) -> None:
    """Write the value of each segment into the voxels where a frame has its number.

    Raises:
        InputError: segments overlap that are not known regions.
    """
    for number, segment in segments.items():
        mask = pixels == number
        if not segment.is_region and view[mask].any():
            raise InputError(
                path,
                expected="segments that do not overlap, so that one label map can hold them",
                found=f"{segment.name!r} over another one",
                remedy="Compare them one by one as .nii.gz, "
                "or give the dataset with its regions as the reference.",
            )
        view[mask] = segment.value
