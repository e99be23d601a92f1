"""DICOM Segmentation (SEG), made by highdicom: one frame for each source image and segment.

BINARY is the usual kind, which every reader knows; LABELMAP, of supplement 243, is smaller where there are many labels.
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
from segkit.io.dicom.results.references import UTF_8, Algorithm, check_references, complete_headers
from segkit.io.dicom.series.uneven_spacing import slice_thicknesses
from segkit.io.dicom.source import DicomSource
from segkit.labels.codes import UNKNOWN, SegmentCodes, colors_of
from segkit.volume import Volume

SERIES_NUMBER = 9001
"""Far above those of scanners."""
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
    """Write a label map (1, X, Y, Z) on the grid of ``source`` as DICOM Segmentation, atomically.

    Args:
        path: the file.
        labels: the label map.
        source: the series that it was predicted from.
        segments: for each segment, in order, the values of the label map that it has; two may share some.
        algorithm: the model.
        labelmap: the kind LABELMAP, whose pixels are the label values; only where no two segments share a value and
            all values are from 1 to 65535.
        codes: coded terms and colours of segments, as far as they are known.

    Raises:
        InputError: images without a place, several multi-frame files, or labels that a LABELMAP cannot hold.
    """
    check_segmentation(path, source, segments, labelmap=labelmap)
    headers, kept = complete_headers(source), _kept_frames(source)
    headers = headers if kept is None else [_of_frames(headers[0], kept)]
    planes = _in_file_order(source.on_slices(labels.array[0]).transpose(2, 1, 0), source)
    numbers = _numbers(segments, labelmap)
    pixels = (
        _stacked_pixels(planes, segments)
        if _overlap(segments)
        else _label_pixels(planes, segments, numbers)
    )
    colors = colors_of(segments, codes)
    descriptions = [
        _description(
            name,
            segments[name],
            number,
            algorithm,
            replace((codes or {}).get(name, UNKNOWN), colour=colors[name]),
        )
        for name, number in numbers.items()
    ]
    kind = (
        hd.seg.SegmentationTypeValues.LABELMAP if labelmap else hd.seg.SegmentationTypeValues.BINARY
    )
    with quiet(), atomic_path(path) as temporary:
        try:
            made = _segmentation(headers, pixels, kind, descriptions, algorithm)
        except (
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
        ) as error:  # an element that nobody thought of
            raise InputError(
                source.series.path,
                expected="headers that a DICOM-SEG can be made from",
                found=f"{type(error).__name__}: {error}",
                remedy="Correct that element, or write another format, such as .nii.gz.",
            ) from error
        if kept is not None:
            _refer_to_frames(made, kept)
        if not source.stack.is_even:
            _measure_frames(made, source)
        made.save_as(temporary)


def check_segmentation(
    path: Path, source: DicomSource, segments: Mapping[str, Sequence[int]], *, labelmap: bool
) -> None:
    """Raise before the work what `write_segmentation` would raise after it."""
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
        raise InputError(
            path,
            expected="labels from 1 to 65535 that do not overlap, for the kind LABELMAP",
            found=", ".join(
                f"{name} {' '.join(map(str, values))}" for name, values in segments.items()
            ),
            remedy="Leave --labelmap out.",
        )


def _segmentation(
    headers: list[Dataset],
    pixels: NDArray[Any],
    kind: Any,
    descriptions: list[Any],
    algorithm: Algorithm,
) -> hd.seg.Segmentation:
    return hd.seg.Segmentation(
        source_images=headers,
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid=hd.UID(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="segkit",
        manufacturer_model_name=f"segkit {algorithm.name}"[:64],
        software_versions=algorithm.software,
        device_serial_number=algorithm.version,
        content_description=f"Segmentation by {algorithm.name}"[:64],
        content_label="SEGMENTATION",
        series_description=f"Segmentation by {algorithm.name}"[:64],
        omit_empty_frames=bool(pixels.any()),
        specific_character_set=UTF_8,
    )


def _measure_frames(made: Dataset, source: DicomSource) -> None:
    """Give each frame the SliceThickness of its own slice; highdicom gives that of the first image to all."""
    shared = made.SharedFunctionalGroupsSequence[0]
    measures = shared.PixelMeasuresSequence[0]
    del shared.PixelMeasuresSequence
    measures.pop("SpacingBetweenSlices", None)
    positions = np.array([frame.position for frame in source.stack.frames])
    thicknesses = slice_thicknesses(
        source.stack.frames, source.stack.slice_positions, source.plane_distance
    )
    for group in made.PerFrameFunctionalGroupsSequence:
        place = np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, np.float64)
        nearest = int(np.linalg.norm(positions - place, axis=1).argmin())
        own = copy.deepcopy(measures)
        own.SliceThickness = f"{thicknesses[nearest]:.6g}"
        group.PixelMeasuresSequence = [own]


def _in_file_order(planes: NDArray[Any], source: DicomSource) -> NDArray[Any]:
    """Planes (Z, Y, X) of the stack, those of a multi-frame file in the order of its frames."""
    frames = source.stack.frames
    if frames[0].instance.frames == 1:
        return planes
    return planes[np.argsort([frame.index for frame in frames])]


def _kept_frames(source: DicomSource) -> list[int] | None:
    """The frames of a multi-frame file that are in the stack, in the order of the file; None where all are."""
    frames = source.stack.frames
    all_there = len(frames) == sum(instance.frames for instance in source.series.instances)
    return None if all_there else sorted(frame.index for frame in frames)


def _of_frames(header: Dataset, kept: Sequence[int]) -> Dataset:
    """The header of a multi-frame file as if it had some of its frames only."""
    made = copy.copy(header)
    made.PerFrameFunctionalGroupsSequence = [
        header.PerFrameFunctionalGroupsSequence[index] for index in kept
    ]
    made.NumberOfFrames = len(kept)
    return made


def _refer_to_frames(made: Dataset, kept: Sequence[int]) -> None:
    """Turn references to frames of `_of_frames` into those to frames of the file."""
    for group in made.PerFrameFunctionalGroupsSequence:
        for derivation in group.DerivationImageSequence:
            for source in derivation.SourceImageSequence:
                source.ReferencedFrameNumber = kept[int(source.ReferencedFrameNumber) - 1] + 1


def _numbers(segments: Mapping[str, Sequence[int]], labelmap: bool) -> dict[str, int]:
    """Segment numbers: 1, 2 ...; in a LABELMAP the label values themselves."""
    if labelmap:
        return {name: min(values) for name, values in segments.items()}
    return {name: number for number, name in enumerate(segments, start=1)}


def _overlap(segments: Mapping[str, Sequence[int]]) -> bool:
    values = [value for values in segments.values() for value in values]
    return len(set(values)) < len(values)


def _label_pixels(
    planes: NDArray[Any], segments: Mapping[str, Sequence[int]], numbers: Mapping[str, int]
) -> NDArray[np.uint16]:
    """(Z, Y, X) of segment numbers: little memory where there are many segments."""
    number_of = {value: numbers[name] for name, values in segments.items() for value in values}
    values = np.array(sorted(number_of))
    found = np.array([number_of[value] for value in values.tolist()], np.uint16)
    pixels = np.empty(planes.shape, np.uint16)
    for target, plane in zip(pixels, planes, strict=True):
        places = np.searchsorted(values, plane).clip(max=len(values) - 1)
        target[...] = np.where(values[places] == plane, found[places], 0)
    return pixels


def _stacked_pixels(
    planes: NDArray[Any], segments: Mapping[str, Sequence[int]]
) -> NDArray[np.uint8]:
    """(Z, Y, X, segments) of 0 and 1."""
    pixels = np.empty((*planes.shape, len(segments)), np.uint8)
    for place, values in enumerate(segments.values()):
        pixels[..., place] = np.isin(planes, list(values))
    return pixels


def _description(
    name: str, values: Sequence[int], number: int, algorithm: Algorithm, given: SegmentCodes
) -> hd.seg.SegmentDescription:
    meaning = meaning_of(name, given)
    made = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:64],
        segmented_property_category=meaning.category,
        segmented_property_type=meaning.kind,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=f"segkit {algorithm.name}"[:64],
            family=ARTIFICIAL_INTELLIGENCE,
            version=algorithm.version,
        ),
        anatomic_regions=[meaning.region] if meaning.region else None,
        display_color=hd.color.CIELabColor.from_rgb(*given.colour) if given.colour else None,
    )
    made.SegmentDescription = f"{name}, label value {' '.join(map(str, values))}"
    if meaning.modifier:
        kind = made.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [
            hd.sr.CodedConcept.from_code(meaning.modifier)
        ]
    if meaning.region_modifier:
        region = made.AnatomicRegionSequence[0]
        region.AnatomicRegionModifierSequence = [
            hd.sr.CodedConcept.from_code(meaning.region_modifier)
        ]
    return made
