"""Frames of an image: their position in the patient, and the rescaling of their stored numbers.

Single-frame and enhanced multi-frame files are treated alike.
"""

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

_FUNCTIONAL_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}
"""Functional group that holds an attribute in an enhanced multi-frame file.

Single-frame files have these attributes at the top level.
"""


@dataclass(frozen=True, eq=False)
class Frame:
    """One plane of pixels.

    Positions and directions are in mm in the patient's LPS axes, or None if the file has none.
    """

    instance: Instance
    index: int
    """Number of the frame in its file, from 0."""
    position: NDArray[np.float64] | None
    """Center of the first pixel, shape (3,)."""
    orientation: NDArray[np.float64] | None
    """Unit vectors of increasing column index and increasing row index, shape (2, 3)."""
    spacing: tuple[float, float] | None
    """Distance between rows and between columns, in mm."""
    thickness: float
    """Extent of a single slice in mm: SpacingBetweenSlices, else SliceThickness, else 1."""
    slice_thickness: float | None
    """SliceThickness in mm, if it is a number above 0."""
    slope: float
    intercept: float
    datasets: tuple[Dataset, ...]
    """Datasets in which to look up an attribute of the frame; the first that has it is used.

    They are the frame's own functional groups, the shared ones and the top level.
    """

    @property
    def name(self) -> str:
        """Name of the file, and the number of the frame if the file has several."""
        number = f" frame {self.index + 1}" if self.instance.frames > 1 else ""
        return f"{self.instance.file.name}{number}"


def frames_of(instance: Instance) -> list[Frame]:
    """Return the frames of one file.

    Raises:
        InputError: an attribute does not hold the numbers that the standard requires.
    """
    shared = _items(instance.header, "SharedFunctionalGroupsSequence")
    per_frame = _items(instance.header, "PerFrameFunctionalGroupsSequence")
    if instance.frames > 1 and len(per_frame) != instance.frames:
        raise InputError(
            str(instance.file),
            expected=f"{instance.frames} frames with a position in "
            "PerFrameFunctionalGroupsSequence",
            found=f"{len(per_frame)}",
            remedy="Frames without a position do not form a volume (this may be a cine loop, such "
            "as ultrasound): give a single image.",
        )
    return [
        _frame(instance, index, [*per_frame[index : index + 1], *shared[:1], instance.header])
        for index in range(instance.frames)
    ]


def along_normal(frames: Sequence[Frame]) -> NDArray[np.intp]:
    """Return the indices that sort frames along the normal of the first one.

    The order is unchanged if a frame has no position.
    """
    first = frames[0]
    if first.orientation is None or any(frame.position is None for frame in frames):
        return np.arange(len(frames))
    positions = np.array([frame.position for frame in frames])
    return np.argsort(positions @ np.cross(*first.orientation), kind="stable")


def _frame(instance: Instance, index: int, datasets: Sequence[Dataset]) -> Frame:
    position = _numbers(instance, datasets, "ImagePositionPatient", 3)
    spacing = _numbers(instance, datasets, "PixelSpacing", 2)
    thickness = _numbers(instance, datasets, "SpacingBetweenSlices", 1)
    if not thickness:
        thickness = _numbers(instance, datasets, "SliceThickness", 1)
    slope = _numbers(instance, datasets, "RescaleSlope", 1)
    intercept = _numbers(instance, datasets, "RescaleIntercept", 1)
    return Frame(
        instance,
        index,
        position=None if position is None else np.array(position),
        orientation=_orientation(
            instance, _numbers(instance, datasets, "ImageOrientationPatient", 6)
        ),
        spacing=None if spacing is None else _positive(instance, spacing),
        thickness=abs(thickness[0]) if thickness and thickness[0] else 1.0,
        slice_thickness=_slice_thickness(datasets),
        slope=slope[0] if slope else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        datasets=tuple(datasets),
    )


def _slice_thickness(datasets: Sequence[Dataset]) -> float | None:
    """Return SliceThickness, or None if it is not a number: it is optional, so that is no error."""
    try:
        thickness = float(_value(datasets, "SliceThickness") or 0)
    except (TypeError, ValueError):
        return None
    return thickness if 0 < thickness < math.inf else None


def _orientation(
    instance: Instance, numbers: tuple[float, ...] | None
) -> NDArray[np.float64] | None:
    if numbers is None:
        return None
    vectors = np.reshape(numbers, (2, 3))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if np.abs(lengths - 1).max() > 0.01 or abs(np.dot(*(vectors / lengths))) > 1e-3:
        raise _unusable(
            instance,
            "ImageOrientationPatient",
            expected="two unit vectors at right angles",
            found=" ".join(f"{number:.4g}" for number in numbers),
        )
    return np.asarray(vectors / lengths, dtype=np.float64)


def _positive(instance: Instance, spacing: tuple[float, ...]) -> tuple[float, float]:
    if min(spacing) <= 0:
        raise _unusable(
            instance,
            "PixelSpacing",
            expected="two distances above 0 mm",
            found=f"{spacing[0]:.4g} and {spacing[1]:.4g}",
        )
    return (spacing[0], spacing[1])


def _numbers(
    instance: Instance, datasets: Sequence[Dataset], keyword: str, count: int
) -> tuple[float, ...] | None:
    value = _value(datasets, keyword)
    if value is None or value == "":
        return None
    try:
        numbers = tuple(float(number) for number in (value if count > 1 else [value]))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        plural = "s" if count > 1 else ""
        raise _unusable(instance, keyword, expected=f"{count} number{plural}", found=repr(value))
    return numbers


def _value(datasets: Sequence[Dataset], keyword: str) -> Any:
    """Return an attribute of the frame, else of all frames, else of the top level."""
    for dataset in datasets:
        for group in (*_items(dataset, _FUNCTIONAL_GROUPS[keyword])[:1], dataset):
            if (value := group.get(keyword)) is not None:
                return value
    return None


def _items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    return dataset.get(keyword) or ()


def _unusable(instance: Instance, keyword: str, *, expected: str, found: str) -> InputError:
    return InputError(
        str(instance.file),
        expected=f"{expected} in {keyword}",
        found=found,
        remedy="Export the series again from the scanner or archive.",
    )
