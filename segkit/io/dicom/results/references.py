"""Headers of the source images, completed for the DICOM objects that are derived from them."""

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

log = logging.getLogger(__name__)

UTF_8 = "ISO_IR 192"
"""Character set of all output, because label names may contain any letters."""
_PATIENT_GROUP = 0x0010
LONGEST_TEXT = 64
"""Largest number of characters of a text of value representation LO."""
_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName"),
)
"""Attributes that a derived object must have but that may be empty."""


@dataclass(frozen=True)
class Algorithm:
    """Model that made a segmentation."""

    name: str
    version: str
    """Hash of the model."""
    software: str
    """Version of segkit."""


def complete_headers(source: DicomSource) -> list[Dataset]:
    """Return copies of the headers of a series with the attributes that derived objects need.

    There is one header for each file, in the order of the slices. Missing attributes that the
    standard requires but allows to be empty are added. If the Frame of Reference UID is missing or
    differs between images, all get a new one.

    Raises:
        InputError: images have no position in the patient, or no UIDs.
    """
    check_references(source)
    frames = source.stack.frames
    defaults = {
        "FrameOfReferenceUID": _frame_of_reference(source),
        "StudyInstanceUID": generate_uid(),
        "SOPClassUID": SecondaryCaptureImageStorage,
        "SliceThickness": f"{source.plane_distance:.6g}",
    }
    first_frames = {frame.instance: frame for frame in reversed(frames)}
    with quiet():
        return [
            _complete(first_frames[instance], defaults)
            for instance in dict.fromkeys(frame.instance for frame in frames)
        ]


def check_references(source: DicomSource) -> None:
    """Check that a derived object can refer to every image of a series.

    Raises:
        InputError: an image has no position in the patient, or no UIDs.
    """
    if any(frame.position is None or frame.orientation is None for frame in source.stack.frames):
        raise InputError(
            source.series.path,
            expected="images with ImagePositionPatient and ImageOrientationPatient, "
            "for output as DICOM",
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
    uids = {
        str(instance.header.get("FrameOfReferenceUID") or "")
        for instance in source.series.instances
    } - {""}
    if len(uids) == 1:
        return UID(uids.pop())
    log.warning(
        "%s: %s Frame of Reference UID; results get a new one and refer to the images by their "
        "UIDs",
        source.series.path,
        "more than one" if uids else "no",
    )
    return generate_uid()


def _complete(frame: Frame, defaults: Mapping[str, str]) -> Dataset:
    """Return a copy of the header of a frame's file, with defaults for missing attributes.

    The Frame of Reference UID is always replaced. Invalid patient attributes are removed, because
    highdicom would copy them.
    """
    header = copy.copy(frame.instance.header)
    for element in header.group_dataset(_PATIENT_GROUP):
        if not _is_valid(element):
            del header[element.tag]
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    header.FrameOfReferenceUID = defaults["FrameOfReferenceUID"]
    for keyword, value in defaults.items():
        if not header.get(keyword):
            setattr(header, keyword, value)
    if "PerFrameFunctionalGroupsSequence" in header:
        header.SharedFunctionalGroupsSequence = [_shared_groups(header)]
    return header


def _is_valid(element: DataElement) -> bool:
    try:
        validate_value(element.VR, element.value, RAISE)
    except ValueError:
        return False
    return True


def _shared_groups(header: Dataset) -> Dataset:
    """Return the shared functional groups, completed from those of the first frame.

    Pixel measures and orientation are the same in all frames of a stack.
    """
    shared: Dataset = copy.copy((header.get("SharedFunctionalGroupsSequence") or [Dataset()])[0])
    for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        if keyword not in shared:
            setattr(shared, keyword, header.PerFrameFunctionalGroupsSequence[0].get(keyword))
    return shared
