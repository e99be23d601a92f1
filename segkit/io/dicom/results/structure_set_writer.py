"""RT Structure Set (RTSTRUCT): closed contours in mm, slice by slice, on the planes of the source images."""

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
from segkit.io.dicom.results.references import UTF_8, Algorithm, complete_headers
from segkit.io.dicom.source import DicomSource
from segkit.labels.codes import SegmentCodes, colors_of
from segkit.volume import Volume

SERIES_NUMBER = 9002
_CONTOUR_DATA = Tag("ContourData")
_STUDY = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge"),
    *(
        "StudyInstanceUID",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "AccessionNumber",
        "ReferringPhysicianName",
    ),
    *("StudyDescription", "FrameOfReferenceUID", "PositionReferenceIndicator"),
)


def write_structure_set(
    path: Path,
    labels: Volume,
    source: DicomSource,
    segments: Mapping[str, Sequence[int]],
    *,
    algorithm: Algorithm,
    codes: Mapping[str, SegmentCodes] | None = None,
) -> None:
    """Write a label map (1, X, Y, Z) on the grid of ``source`` as RT Structure Set, atomically.

    ``segments`` has, for each structure, the values of the label map that belong to it. A structure without voxels is
    there without contours. ``codes`` may have its color.

    Raises:
        InputError: images without a place in the patient.
    """
    headers = complete_headers(source)
    made = _about(headers[0], algorithm)
    made.ReferencedFrameOfReferenceSequence = [_frame_of_reference(headers)]
    made.StructureSetROISequence, made.ROIContourSequence, made.RTROIObservationsSequence = (
        [],
        [],
        [],
    )
    colors = colors_of(segments, codes)
    slices = source.on_slices(labels.array[0])
    present = [set(np.unique(slices[..., place]).tolist()) for place in range(slices.shape[2])]
    for number, (name, values) in enumerate(segments.items(), start=1):
        made.StructureSetROISequence.append(_roi(number, name, headers[0], algorithm))
        contours = _contours(number, slices, source, set(values), present)
        contours.ROIDisplayColor = list(colors[name])
        made.ROIContourSequence.append(contours)
        made.RTROIObservationsSequence.append(_observation(number))
    with quiet(), atomic_path(path) as temporary:
        made.save_as(temporary, enforce_file_format=True)


def _about(header: Dataset, algorithm: Algorithm) -> Dataset:
    """The modules on patient, study, series, equipment and the structure set as a whole."""
    made, now = Dataset(), datetime.now()
    for keyword in _STUDY:
        if keyword in header:
            made[keyword] = header[keyword]
    made.SpecificCharacterSet = UTF_8
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = (
        ImplicitVRLittleEndian  # the explicit one ends at 64 kB for a contour
    )
    made.SOPClassUID, made.SOPInstanceUID, made.SeriesInstanceUID = (
        RTStructureSetStorage,
        generate_uid(),
        generate_uid(),
    )
    made.Modality, made.SeriesNumber, made.InstanceNumber = "RTSTRUCT", SERIES_NUMBER, 1
    made.SeriesDescription = f"Structures by {algorithm.name}"[:64]
    made.Manufacturer, made.ManufacturerModelName = "segkit", f"segkit {algorithm.name}"[:64]
    made.DeviceSerialNumber, made.SoftwareVersions = algorithm.version, algorithm.software
    made.StructureSetLabel, made.ApprovalStatus, made.OperatorsName = "segkit", "UNAPPROVED", ""
    made.StructureSetDate = made.SeriesDate = made.InstanceCreationDate = f"{now:%Y%m%d}"
    made.StructureSetTime = made.SeriesTime = made.InstanceCreationTime = f"{now:%H%M%S}"
    made.setdefault("PositionReferenceIndicator", "")
    return made


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
        header.SOPClassUID,
        header.SOPInstanceUID,
    )
    return item


def _frame_of_reference(headers: Sequence[Dataset]) -> Dataset:
    series, study, item = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = headers[0].SeriesInstanceUID
    series.ContourImageSequence = [_reference(header) for header in headers]
    study.ReferencedSOPClassUID = (
        "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, as PS3.3 C.8.8.5 has it
    )
    study.ReferencedSOPInstanceUID = headers[0].StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    item.FrameOfReferenceUID = headers[0].FrameOfReferenceUID
    item.RTReferencedStudySequence = [study]
    return item


def _roi(number: int, name: str, header: Dataset, algorithm: Algorithm) -> Dataset:
    item = Dataset()
    item.ROINumber, item.ROIName = number, name[:64]
    item.ReferencedFrameOfReferenceUID = header.FrameOfReferenceUID
    item.ROIGenerationAlgorithm, item.ROIGenerationDescription = (
        "AUTOMATIC",
        f"segkit {algorithm.name}"[:64],
    )
    return item


def _observation(number: int) -> Dataset:
    item = Dataset()
    item.ObservationNumber = item.ReferencedROINumber = number
    item.RTROIInterpretedType, item.ROIInterpreter = "", ""
    return item


def _contours(
    number: int,
    labels: NDArray[Any],
    source: DicomSource,
    values: set[int],
    present: Sequence[set[int]],
) -> Dataset:
    """The contours of the voxels (X, Y, slices) with these values; ``present`` are those of each slice."""
    item = Dataset()
    item.ReferencedROINumber = number
    found = [
        _contour(polygon, frame)
        for place, frame in enumerate(source.stack.frames)
        if values & present[place]
        for polygon in outlines(np.isin(labels[..., place], list(values)))
    ]
    if found:
        item.ContourSequence = found
    for index, contour in enumerate(found, start=1):
        contour.ContourNumber = index
    return item


def _contour(polygon: Polygon, frame: Frame) -> Dataset:
    item, image = Dataset(), _reference(frame.instance.header)
    if frame.instance.frames > 1:
        image.ReferencedFrameNumber = frame.index + 1
    item.ContourImageSequence = [image]
    item.ContourGeometricType = "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(polygon)
    item[_CONTOUR_DATA] = _decimals(in_patient(polygon, frame).ravel())
    return item


def _decimals(numbers: NDArray[np.float64]) -> RawDataElement:
    """ContourData as it stands in the file: pydicom would look at each of what may be a million numbers."""
    text = "\\".join(f"{number:.5f}" for number in numbers)
    value = (text + " " * (len(text) % 2)).encode()
    return RawDataElement(_CONTOUR_DATA, "DS", len(value), value, 0, True, True)


def in_patient(points: Polygon, frame: Frame) -> NDArray[np.float64]:
    """Points (x, y) in pixels of a frame that has a place, as (N, 3) mm in the patient's LPS axes."""
    between_rows, between_columns = frame.spacing or (1.0, 1.0)
    steps = np.array([between_columns, between_rows])[:, None] * np.asarray(frame.orientation)
    return np.asarray(frame.position + points @ steps, dtype=np.float64)
