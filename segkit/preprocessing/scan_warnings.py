"""What is unusual about a scan for a plan, in words: it can be used, and whoever reads the result should know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from segkit.plans.plan import Plan
from segkit.plans.ranges import ChannelRange, DataRanges, Range
from segkit.preprocessing.ct_values import (
    Reference,
    air_warning,
    ct_warning,
    other_modality_warning,
)
from segkit.preprocessing.intensity import Normalizer
from segkit.volume import Grid

THICK = 1.5
"""Slices that are thicker than the pixels along another axis by this factor say across which axis a scan was cut."""
EDGES_APART = 3.0
"""A voxel edge this many times larger or smaller than usual is worth a look."""
SIZES_APART = 2.0
"""As EDGES_APART, for the edges of the field of view."""
TRAINING = "the training data"
_PLANES = ("x (sagittal)", "y (coronal)", "z (axial)")


def scan_warnings(
    grid: Grid,
    plan: Plan,
    found: Sequence[Normalizer],
    training: DataRanges | None = None,
    *,
    corner: Sequence[float] = (),
) -> list[str]:
    """Everything that is unusual about a scan for a plan, and against the ``training`` data where it is given.

    ``grid`` is the scan's, turned to RAS+. ``corner`` holds the value of each channel in the scan's corner, which is
    that of its constant border where one was cut away; without it, a scan is taken to have no such border.
    """
    geometry = _geometry(grid, plan, training) if training else ()
    warnings = [
        *_slices(grid, plan),
        *_constant_channels(found),
        *geometry,
        *_values(found, training, corner),
    ]
    return [warning for warning in warnings if warning]


def _slices(grid: Grid, plan: Plan) -> Iterator[str]:
    if plan.dims == 3 and min(grid.shape) == 1:
        yield "the scan is one slice, and the model was trained on volumes; look at the result"
    axis = own_slice_axis(grid, plan)
    if plan.slice_axis is not None and axis is not None and axis != plan.slice_axis:
        yield (
            f"its slices, {grid.spacing[axis]:.3g} mm thick, lie across {_PLANES[axis]}, and the model, which was"
            f" trained on slices across {_PLANES[plan.slice_axis]}, cuts it across that; look at the result"
        )


def _constant_channels(found: Sequence[Normalizer]) -> Iterator[str]:
    for each in found:
        if each.lowest == each.highest:
            yield f"channel {each.channel.name}: the scan has one constant value; nothing can be told apart in it"


def _geometry(grid: Grid, plan: Plan, training: DataRanges) -> Iterator[str | None]:
    size = [number * edge for number, edge in zip(grid.shape, grid.spacing, strict=True)]
    axes = [axis for axis in range(3) if axis != plan.slice_axis]
    yield edges_warning(grid.spacing, training.spacing, axes, plan.unit)
    if plan.unit == "mm":  # a model of pictures may be trained on tiles of them
        yield size_warning(size, training.size, axes, plan.unit)


def _values(
    found: Sequence[Normalizer], training: DataRanges | None, corner: Sequence[float]
) -> Iterator[str]:
    ranges = training.channels if training else ()
    for each, scans, value in zip_longest(found, ranges[: len(found)], corner):
        warning = values_warning(each, scans, corner=value)
        if warning:
            yield f"channel {each.channel.name}: {warning}"


def edges_warning(
    spacing: Sequence[float],
    usual: Sequence[Range],
    axes: Sequence[int],
    unit: str,
    *,
    source: str = TRAINING,
) -> str | None:
    """Say that voxel edges are far from the ``usual`` ranges along one of ``axes``; None if they are not."""
    if not any(is_far(spacing[axis], usual[axis], EDGES_APART) for axis in axes):
        return None
    return f"voxels of {_times(spacing)} {unit}; {source} have {_ranges(usual)} {unit}"


def size_warning(
    size: Sequence[float], usual: Sequence[Range], axes: Sequence[int], unit: str
) -> str | None:
    """Say that the field of view is far from those of the training along one of ``axes``; None if it is not."""
    if not any(is_far(size[axis], usual[axis], SIZES_APART) for axis in axes):
        return None
    return f"the field of view is {_times(size)} {unit}; {TRAINING} have {_ranges(usual)} {unit}"


def is_far(value: float, usual: Range, factor: float) -> bool:
    """Return whether a value is more than ``factor`` times above the highest, or below the lowest, usual value."""
    return value > factor * usual[1] or value * factor < usual[0]


def own_slice_axis(grid: Grid, plan: Plan) -> int | None:
    """The axis (RAS+) across which a scan's own slices lie, as far as a 2D plan can be wrong about it; else None.

    It is the one with a single slice, or the one along which voxels are `THICK` times longer than along the plan's
    slice axis, and than the plan has them. Pictures have one slice along Z.
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
    found: Normalizer, scans: ChannelRange | None, *, corner: float | None = None
) -> str | None:
    """Say how the values of a channel differ from those of the training data; None if they may belong to it.

    ``corner`` is the channel's value in the scan's corner.
    """
    channel = found.channel
    if channel.scheme == "ct":
        reference = Reference(TRAINING, (channel.lower, channel.upper), scans)
        # The training scans were measured with the constant border that is cut away before a scan is normalized.
        lowest = found.lowest if corner is None else min(found.lowest, corner)
        return ct_warning(found.lowest, found.highest, reference) or air_warning(
            lowest, found.highest, reference
        )
    if channel.scheme == "zscore":
        return other_modality_warning(
            found.lowest, found.highest, Reference(TRAINING, scans=scans), whole=True
        )
    return None


def _ranges(ranges: Sequence[Range]) -> str:
    return " x ".join(range_text(each) for each in ranges)


def range_text(values: Range) -> str:
    """A range in words.

    >>> range_text((1.0, 1.0)), range_text((0.8, 1.2)), range_text((0.8, 3141.6))
    ('1', '0.8 to 1.2', '0.8 to 3142')
    """
    low, high = map(_number, values)
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    """Three digits, or whole numbers up to a million: 3142 ml is read sooner than 3.14e+03."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1_000_000 else f"{value:.3g}"


def _times(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)
