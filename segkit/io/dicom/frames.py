"""Where the frames of an image lie and how stored numbers become values, in single-frame and enhanced files alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from segkit.errors import InputError
from segkit.io.dicom.series.study import Instance

_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}
"""Where an enhanced file keeps, per frame or for all of them, what others keep at the top."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One plane of pixels; positions and directions in mm in the patient's LPS axes, None where the file has none."""

    instance: Instance
    index: int
    """In its file, from 0."""
    position: NDArray[np.float64] | None
    """Of the first pixel's centre."""
    orientation: NDArray[np.float64] | None
    """(2, 3): unit vectors along a row (columns rise) and along a column (rows rise)."""
    spacing: tuple[float, float] | None
    """Between rows, between columns."""
    thickness: float
    """What a single slice reaches across: SpacingBetweenSlices, else SliceThickness, else 1."""
    slice_thickness: float | None
    """SliceThickness, where it is a number above 0."""
    slope: float
    intercept: float
    datasets: tuple[Dataset, ...]
    """Where its elements may stand, the first that has one counts: its own group, the shared one, the top."""

    @property
    def name(self) -> str:
        """File, and frame where there are several."""
        number = f" frame {self.index + 1}" if self.instance.frames > 1 else ""
        return f"{self.instance.file.name}{number}"


def frames_of(instance: Instance) -> list[Frame]:
    """The frames of one file.

    Raises:
        InputError: an element that is not the numbers that the standard says.
    """
    shared = _items(instance.header, "SharedFunctionalGroupsSequence")
    own = _items(instance.header, "PerFrameFunctionalGroupsSequence")
    if instance.frames > 1 and len(own) != instance.frames:
        raise InputError(
            str(instance.file),
            expected=f"{instance.frames} frames with a place in PerFrameFunctionalGroupsSequence",
            found=f"{len(own)}",
            remedy="Frames without a place are no volume (a film, such as of ultrasound): give one image.",
        )
    return [
        _frame(instance, index, [*own[index : index + 1], *shared[:1], instance.header])
        for index in range(instance.frames)
    ]


def along_normal(frames: Sequence[Frame]) -> NDArray[np.intp]:
    """Return the order of frames along the normal of the first; as they are where some have no place."""
    first = frames[0]
    if first.orientation is None or any(frame.position is None for frame in frames):
        return np.arange(len(frames))
    places = np.array([frame.position for frame in frames])
    return np.argsort(places @ np.cross(*first.orientation), kind="stable")


def _frame(instance: Instance, index: int, places: Sequence[Dataset]) -> Frame:
    position = _numbers(instance, places, "ImagePositionPatient", 3)
    spacing = _numbers(instance, places, "PixelSpacing", 2)
    thickness = _numbers(instance, places, "SpacingBetweenSlices", 1) or _numbers(
        instance, places, "SliceThickness", 1
    )
    slope, intercept = (
        _numbers(instance, places, f"Rescale{name}", 1) for name in ("Slope", "Intercept")
    )
    return Frame(
        instance,
        index,
        None if position is None else np.array(position),
        _orientation(instance, _numbers(instance, places, "ImageOrientationPatient", 6)),
        None if spacing is None else _positive(instance, spacing),
        abs(thickness[0]) if thickness and thickness[0] else 1.0,
        _thickness(places),
        slope[0] if slope else 1.0,
        intercept[0] if intercept else 0.0,
        tuple(places),
    )


def _thickness(places: Sequence[Dataset]) -> float | None:
    """SliceThickness as further evidence: where it is no number it is none, and no error."""
    try:
        thickness = float(_value(places, "SliceThickness") or 0)
    except (TypeError, ValueError):
        return None
    return thickness if 0 < thickness < math.inf else None


def _orientation(
    instance: Instance, numbers: tuple[float, ...] | None
) -> NDArray[np.float64] | None:
    if numbers is None:
        return None
    rows = np.reshape(numbers, (2, 3))
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if np.abs(lengths - 1).max() > 0.01 or abs(np.dot(*(rows / lengths))) > 1e-3:
        found = " ".join(f"{number:.4g}" for number in numbers)
        raise _unusable(
            instance, "ImageOrientationPatient", "two unit vectors at right angles", found
        )
    return np.asarray(rows / lengths, dtype=np.float64)


def _positive(instance: Instance, spacing: tuple[float, ...]) -> tuple[float, float]:
    if min(spacing) <= 0:
        raise _unusable(
            instance,
            "PixelSpacing",
            "two edges above 0 mm",
            f"{spacing[0]:.4g} and {spacing[1]:.4g}",
        )
    return (spacing[0], spacing[1])


def _numbers(
    instance: Instance, places: Sequence[Dataset], keyword: str, count: int
) -> tuple[float, ...] | None:
    value = _value(places, keyword)
    if value is None or value == "":
        return None
    try:
        numbers = tuple(float(each) for each in (value if count > 1 else [value]))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise _unusable(instance, keyword, f"{count} number{'s' if count > 1 else ''}", repr(value))
    return numbers


def _value(places: Sequence[Dataset], keyword: str) -> Any:
    """From the frame's own group, the shared one, or the top, the first that has it."""
    for place in places:
        for group in (*_items(place, _GROUPS[keyword])[:1], place):
            if (value := group.get(keyword)) is not None:
                return value
    return None


def _items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    return dataset.get(keyword) or ()


def _unusable(instance: Instance, keyword: str, expected: str, found: str) -> InputError:
    return InputError(
        str(instance.file),
        expected=f"{expected} in {keyword}",
        found=found,
        remedy="Export the series again from the scanner or archive.",
    )
