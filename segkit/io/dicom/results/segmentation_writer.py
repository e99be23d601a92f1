"""Write DICOM Segmentation objects (DICOM-SEG) with highdicom.

A DICOM-SEG of the usual type BINARY has one frame for each source image and segment, and any reader
supports it. The type LABELMAP (Supplement 243) is smaller if there are many labels.
"""

# mypy: allow-untyped-calls
# (parts of highdicom and pydicom have no annotations)

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dictionary

from segkit.errors import InputError
from segkit.files.atomic import atomic_path
from segkit.io.dicom.headers import quiet
from segkit.io.dicom.results.codes import meaning_of
from segkit.io.dicom.results.references import (
    LONGEST_TEXT,
    UTF_8,
    Algorithm,
    check_references,
    complete_headers,
)
from segkit.io.dicom.series.uneven_spacing import slice_thicknesses
from segkit.io.dicom.source import DicomSource
from segkit.labels.codes import UNKNOWN, SegmentCodes, colors_of
from segkit.volume import Volume

SERIES_NUMBER = 9001
"""Series number of the results, far above those that scanners assign."""
ARTIFICIAL_INTELLIGENCE = dictionary.DCM.ArtificialIntelligence


def write_segmentation(
    path: Path,
    labels: Volume,
    source: DicomSource,
    segments: Mapping[str, Sequence[int]],
    *,
    algorithm: Algorithm,
    labelmap: bool = False,
    codes: Mapping[str, SegmentCodes] | None = None,
) -> None:
    """Write a label map as a DICOM-SEG, atomically.

    Args:
        path: the file.
        labels: label map (1, X, Y, Z) on the grid of ``source``.
        source: series from which it was predicted.
        segments: values of the label map that belong to each segment, in order. Segments may share
            values.
        algorithm: model that made the label map.
        labelmap: write the type LABELMAP, whose pixels are the label values. This requires values
            from 1 to 65535 that no two segments share.
        codes: coded terms and colors of segments, if they are known.

    Raises:
        InputError: images have no position, the series has several files of which one is
            multi-frame, a LABELMAP cannot hold the labels, or the headers of the images are
            invalid.
    """
    check_segmentation(path, source, segments, labelmap=labelmap)
    headers, frames_in_stack = complete_headers(source), _frames_in_stack(source)
    if frames_in_stack is not None:
        headers = [_with_frames(headers[0], frames_in_stack)]
    numbers = _numbers(segments, labelmap=labelmap)
    planes = _in_file_order(source.on_slices(labels.array[0]).transpose(2, 1, 0), source)
    if _overlap(segments):
        pixels: NDArray[Any] = _stacked_pixels(planes, segments)
    else:
        pixels = _label_pixels(planes, segments, numbers)
    descriptions = _descriptions(segments, numbers, algorithm, codes)
    with quiet(), atomic_path(path) as temporary:
        try:
            dataset = _segmentation(
                headers, pixels, descriptions, algorithm=algorithm, labelmap=labelmap
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                source.series.path,
                expected="headers from which a DICOM-SEG can be made",
                found=f"{type(error).__name__}: {error}",
                remedy="Correct that element, or write another format, such as .nii.gz.",
            ) from error
        if frames_in_stack is not None:
            _refer_to_file_frames(dataset, frames_in_stack)
        if not source.stack.is_even:
            _set_slice_thicknesses(dataset, source)
        dataset.save_as(temporary)


def check_segmentation(
    path: Path, source: DicomSource, segments: Mapping[str, Sequence[int]], *, labelmap: bool
) -> None:
    """Check before a prediction that `write_segmentation` will be able to write its result.

    Raises:
        InputError: as for `write_segmentation`.
    """
    check_references(source)
    files = source.series.instances
    if len(files) > 1 and any(instance.frames > 1 for instance in files):
        raise InputError(
            source.series.path,
            expected="one multi-frame file, or files of one frame, for output as DICOM-SEG",
            found=f"{len(files)} files, some with several frames",
            remedy="Write another format, such as .nii.gz.",
        )
    values = [value for values in segments.values() for value in values]
    if labelmap and (_overlap(segments) or not all(0 < value < 1 << 16 for value in values)):
        listed = [f"{name} {' '.join(map(str, values))}" for name, values in segments.items()]
        raise InputError(
            path,
            expected="labels from 1 to 65535 that do not overlap, for the kind LABELMAP",
            found=", ".join(listed),
            remedy="Omit --labelmap.",
        )


def _segmentation(
    headers: list[Dataset],
    pixels: NDArray[Any],
    descriptions: list[hd.seg.SegmentDescription],
    *,
    algorithm: Algorithm,
    labelmap: bool,
) -> hd.seg.Segmentation:
    kinds = hd.seg.SegmentationTypeValues
    title = f"Segmentation by {algorithm.name}"[:LONGEST_TEXT]
    return hd.seg.Segmentation(
        source_images=headers,
        pixel_array=pixels,
        segmentation_type=kinds.LABELMAP if labelmap else kinds.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=hd.UID(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="segkit",
        manufacturer_model_name=f"segkit {algorithm.name}"[:LONGEST_TEXT],
        software_versions=algorithm.software,
        device_serial_number=algorithm.version,
        content_description=title,
        content_label="SEGMENTATION",
        series_description=title,
        omit_empty_frames=bool(pixels.any()),
        specific_character_set=UTF_8,
    )


def _set_slice_thicknesses(dataset: Dataset, source: DicomSource) -> None:
    """Give each frame the SliceThickness of its own slice; highdicom uses that of the first image.

    SpacingBetweenSlices is removed, because it has no single value.
    """
    shared = dataset.SharedFunctionalGroupsSequence[0]
    shared_measures = shared.PixelMeasuresSequence[0]
    del shared.PixelMeasuresSequence
    shared_measures.pop("SpacingBetweenSlices", None)
    stack = source.stack
    positions = np.array([frame.position for frame in stack.frames])
    thicknesses = slice_thicknesses(stack.frames, stack.slice_positions, source.plane_distance)
    for group in dataset.PerFrameFunctionalGroupsSequence:
        position = np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, np.float64)
        nearest = int(np.linalg.norm(positions - position, axis=1).argmin())
        measures = copy.deepcopy(shared_measures)
        measures.SliceThickness = f"{thicknesses[nearest]:.6g}"
        group.PixelMeasuresSequence = [measures]


def _in_file_order(planes: NDArray[Any], source: DicomSource) -> NDArray[Any]:
    """Return the planes (Z, Y, X) of a stack, for a multi-frame file in the order of its frames."""
    frames = source.stack.frames
    if frames[0].instance.frames == 1:
        return planes
    return planes[np.argsort([frame.index for frame in frames])]


def _frames_in_stack(source: DicomSource) -> list[int] | None:
    """Return the indices of the frames of a multi-frame file that are in the stack, sorted.

    The result is None if all frames are in the stack.
    """
    frames = source.stack.frames
    if len(frames) == sum(instance.frames for instance in source.series.instances):
        return None
    return sorted(frame.index for frame in frames)


def _with_frames(header: Dataset, indices: Sequence[int]) -> Dataset:
    """Return the header of a multi-frame file reduced to the frames with these indices."""
    changed = copy.copy(header)
    changed.PerFrameFunctionalGroupsSequence = [
        header.PerFrameFunctionalGroupsSequence[index] for index in indices
    ]
    changed.NumberOfFrames = len(indices)
    return changed


def _refer_to_file_frames(dataset: Dataset, indices: Sequence[int]) -> None:
    """Replace references to frames of the reduced header with those of the original file."""
    for group in dataset.PerFrameFunctionalGroupsSequence:
        for derivation in group.DerivationImageSequence:
            for image in derivation.SourceImageSequence:
                image.ReferencedFrameNumber = indices[int(image.ReferencedFrameNumber) - 1] + 1


def _numbers(segments: Mapping[str, Sequence[int]], *, labelmap: bool) -> dict[str, int]:
    """Return the segment numbers: 1, 2 ..., or the label values themselves in a LABELMAP."""
    if labelmap:
        return {name: min(values) for name, values in segments.items()}
    return {name: number for number, name in enumerate(segments, start=1)}


def _overlap(segments: Mapping[str, Sequence[int]]) -> bool:
    """Return whether two segments share a value."""
    values = [value for values in segments.values() for value in values]
    return len(set(values)) < len(values)


def _label_pixels(
    planes: NDArray[Any], segments: Mapping[str, Sequence[int]], numbers: Mapping[str, int]
) -> NDArray[np.uint16]:
    """Return segment numbers (Z, Y, X), which take less memory than a mask per segment."""
    number_of = {value: numbers[name] for name, values in segments.items() for value in values}
    known_values = np.array(sorted(number_of))
    known_numbers = np.array([number_of[value] for value in known_values.tolist()], np.uint16)
    pixels = np.empty(planes.shape, np.uint16)
    for target, plane in zip(pixels, planes, strict=True):
        indices = np.searchsorted(known_values, plane).clip(max=len(known_values) - 1)
        target[...] = np.where(known_values[indices] == plane, known_numbers[indices], 0)
    return pixels


def _stacked_pixels(
    planes: NDArray[Any], segments: Mapping[str, Sequence[int]]
) -> NDArray[np.uint8]:
    """Return masks of 0 and 1, shape (Z, Y, X, segments)."""
    pixels = np.empty((*planes.shape, len(segments)), np.uint8)
    for index, values in enumerate(segments.values()):
        pixels[..., index] = np.isin(planes, list(values))
    return pixels


def _descriptions(
    segments: Mapping[str, Sequence[int]],
    numbers: Mapping[str, int],
    algorithm: Algorithm,
    codes: Mapping[str, SegmentCodes] | None,
) -> list[hd.seg.SegmentDescription]:
    colors = colors_of(segments, codes)
    descriptions = []
    for name, number in numbers.items():
        given = replace((codes or {}).get(name, UNKNOWN), colour=colors[name])
        descriptions.append(_description(name, number, segments[name], algorithm, given))
    return descriptions


def _description(
    name: str, number: int, values: Sequence[int], algorithm: Algorithm, given: SegmentCodes
) -> hd.seg.SegmentDescription:
    meaning = meaning_of(name, given)
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:LONGEST_TEXT],
        segmented_property_category=meaning.category,
        segmented_property_type=meaning.kind,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=f"segkit {algorithm.name}"[:LONGEST_TEXT],
            family=ARTIFICIAL_INTELLIGENCE,
            version=algorithm.version,
        ),
        anatomic_regions=[meaning.region] if meaning.region else None,
        display_color=hd.color.CIELabColor.from_rgb(*given.colour) if given.colour else None,
    )
    description.SegmentDescription = f"{name}, label value {' '.join(map(str, values))}"
    if meaning.modifier:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [
            hd.sr.CodedConcept.from_code(meaning.modifier)
        ]
    if meaning.region_modifier:
        region = description.AnatomicRegionSequence[0]
        region.AnatomicRegionModifierSequence = [
            hd.sr.CodedConcept.from_code(meaning.region_modifier)
        ]
    return description
