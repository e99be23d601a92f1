"""Checks of a scan against a plan: refusals, and warnings about what is unusual.

A scan of other channels, or of another kind, cannot be used and is refused. One that is merely
unlike the training data is used, with a warning.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from segkit.errors import InputError
from segkit.plans.plan import Plan
from segkit.plans.ranges import ChannelRange, DataRanges, Range
from segkit.preprocessing.ct_values import (
    Reference,
    air_warning,
    ct_warning,
    other_modality_warning,
)
from segkit.preprocessing.intensity import Normalizer
from segkit.volume import Grid, Volume

THICK = 1.5
"""Ratio of slice thickness to pixel spacing above which the slice axis of a scan is clear."""
EDGES_APART = 3.0
"""Factor from the median beyond which a voxel spacing is odd in a dataset."""
EDGES_UNTESTED = 1.5
"""Factor from the range of the training beyond which a spacing of a scan is unusual."""
SIZES_APART = 2.0
"""Factor beyond which the field of view is unusually large or small."""
TRAINING = "the training data"
"""Name of the training data in messages."""
_PLANES = ("x (sagittal)", "y (coronal)", "z (axial)")


def check_scan(volume: Volume, plan: Plan, where: str | Path) -> None:
    """Check that a scan has the channels and the kind of grid of a plan, and voxels at all.

    Raises:
        InputError: it has not.
    """
    names = ", ".join(channel.name for channel in plan.channels)
    if volume.channels != len(plan.channels):
        plural = "s" if len(plan.channels) > 1 else ""
        raise InputError(
            where,
            expected=f"{len(plan.channels)} channel{plural} ({names})",
            found=f"{volume.channels}",
            remedy=_channel_remedy(volume.channels, len(plan.channels)),
        )
    if volume.unit != plan.unit:
        kinds = {"mm": "a scan with voxel sizes in mm", "px": "a picture without voxel sizes"}
        raise InputError(
            where,
            expected=kinds[plan.unit],
            found=kinds[volume.unit],
            remedy="Use a model that was trained on such images"
            + (", or give the original scan as DICOM or NIfTI." if plan.unit == "mm" else "."),
        )
    if not volume.array.size:
        raise InputError(
            where,
            expected="voxels",
            found=f"the shape {volume.array.shape}",
            remedy="Is this the whole scan?",
        )


def _channel_remedy(found: int, expected: int) -> str:
    if found > expected:
        few = f"the {expected} that are meant as a file of their own"
        return (
            "The file has more images than the model uses (time points, contrasts or colors). Save"
            f" {few if expected > 1 else 'the one that is meant as a file of its own'}."
        )
    return (
        "Give every channel that the model was trained on, in this order: a file of them"
        " all, or one each ('segkit predict --channel NAME=FILE ...', or a CSV file with a"
        " column image:NAME each)."
    )


def scan_warnings(
    grid: Grid,
    plan: Plan,
    measured: Sequence[Normalizer],
    training: DataRanges | None = None,
    *,
    corner: Sequence[float] = (),
    other_modality: Collection[str] = (),
) -> list[str]:
    """Return warnings about everything that is unusual about a scan for a plan.

    Args:
        grid: grid of the scan in RAS+ order.
        plan: the plan of the model.
        measured: statistics of each channel of the scan.
        training: ranges of the training data; without them the scan is compared with the plan only.
        corner: value of each channel in a corner of the scan, which is that of a constant border;
            without it the scan is assumed to have no such border.
        other_modality: names of channels that are known to be of another modality; their values
            are not compared.
    """
    geometry = _geometry(grid, plan, training) if training else ()
    warnings = [
        *_slices(grid, plan),
        *_constant_channels(measured),
        *geometry,
        *_values(measured, training, corner, other_modality),
    ]
    return [warning for warning in warnings if warning]


def no_estimate_because(
    measured: Sequence[Normalizer],
    training: DataRanges | None,
    other_modality: Collection[str] = (),
) -> str:
    """Return why validation cases say nothing about the result of a scan; "" where they may.

    The arguments are those of `scan_warnings`.
    """
    if all(channel.lowest == channel.highest for channel in measured):
        return "the scan has no contrast"
    ranges = training.channels if training else ()
    for channel, scans in zip_longest(measured, ranges[: len(measured)]):
        name = channel.channel.name
        if name in other_modality or _other_kind_warning(channel, scans):
            return f"channel {name} is unlike the scans of the training"
    return ""


def comparable_labels(grid: Grid, plan: Plan) -> DataRanges | None:
    """Return the training data's ranges if labels of a scan can be compared with them, or None.

    They cannot for a plan of an older version, which has no ranges; for partly annotated data,
    whose volumes are those of the annotated part only; and where a model of slices, or of parts of
    pictures, predicts many more or fewer of them than a training case has.

    Args:
        grid: grid of the scan in RAS+ order.
        plan: the plan of the model.
    """
    if plan.training is None or plan.ignore is not None:
        return None
    axes = range(3) if plan.unit == "px" else [axis for axis in range(3) if axis == plan.slice_axis]
    size = [number * edge for number, edge in zip(grid.shape, grid.spacing, strict=True)]
    is_other = any(is_far(size[axis], plan.training.size[axis], SIZES_APART) for axis in axes)
    return None if is_other else plan.training


def _slices(grid: Grid, plan: Plan) -> Iterator[str]:
    if plan.dims == 3 and min(grid.shape) == 1:
        yield "the scan is one slice, and the model was trained on volumes; look at the result"
    axis = slice_axis_of(grid, plan)
    if plan.slice_axis is not None and axis is not None and axis != plan.slice_axis:
        yield (
            f"its slices, {grid.spacing[axis]:.3g} mm thick, lie across {_PLANES[axis]}, and the"
            f" model, which was trained on slices across {_PLANES[plan.slice_axis]}, cuts it across"
            " that; look at the result"
        )


def _constant_channels(measured: Sequence[Normalizer]) -> Iterator[str]:
    for channel in measured:
        if channel.lowest == channel.highest:
            yield (
                f"channel {channel.channel.name}: the scan has one constant value; nothing can be"
                " told apart in it"
            )


def _geometry(grid: Grid, plan: Plan, training: DataRanges) -> Iterator[str | None]:
    size = [number * edge for number, edge in zip(grid.shape, grid.spacing, strict=True)]
    axes = [axis for axis in range(3) if axis != plan.slice_axis]
    yield edges_warning(grid.spacing, training.spacing, axes, plan.unit)
    # Pictures have no size in mm, and a model may be trained on tiles of them.
    if plan.unit == "mm":
        yield size_warning(size, training.size, axes, plan.unit)


def _values(
    measured: Sequence[Normalizer],
    training: DataRanges | None,
    corner: Sequence[float],
    other_modality: Collection[str],
) -> Iterator[str]:
    ranges = training.channels if training else ()
    for channel, scans, value in zip_longest(measured, ranges[: len(measured)], corner):
        name = channel.channel.name
        warning = values_warning(channel, scans, corner=value)
        if warning and name not in other_modality:
            yield f"channel {name}: {warning}"


def edges_warning(
    spacing: Sequence[float], usual: Sequence[Range], axes: Sequence[int], unit: str
) -> str | None:
    """Return a warning if the voxel spacing is far from the usual along one of ``axes``."""
    if not any(is_far(spacing[axis], usual[axis], EDGES_UNTESTED) for axis in axes):
        return None
    had = f"{TRAINING} have {_ranges(usual)} {unit}"
    return f"voxels of {_times(spacing)} {unit}; {had}: check the voxel size of the scan"


def size_warning(
    size: Sequence[float], usual: Sequence[Range], axes: Sequence[int], unit: str
) -> str | None:
    """Return a warning if the field of view is far from the usual along one of ``axes``."""
    if not any(is_far(size[axis], usual[axis], SIZES_APART) for axis in axes):
        return None
    return f"the field of view is {_times(size)} {unit}; {TRAINING} have {_ranges(usual)} {unit}"


def is_far(value: float, usual: Range, factor: float) -> bool:
    """Return whether a value is more than ``factor`` times above or below the usual range.

    >>> is_far(3.5, (0.5, 1.0), 3.0), is_far(0.2, (0.5, 1.0), 3.0)
    (True, False)
    """
    return value > factor * usual[1] or value * factor < usual[0]


def slice_axis_of(grid: Grid, plan: Plan) -> int | None:
    """Return the axis (RAS+) across which the slices of a scan lie; None if it is unclear.

    It is the axis with a single slice, or the axis whose spacing is more than `THICK` times that of
    the plan's slice axis and more than `THICK` times its spacing in the plan. In 3D it is None.
    """
    if plan.slice_axis is None or grid.shape[plan.slice_axis] == 1:
        return plan.slice_axis
    if min(grid.shape) == 1:
        return grid.shape.index(1)
    coarsest = max(range(3), key=lambda axis: grid.spacing[axis])
    usual = plan.spacing[coarsest] or 0.0
    thick = grid.spacing[coarsest] > THICK * max(grid.spacing[plan.slice_axis], usual)
    return coarsest if thick else None


def values_warning(
    measured: Normalizer, scans: ChannelRange | None, *, corner: float | None = None
) -> str | None:
    """Return a warning if the values of a channel are unlike those of the training data, or None.

    Args:
        measured: statistics of the channel.
        scans: ranges of the channel in the training data.
        corner: value of the channel in a corner of the scan.
    """
    warning = _other_kind_warning(measured, scans)
    if warning or measured.channel.scheme != "ct":
        return warning
    # Unlike the statistics of the scan, the ranges of the training data include the constant
    # border that is cropped.
    lowest = measured.lowest if corner is None else min(measured.lowest, corner)
    return air_warning(lowest, measured.highest, _reference(measured, scans))


def _other_kind_warning(measured: Normalizer, scans: ChannelRange | None) -> str | None:
    """Return a warning if the values are of another scale or modality, or None."""
    low, high = measured.lowest, measured.highest
    reference = _reference(measured, scans)
    if measured.channel.scheme == "ct":
        return ct_warning(low, high, reference)
    if measured.channel.scheme == "zscore":
        return other_modality_warning(low, high, reference, whole=True, noise=measured.noise)
    return None


def _reference(measured: Normalizer, scans: ChannelRange | None) -> Reference:
    channel = measured.channel
    labeled = (channel.lower, channel.upper) if channel.scheme == "ct" else None
    return Reference(TRAINING, labeled, scans)


def _ranges(ranges: Sequence[Range]) -> str:
    return " x ".join(range_text(values) for values in ranges)


def range_text(values: Range) -> str:
    """Return a range as text.

    >>> range_text((1.0, 1.0)), range_text((0.8, 1.2)), range_text((0.8, 3141.6))
    ('1', '0.8 to 1.2', '0.8 to 3142')
    """
    low, high = map(_number, values)
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    """Return a number with three digits, but rounded to 1 from 1000 to a million, such as 3142."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1_000_000 else f"{value:.3g}"


def _times(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
