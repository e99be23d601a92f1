"""Choose the voxel spacing to which scans are resampled, and the slice axis of 2D networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segkit.errors import UsageError
from segkit.fingerprint.case_facts import CaseFacts
from segkit.preprocessing.resample import grid_shape
from segkit.volume import Shape

Spacing = tuple[float | None, float | None, float | None]
"""Voxel spacing along X, Y, Z in mm or px; None along the slice axis of a 2D network."""
ANISOTROPY = 3.0
"""Ratio of the coarsest to the next voxel spacing above which an axis is treated separately."""


def choose_slice_axis(cases: Sequence[CaseFacts], dims: int | None) -> int | None:
    """Return the axis along which a 2D network takes its slices, or None for a 3D network.

    Args:
        cases: facts of the cases.
        dims: 2 or 3; by default 3, unless the scans are single slices.

    Raises:
        UsageError: ``dims`` does not fit the data.
    """
    size = np.median([case.shape for case in cases], axis=0)
    edges = np.median([case.spacing for case in cases], axis=0)
    if dims is None:
        dims = 3 if size.min() > 1 else 2
    if dims == 3:
        if size.min() <= 1:
            raise UsageError(
                "network.dims=3: the dataset holds single slices or pictures. Use network.dims=2."
            )
        return None
    if dims != 2:
        raise UsageError(f"network.dims={dims} must be 2 or 3.")
    single = [axis for axis in range(3) if size[axis] <= 1]
    if single:
        return single[-1]
    coarsest = [axis for axis in range(3) if edges[axis] >= 0.99 * edges.max()]
    return min(reversed(coarsest), key=lambda axis: size[axis])


def usual_spacing(cases: Sequence[CaseFacts], slice_axis: int | None) -> tuple[Spacing, str]:
    """Return the spacing to which to resample these cases, and the reason for it as text.

    It is the median along each axis. If slices are thick, it is the 10th percentile along their
    axis, as in nnU-Net, but not finer than along the other axes.

    Args:
        cases: facts of the cases.
        slice_axis: slice axis of a 2D network, or None.
    """
    edges = np.array([case.spacing for case in cases])
    target = [float(f"{edge:.5g}") for edge in np.median(edges, axis=0)]
    reason = "The median of the scans along each axis."
    coarse = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != coarse]
    size = median_size(cases, (target[0], target[1], target[2]))
    coarsest_other = max(target[axis] for axis in others)
    thin = size[coarse] * ANISOTROPY < min(size[axis] for axis in others)
    if slice_axis is None and target[coarse] > ANISOTROPY * coarsest_other and thin:
        tenth = float(f"{np.percentile(edges[:, coarse], 10):.5g}")
        target[coarse] = max(tenth, coarsest_other)
        reason += (
            f" Slices are thick along {'xyz'[coarse]}: there the finest tenth of the scans counts."
        )
    return without_slices(target, slice_axis), reason


def without_slices(edges: Sequence[float], slice_axis: int | None) -> Spacing:
    """Return a spacing along X, Y, Z with None along the slice axis of a 2D network.

    >>> without_slices((1.0, 1.0, 5.0), slice_axis=2)
    (1.0, 1.0, None)
    """
    x, y, z = (None if axis == slice_axis else edges[axis] for axis in range(3))
    return (x, y, z)


def median_size(cases: Sequence[CaseFacts], spacing: Spacing) -> Shape:
    """Return the median size (X, Y, Z) in voxels of the cases, cropped and resampled."""
    sizes = [grid_shape(case.cropped, case.spacing, spacing) for case in cases]
    x, y, z = (max(1, round(float(edge))) for edge in np.median(sizes, axis=0))
    return (x, y, z)
