"""Values of the properties of images, read from the attributes of each frame.

Numbers and directions that agree within a tolerance become the same value. The table of all
properties is in `properties`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pydicom.uid import UID

from segkit.io.dicom.frames import Frame
from segkit.io.dicom.series.attributes import Value, private_value, value_of

Values = Callable[[Sequence[Frame]], list[Value]]
"""Function from the frames of a series to one value for each frame."""
SEVERAL = 3
"""Smallest number of images that must share a value for it to characterize a group of images."""
DIFFUSION = "MRDiffusionSequence"
_FRAME_TYPES = tuple(f"{kind}FrameTypeSequence" for kind in ("MRImage", "CTImage", "PET"))
_PIXEL_CONTENTS = {
    *("M", "P", "R", "I", "MAGNITUDE", "PHASE", "REAL", "IMAGINARY"),
    *("W", "F", "WATER", "FAT", "IP", "OP", "IN", "OUT"),
    *("IN_PHASE", "OPP_PHASE", "OUT_PHASE", "OUT_OF_PHASE"),
    *("ADC", "EADC", "TRACEW", "TRACE", "FA"),
    *("SUB", "SUBTRACTION", "MIP", "MINIP", "MPR"),
}
"""Words from the fourth value of ImageType on that say what the pixels are; others there name
processing steps."""
_PRIVATE_B_VALUES = (
    ("SIEMENS MR HEADER", 0x0019, 0x0C),
    ("GEMS_PARM_01", 0x0043, 0x39),
    ("Philips Imaging DD 001", 0x2001, 0x03),
)
"""Private creator, group and element of b-values, for files without the standard attribute."""
_GE_COMPONENT = ("GEMS_PARM_01", 0x0043, 0x2F)
"""Private attribute of GE that says which component of a complex image the pixels are."""
_GE_COMPONENTS = {0.0: "MAGNITUDE", 1.0: "PHASE", 2.0: "REAL", 3.0: "IMAGINARY"}
_GE_OFFSET = 10**9
"""Number that GE adds to some b-values."""


def each_frame(read: Callable[[Frame], Value]) -> Values:
    """Return a function that reads the value of each frame."""
    return lambda frames: [read(frame) for frame in frames]


def attribute(*paths: str) -> Values:
    """Return a function that reads the first attribute present in each frame (see `value_of`)."""
    return each_frame(lambda frame: value_of(frame, *paths))


def numbers(*paths: str, tolerance: float) -> Values:
    """Return a function like `attribute`, for numbers that agree within a tolerance."""
    return similar_numbers(lambda frame: value_of(frame, *paths), tolerance)


def similar_numbers(read: Callable[[Frame], Value], tolerance: float) -> Values:
    """Return a function that reads a number from each frame and makes similar ones equal."""
    return lambda frames: clustered([read(frame) for frame in frames], tolerance)


def similar_vectors(read: Callable[[Frame], Any], tolerance: float) -> Values:
    """Return a function that numbers the vectors of the frames; similar ones share a number."""

    def values(frames: Sequence[Frame]) -> list[Value]:
        distinct: list[Any] = []
        return [_number_of(read(frame), distinct, tolerance) for frame in frames]

    return values


def _number_of(vector: Any, distinct: list[Any], tolerance: float) -> Value:
    """Return the index of the first similar vector; add a new vector to the list."""
    if vector is None:
        return None
    for index, other in enumerate(distinct):
        if np.shape(other) != np.shape(vector):
            continue
        if np.abs(np.subtract(other, vector)).max() < tolerance:
            return index
    distinct.append(vector)
    return len(distinct) - 1


def clustered(values: Sequence[Value], tolerance: float) -> list[Value]:
    """Replace each number with the lowest one of its cluster; other values are unchanged.

    Neighbors in a cluster differ by at most the tolerance or 1 %, whichever is larger.

    >>> clustered([4.92, 7.38, 4.93, None], 0.01)
    [4.92, 7.38, 4.92, None]
    """
    lowest: dict[Value, Value] = {}
    previous = first = -np.inf
    for number in sorted({value for value in values if isinstance(value, float)}):
        if number - previous > max(tolerance, 0.01 * abs(number)):
            first = number
        lowest[number], previous = first, number
    return [lowest.get(value, value) for value in values]


def pixel_type(frame: Frame) -> Value:
    """Return the third value of ImageType, and later words that say what the pixels are."""
    words = _image_type(frame)
    kept = [word for word in words[3:] if word in _PIXEL_CONTENTS and word != words[2]]
    return "/".join([*words[2:3], *kept]) or None


def whole_image_type(frame: Frame) -> Value:
    """Return all words of ImageType, with those from the fourth on sorted."""
    words = _image_type(frame)
    return "/".join([*words[:3], *sorted(words[3:])]) or None


def _image_type(frame: Frame) -> tuple[str, ...]:
    nested = [f"{sequence}.FrameType" for sequence in _FRAME_TYPES]
    words = value_of(frame, *nested, "FrameType", "ImageType")
    return tuple(str(word or "").upper() for word in words) if isinstance(words, tuple) else ()


def ct_acquisition_times(frames: Sequence[Frame]) -> list[Value]:
    """Return AcquisitionTime of CT images if each time is shared by several images, else None.

    A time that belongs to a single image says nothing about passes, and neither do the times of MR
    slices, which are acquired in any order.
    """
    times = [
        value_of(frame, "AcquisitionTime") if value_of(frame, "Modality") == "CT" else None
        for frame in frames
    ]
    return times if min(Counter(times).values(), default=0) >= SEVERAL else [None] * len(frames)


def complex_component(frame: Frame) -> Value:
    """Return the component of complex MR images: MAGNITUDE, PHASE, REAL or IMAGINARY."""
    paths = [f"{sequence}.ComplexImageComponent" for sequence in _FRAME_TYPES]
    component = value_of(frame, *paths, "ComplexImageComponent")
    if component is not None or value_of(frame, "Modality") != "MR":
        return component
    code = private_value(frame, *_GE_COMPONENT)
    return _GE_COMPONENTS.get(code) if isinstance(code, float) else None


def sop_class(frame: Frame) -> Value:
    """Return the name of the SOP class, such as ``CT`` or ``Enhanced-MR``."""
    uid = value_of(frame, "SOPClassUID")
    if uid is None:
        return None
    return re.sub(r"( Image)? Storage$", "", UID(str(uid)).name).replace(" ", "-")


def patient(frame: Frame) -> Value:
    """Return the ID and name of the patient, normalized in case and spaces."""
    return tuple(
        re.sub(r"[\s^]+", " ", str(value_of(frame, keyword) or "")).strip().casefold()
        for keyword in ("PatientID", "PatientName")
    )


def b_value(frame: Frame) -> Value:
    """Return the b-value of a diffusion image, if necessary from a private attribute."""
    standard = value_of(frame, f"{DIFFUSION}.DiffusionBValue", "DiffusionBValue")
    if standard is not None or value_of(frame, "Modality") != "MR":
        return standard
    return _private_b_value(frame)


def _private_b_value(frame: Frame) -> Value:
    for attribute_path in _PRIVATE_B_VALUES:
        number = private_value(frame, *attribute_path)
        if isinstance(number, float):
            return number % _GE_OFFSET
    named = re.search(r"ep_b([0-9]+)", str(value_of(frame, "SequenceName") or ""))
    return float(named[1]) if named else None


def gradient(frame: Frame) -> Value:
    """Return the direction of the diffusion gradient."""
    nested = f"{DIFFUSION}.DiffusionGradientDirectionSequence.DiffusionGradientOrientation"
    return _vector(frame, nested, "DiffusionGradientOrientation")


def velocity(frame: Frame) -> Value:
    """Return the direction of the velocity encoding."""
    return _vector(frame, "MRVelocityEncodingSequence.VelocityEncodingDirection")


def _vector(frame: Frame, *paths: str) -> Value:
    vector = value_of(frame, *paths)
    if isinstance(vector, tuple) and all(isinstance(number, float) for number in vector):
        return vector
    return None


def image_size(frame: Frame) -> Value:
    """Return the number of columns and rows, such as ``512x512``."""
    header = frame.instance.header
    return f"{header.get('Columns')}x{header.get('Rows')}"


def pixel_spacing(frame: Frame) -> Value:
    """Return the distances between rows and between columns in mm, such as ``0.7x0.7``."""
    return frame.spacing and "x".join(f"{round(edge, 4):g}" for edge in frame.spacing)


def rescaling(frames: Sequence[Frame]) -> list[Value]:
    """Return ``yes`` for images whose header gives a slope or intercept, ``none`` for others.

    If all slopes are 1 and all intercepts 0, this makes no difference and all get ``yes``.
    """
    scales = [
        value_of(frame, rescale("Slope"), "RescaleSlope", rescale("Intercept"), "RescaleIntercept")
        for frame in frames
    ]
    changes = any((frame.slope, frame.intercept) != (1, 0) for frame in frames)
    return ["none" if changes and scale is None else "yes" for scale in scales]


def rescale(name: str) -> str:
    """Return the path of the attribute Rescale``name`` in an enhanced file."""
    return f"PixelValueTransformationSequence.Rescale{name}"
