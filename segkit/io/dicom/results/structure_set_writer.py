"""Write RT Structure Sets (RTSTRUCT): closed contours in mm on the planes of the source images."""

# mypy: allow-untyped-calls
# (parts of pydicom have no annotations)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from segkit.files.atomic import atomic_path
from segkit.io.dicom.frames import Frame
from segkit.io.dicom.headers import quiet
from segkit.io.dicom.results.contours import Polygon, outlines
from segkit.io.dicom.results.references import (
    LONGEST_TEXT,
    UTF_8,
    Algorithm,
    complete_headers,
)
from segkit.io.dicom.source import DicomSource
from segkit.labels.codes import SegmentCodes, colors_of
from segkit.volume import Volume

SERIES_NUMBER = 9002
"""Series number of the results, far above those that scanners assign."""
_CONTOUR_DATA = Tag("ContourData")
_DETACHED_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"
"""SOP class with which a structure set refers to a study (PS3.3 C.8.8.5)."""
_COPIED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"),
    *("ReferringPhysicianName", "StudyDescription", "FrameOfReferenceUID"),
    "PositionReferenceIndicator",
)
"""Attributes of patient, study and Frame of Reference that are copied from the images."""


def write_structure_set(
    path: Path,
    labels: Volume,
    source: DicomSource,
    structures: Mapping[str, Sequence[int]],
    *,
    algorithm: Algorithm,
    codes: Mapping[str, SegmentCodes] | None = None,
) -> None:
    """Write a label map as an RT Structure Set, atomically.

    Args:
        path: the file.
        labels: label map (1, X, Y, Z) on the grid of ``source``.
        source: series from which it was predicted.
        structures: values of the label map that belong to each structure. A structure without
            voxels is written without contours.
        algorithm: model that made the label map.
        codes: colors of structures, if they are known.

    Raises:
        InputError: images have no position in the patient.
    """
    headers = complete_headers(source)
    dataset = _structure_set(headers[0], algorithm)
    dataset.ReferencedFrameOfReferenceSequence = [_frame_of_reference(headers)]
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    dataset.RTROIObservationsSequence = []
    colors = colors_of(structures, codes)
    slices = source.on_slices(labels.array[0])
    present = [set(np.unique(slices[..., index]).tolist()) for index in range(slices.shape[2])]
    for number, (name, values) in enumerate(structures.items(), start=1):
        dataset.StructureSetROISequence.append(_roi(number, name, headers[0], algorithm))
        contours = _contours(slices, source, set(values), present)
        contours.ReferencedROINumber = number
        contours.ROIDisplayColor = list(colors[name])
        dataset.ROIContourSequence.append(contours)
        dataset.RTROIObservationsSequence.append(_observation(number))
    with quiet(), atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)


def _structure_set(header: Dataset, algorithm: Algorithm) -> Dataset:
    """Return the patient, study, series, equipment and structure set modules."""
    dataset, now = Dataset(), datetime.now()
    for keyword in _COPIED:
        if keyword in header:
            dataset[keyword] = header[keyword]
    dataset.SpecificCharacterSet = UTF_8
    dataset.file_meta = FileMetaDataset()
    # Explicit VR would limit a contour to 64 kB.
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.SOPClassUID = RTStructureSetStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesNumber = SERIES_NUMBER
    dataset.InstanceNumber = 1
    dataset.SeriesDescription = f"Structures by {algorithm.name}"[:LONGEST_TEXT]
    dataset.Manufacturer = "segkit"
    dataset.ManufacturerModelName = f"segkit {algorithm.name}"[:LONGEST_TEXT]
    dataset.DeviceSerialNumber = algorithm.version
    dataset.SoftwareVersions = algorithm.software
    dataset.StructureSetLabel = "segkit"
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.OperatorsName = ""
    dataset.StructureSetDate = dataset.SeriesDate = dataset.InstanceCreationDate = f"{now:%Y%m%d}"
    dataset.StructureSetTime = dataset.SeriesTime = dataset.InstanceCreationTime = f"{now:%H%M%S}"
    dataset.setdefault("PositionReferenceIndicator", "")
    return dataset


def _image_reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def _frame_of_reference(headers: Sequence[Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = headers[0].SeriesInstanceUID
    series.ContourImageSequence = [_image_reference(header) for header in headers]
    study = Dataset()
    study.ReferencedSOPClassUID = _DETACHED_STUDY_MANAGEMENT
    study.ReferencedSOPInstanceUID = headers[0].StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    item = Dataset()
    item.FrameOfReferenceUID = headers[0].FrameOfReferenceUID
    item.RTReferencedStudySequence = [study]
    return item


def _roi(number: int, name: str, header: Dataset, algorithm: Algorithm) -> Dataset:
    item = Dataset()
    item.ROINumber = number
    item.ROIName = name[:LONGEST_TEXT]
    item.ReferencedFrameOfReferenceUID = header.FrameOfReferenceUID
    item.ROIGenerationAlgorithm = "AUTOMATIC"
    item.ROIGenerationDescription = f"segkit {algorithm.name}"[:LONGEST_TEXT]
    return item


def _observation(number: int) -> Dataset:
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = number
    item.RTROIInterpretedType, item.ROIInterpreter = "", ""
    return item


def _contours(
    slices: NDArray[Any], source: DicomSource, values: set[int], present: Sequence[set[int]]
) -> Dataset:
    """Return the contours around the voxels that have certain values.

    Args:
        slices: label map (X, Y, slices).
        source: series with these slices.
        values: values of the structure.
        present: all values that occur in each slice.
    """
    item = Dataset()
    contours = [
        _contour(polygon, frame)
        for index, frame in enumerate(source.stack.frames)
        if values & present[index]
        for polygon in outlines(np.isin(slices[..., index], list(values)))
    ]
    if contours:
        item.ContourSequence = contours
    for number, contour in enumerate(contours, start=1):
        contour.ContourNumber = number
    return item


def _contour(polygon: Polygon, frame: Frame) -> Dataset:
    item, image = Dataset(), _image_reference(frame.instance.header)
    if frame.instance.frames > 1:
        image.ReferencedFrameNumber = frame.index + 1
    item.ContourImageSequence = [image]
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(polygon)
    item[_CONTOUR_DATA] = _contour_data(patient_points(polygon, frame).ravel())
    return item


def _contour_data(numbers: NDArray[np.float64]) -> RawDataElement:
    """Return ContourData in its encoded form.

    Otherwise pydicom would validate each number, of which there may be a million.
    """
    text = "\\".join(f"{number:.5f}" for number in numbers)
    value = (text + " " * (len(text) % 2)).encode()
    return RawDataElement(_CONTOUR_DATA, "DS", len(value), value, 0, True, True)


def patient_points(points: Polygon, frame: Frame) -> NDArray[np.float64]:
    """Return points of a frame in patient coordinates (LPS) in mm, shape (N, 3).

    Args:
        points: points (x, y) in pixels, shape (N, 2).
        frame: a frame with a position and an orientation.
    """
    between_rows, between_columns = frame.spacing or (1.0, 1.0)
    steps = np.array([between_columns, between_rows])[:, None] * np.asarray(frame.orientation)
    return np.asarray(frame.position + points @ steps, dtype=np.float64)
