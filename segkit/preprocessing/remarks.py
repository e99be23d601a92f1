"""What is odd about a scan for a plan, in words: it can be used, and whoever reads the result should know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from segkit.plans import Plan
from segkit.preprocessing.intensity import Normalizer
from segkit.volume import Grid

THICK = 1.5
"""Slices that are thicker than the pixels along another axis by this factor say across which axis a scan was cut."""
_PLANES = ("x (sagittal)", "y (coronal)", "z (axial)")


def remarks(grid: Grid, plan: Plan, found: Sequence[Normalizer], *, where: str | Path) -> Iterator[str]:
    """Lines for the log, each with the scan's name ``where``; ``grid`` is the scan's, turned to RAS+."""
    if plan.dims == 3 and min(grid.shape) == 1:
        yield f"{where}: the scan is one slice, and the model was trained on volumes; look at the result"
    axis = own_slice_axis(grid, plan)
    if plan.slice_axis is not None and axis is not None and axis != plan.slice_axis:
        yield (
            f"{where}: its slices, {grid.spacing[axis]:.3g} mm thick, lie across {_PLANES[axis]}, and the model, which"
            f" was trained on slices across {_PLANES[plan.slice_axis]}, cuts it across that; look at the result"
        )
    for each in found:
        if each.lowest == each.highest:
            name = f"{where}, channel {each.channel.name}"
            yield f"{name}: the scan has one constant value; nothing can be told apart in it"


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
