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
    path: Path,
    grid: Grid,
    known: Mapping[str, int | Sequence[int]],
    *,
    grid_name: str = "the reference",
    slices: NDArray[np.float64] | None = None,
) -> Segments:
    """Put the segments of a file on the ``grid`` of ``grid_name``; its frames must lie on voxels of it.

    The value of a segment is that of its name in ``known``, or else what segkit wrote into its description, or else its
    number. Regions in ``known`` (several values) are written in their order, one over the other, with a value that is
    their own (`regions.own_values`).

    ``path`` may also be a folder or zip that holds one SEG. ``slices`` are the places of the scan's slices among the
    planes of ``grid`` where the scan has two slice thicknesses (`Stack.slice_positions`): each plane of the grid then has the
    labels of the slice nearest to it. Without them a SEG of two slice thicknesses is refused.

    Raises:
        InputError: no DICOM-SEG, a FRACTIONAL one, frames beside the grid, segments that overlap, or damage.
    """
    file = segmentation_file(path)
    with guarded(path):
        header = read_header(file)
        _check_kind(path, header)
        segments = _segments(path, header, known)
        check_memory(path, file.path.stat().st_size + 4 * grid.voxels)
        labels = np.zeros(
            grid.shape if slices is None else (*grid.shape[:2], len(slices)), np.int32
        )
        thicknesses = set()
        for frame, segment, pixels in _frames(file, header, list(segments)):
            thicknesses.add(frame.slice_thickness or 0)
            of_frame = segments if segment is None else {1: segments[segment]}
            _write(
                view_of_frame(labels, frame, grid, path, of=grid_name, slices=slices),
                pixels,
                of_frame,
                path,
            )
    if slices is not None:
        labels = labels[..., nearest_slices(slices)]
    elif max(thicknesses, default=0) > (1 + EQUAL) * min(thicknesses, default=0):
        raise _of_two_thicknesses(path, sorted(thicknesses), grid_name)
    return Segments(
        Volume(labels[None], grid.affine, grid.unit),
        {segment.name: segment.value for segment in segments.values()},
    )


def _of_two_thicknesses(path: Path, found: Sequence[float], of: str) -> InputError:
    """Planes of the grid between its thick slices would count as background."""
    return InputError(
        path,
        expected=f"a frame for each plane of {of}",
        found=f"slices of {found[0]:.4g} to {found[-1]:.4g} mm, between which planes are empty",
        remedy="Compare it with a dataset whose scans are the DICOM images, or write the label map as .nii.gz.",
    )


def segmentation_file(place: Path) -> DicomFile:
    """Return the one DICOM-SEG of a folder or zip, or a file as it is.

    Raises:
        InputError: none in the folder, or several.
    """
    if not place.is_dir() and suffix_of(place) != ZIP:
        return DicomFile(place)
    found = [file for file in dicom_files(place) if read_header(file).get("Modality") == "SEG"]
    if len(found) != 1:
        names = ", ".join(file.name for file in found[:3])
        raise InputError(
            place,
            expected="one DICOM-SEG",
            found=f"{len(found)}: {names}" if found else "DICOM without any",
            remedy="Keep the one that is meant, or name its file.",
        )
    return found[0]


def segment_values(place: Path) -> list[tuple[str, int]]:
    """Return name and value of each segment of a DICOM-SEG, from its header alone, as `read_segments` takes them.

    Raises:
        InputError: no DICOM-SEG, or damage.
    """
    file = segmentation_file(place)
    with guarded(place):
        header = read_header(file)
        _check_kind(place, header)
        return [(segment.name, segment.value) for segment in _segments(place, header, {}).values()]


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


def _segments(
    path: Path, header: Dataset, known: Mapping[str, int | Sequence[int]]
) -> dict[int, _Segment]:
    """By number, in the order in which they are written; the background of a LABELMAP is none of them."""
    regions = {name: tuple(values) for name, values in known.items() if not isinstance(values, int)}
    written = {
        **{name: value for name, value in known.items() if isinstance(value, int)},
        **own_values(regions),
    }
    found = {}
    for item in header.SegmentSequence:
        number, name = (
            int(item.SegmentNumber),
            str(item.get("SegmentLabel") or f"segment {item.SegmentNumber}"),
        )
        described = _VALUE.search(str(item.get("SegmentDescription") or ""))
        own = int(described[1]) if described and header.get("Manufacturer") == "segkit" else number
        if number:
            found[number] = _Segment(name, written.get(name, own), name in regions)
    found = _apart_from(
        found, {name: value for name, value in written.items() if not is_placeholder(name)}
    )
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
    return dict(
        sorted(
            found.items(), key=lambda each: order.index(each[1].name) if each[1].is_region else -1
        )
    )


def _apart_from(segments: Mapping[int, _Segment], known: Mapping[str, int]) -> dict[int, _Segment]:
    """Give segments of other names a free value where their own number is the value of a known name."""
    free = max([*known.values(), *(segment.value for segment in segments.values())], default=0)
    apart = dict(segments)
    for number, segment in segments.items():
        if (
            segment.name not in known
            and segment.value in known.values()
            and not is_placeholder(segment.name)
        ):
            free += 1
            apart[number] = replace(segment, value=free)
    return apart


def _frames(
    file: DicomFile, header: Dataset, order: Sequence[int]
) -> Iterator[tuple[Frame, int | None, NDArray[Any]]]:
    """Each frame, the number of its segment (None where its pixels are numbers) and its pixels (rows, columns)."""
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
    """The frames (rows, columns) with these indices.

    Frames of one bit a pixel follow each other without a gap, and those of a number of pixels that 8 does not divide
    begin in the middle of a byte, where pydicom 3.0 gives up.
    """
    if int(dataset.BitsAllocated) != 1 or dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        yield from iter_pixels(dataset, indices=indices)
        return
    size, packed = (
        int(dataset.Rows) * int(dataset.Columns),
        np.frombuffer(dataset.PixelData, np.uint8),
    )
    for index in indices:
        first = index * size
        bits = np.unpackbits(packed[first // 8 : (first + size + 7) // 8], bitorder="little")
        yield bits[first % 8 :][:size].reshape(int(dataset.Rows), int(dataset.Columns))


def _segment_number(header: Dataset, index: int) -> int | None:
    """Of a frame, from its own group or the shared one."""
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
