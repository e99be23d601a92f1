"""What objects that are made from a series take over from it, and what is known of the model that made them."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom.config import RAISE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID, SecondaryCaptureImageStorage, generate_uid
from pydicom.valuerep import validate_value

from segkit.errors import InputError
from segkit.io.dicom.frames import Frame
from segkit.io.dicom.headers import quiet
from segkit.io.dicom.source import DicomSource

UTF_8 = "ISO_IR 192"
"""What is written is in it whatever the images are in: the names of labels may have any letters."""
log = logging.getLogger(__name__)

_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName"),
)


@dataclass(frozen=True)
class Algorithm:
    """The model that made a segmentation."""

    name: str
    version: str
    """Its hash."""
    software: str
    """Version of segkit."""


def complete_headers(source: DicomSource) -> list[Dataset]:
    """Copies of the headers of a series, file by file in the order of its slices, with what derived objects need.

    Elements that the standard wants and that may be empty are added empty; a missing frame of reference becomes a new
    one, for all images alike.

    Raises:
        InputError: images without a place in the patient.
    """
    check_references(source)
    frames = source.stack.frames
    known = {
        "FrameOfReferenceUID": _frame_of_reference(source),
        "StudyInstanceUID": generate_uid(),
        "SOPClassUID": SecondaryCaptureImageStorage,
        "SliceThickness": f"{source.plane_distance:.6g}",
    }
    first = {frame.instance: frame for frame in reversed(frames)}
    with quiet():
        return [
            _complete(first[instance], known)
            for instance in dict.fromkeys(frame.instance for frame in frames)
        ]


def check_references(source: DicomSource) -> None:
    """Raise an InputError unless every image has a place in the patient, and UIDs to refer to."""
    if any(frame.position is None or frame.orientation is None for frame in source.stack.frames):
        raise InputError(
            source.series.path,
            expected="images with ImagePositionPatient and ImageOrientationPatient, for output as DICOM",
            found="none",
            remedy="Write another format, such as .nii.gz or .png.",
        )
    uids = ("SOPInstanceUID", "SeriesInstanceUID")
    if not all(instance.header.get(uid) for instance in source.series.instances for uid in uids):
        raise InputError(
            source.series.path,
            expected=f"images with {' and '.join(uids)}, for output as DICOM",
            found="some without",
            remedy="Write another format, such as .nii.gz.",
        )


def _frame_of_reference(source: DicomSource) -> UID:
    found = {
        str(instance.header.get("FrameOfReferenceUID") or "")
        for instance in source.series.instances
    } - {""}
    if len(found) == 1:
        return UID(found.pop())
    log.warning(
        "%s: %s frame of reference; what is written gets a new one and refers to the images by their UIDs",
        source.series.path,
        "more than one" if found else "no",
    )
    return generate_uid()


def _complete(frame: Frame, known: Mapping[str, str]) -> Dataset:
    """A copy of the header of the frame's file, with all that is ``known`` where it has none."""
    made = copy.copy(frame.instance.header)
    for element in made.group_dataset(0x0010):
        if not _is_valid(
            element
        ):  # of the patient, copied as it is, and otherwise copied with its fault
            del made[element.tag]
    for keyword in _MAY_BE_EMPTY:
        if keyword not in made:
            setattr(made, keyword, "")
    made.FrameOfReferenceUID = known["FrameOfReferenceUID"]
    for keyword, value in known.items():
        if not made.get(keyword):
            setattr(made, keyword, value)
    if "PerFrameFunctionalGroupsSequence" in made:
        made.SharedFunctionalGroupsSequence = [_shared_groups(made)]
    return made


def _is_valid(element: DataElement) -> bool:
    try:
        validate_value(element.VR, element.value, RAISE)
    except ValueError:
        return False
    return True


def _shared_groups(header: Dataset) -> Dataset:
    """What holds for all frames, with the pixel sizes and directions of the first one, which all have in common."""
    shared: Dataset = copy.copy((header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0])
    for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        if keyword not in shared:
            setattr(shared, keyword, header.PerFrameFunctionalGroupsSequence[0].get(keyword))
    return shared
