"""Transform of scans to network space, for training and prediction alike, and its inverse.

Scan space is the grid and axis order of the file; in network space a scan is in RAS+ order, cropped
to its content, harmonized if the plan says so, normalized, and at the voxel spacing of the plan.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.memory import require_memory
from segkit.plans.plan import Plan
from segkit.preprocessing.harmonization import ScanHarmonization, harmonizer_of
from segkit.preprocessing.intensity import Normalizer, apply_normalizers, normalizers
from segkit.preprocessing.labels import index_dtype
from segkit.preprocessing.orient_and_crop import (
    AxisMap,
    content_box,
    content_mask,
    mask_box,
    to_ras,
)
from segkit.preprocessing.resample import (
    axis_matrices,
    grid_shape,
    matrices_of_part,
    resample,
    resample_bytes,
    resample_labels,
)
from segkit.preprocessing.scan_checks import check_scan, scan_warnings
from segkit.volume import Box, Grid, Shape, Volume

log = logging.getLogger(__name__)

ABSURD = 100
"""Growth in the number of voxels by resampling above which memory is checked first.

Slices of 8 mm that are resampled to 1 mm grow 8 times.
"""
TOO_MANY = 1000
"""Growth in the number of voxels above which a scan is refused.

It corresponds to a voxel spacing that is ten times too large along each axis.
"""
FEW = 10_000_000
"""Number of voxels that can be processed quickly, whatever the growth."""


@dataclass(frozen=True)
class InverseTransform:
    """Inverse of the preprocessing of a scan, for results that belong on the scan's grid."""

    axis_map: AxisMap
    source_shape: Shape
    """Shape (X, Y, Z) of the scan, in the axis order of its file."""
    box: Box
    """Box of the scan that was kept by the crop, in RAS+ order."""
    cropped_shape: Shape
    """Shape (X, Y, Z) of that box, in RAS+ order."""
    network_shape: Shape
    """Shape (X, Y, Z) of that box at the voxel spacing of the plan."""

    @property
    def source_voxels(self) -> int:
        """Number of voxels of the scan."""
        return math.prod(self.source_shape)

    def view(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the cropped part of an array on the scan's grid, in RAS+ order.

        It is a view: writing to it writes to ``array``, of shape (X, Y, Z) or (K, X, Y, Z).
        """
        turned: NDArray[Any] = self.axis_map.apply(array.reshape(-1, *array.shape[-3:]))[
            :, *self.box
        ]
        return turned if array.ndim == 4 else np.asarray(turned[0])


@dataclass(frozen=True, eq=False)
class Prepared:
    """Scan in network space."""

    image: NDArray[np.float32]
    """Voxels (C, X, Y, Z), contiguous."""
    inverse: InverseTransform


@dataclass(frozen=True, eq=False)
class ScanParts:
    """Scan in network space, of which parts are computed on demand.

    Only the voxels of the scan are held in memory. A part is bitwise equal to that part of the
    whole scan in network space.
    """

    voxels: NDArray[Any]
    """Voxels (C, X, Y, Z) of the cropped scan in RAS+ order, with the values of the file."""
    mask: NDArray[np.bool_] | None
    """Mask (X, Y, Z) of the content, for masked channels; None if all voxels are content."""
    normalizers: list[Normalizer]
    inverse: InverseTransform
    grid: Grid
    """Grid of the scan before it was cropped, in RAS+ order."""
    corner: tuple[float, ...]
    """Value of each channel in a corner of the scan, which is that of a constant border."""
    harmonization: ScanHarmonization | None = None
    """How the normalizers harmonize the scan; None if the plan has no harmonization."""

    @property
    def shape(self) -> Shape:
        """Shape (X, Y, Z) in network space."""
        return self.inverse.network_shape

    def part(self, box: Box) -> NDArray[np.float32]:
        """Return the voxels (C, X, Y, Z) of a box of network space as float32."""
        needed, matrices = matrices_of_part(self._matrices, box)
        mask = None if self.mask is None else self.mask[needed]
        return resample(
            apply_normalizers(self.normalizers, self.voxels[:, *needed], mask), matrices
        )

    @cached_property
    def _matrices(self) -> dict[int, scipy.sparse.csr_array]:
        return axis_matrices(self.inverse.cropped_shape, self.shape, "cubic")


def prepare(
    volume: Volume,
    plan: Plan,
    *,
    group: str = "",
    where: str | Path = "scan",
    max_memory: int | None = None,
) -> Prepared:
    """Reorient to RAS+, crop the constant border, harmonize, normalize, resample to the spacing.

    Unusual properties of the scan are logged as warnings.

    Args:
        volume: the scan (C, X, Y, Z), in any orientation, as a reader of `segkit.io` returns it.
        plan: the plan with which the network was trained.
        group: group of the scan (`segkit.preprocessing.harmonization.Harmonizer`).
        where: name of the scan in messages.
        max_memory: bytes that resampling may take; by default the free memory.

    Raises:
        InputError: the scan has a different number of channels or unit than the plan, voxels that
            cannot be normalized, or far too many voxels at the plan's spacing.
        OutOfMemoryError: the scan at the plan's spacing does not fit into memory.
    """
    parts = prepare_parts(volume, plan, group=group, where=where)
    warnings = scan_warnings(parts.grid, plan, parts.normalizers, corner=parts.corner)
    warnings += parts.harmonization.warnings if parts.harmonization else ()
    for warning in warnings:
        log.warning("%s: %s", where, warning)
    if parts.shape != parts.inverse.cropped_shape:
        _require_memory(parts, volume, where, max_memory)
    x, y, z = (slice(0, size) for size in parts.shape)
    return Prepared(np.ascontiguousarray(parts.part((x, y, z))), parts.inverse)


def prepare_parts(
    volume: Volume,
    plan: Plan,
    *,
    group: str = "",
    as_read: Volume | None = None,
    where: str | Path = "scan",
) -> ScanParts:
    """Return the scan in network space, to be computed part by part.

    The arguments are those of `prepare`. Nothing is logged. Whether all voxels are finite is not
    checked: the readers of `segkit.io` do. ``as_read`` is the scan before a tilt of its slices was
    undone, whose intensities decide how it is harmonized; default ``volume``.

    Raises:
        InputError: the scan has a different number of channels or unit than the plan, voxels that
            cannot be normalized, or far too many voxels at the plan's spacing.
        OutOfMemoryError: resampling increases the number of voxels so much that they do not fit
            into memory.
    """
    check_scan(volume, plan, where)
    reoriented, axis_map = to_ras(volume)
    box, mask = _content(reoriented.array, plan)
    voxels = reoriented.array[:, *box]
    shape = reoriented.with_array(voxels).grid.shape
    inverse = InverseTransform(
        axis_map, volume.grid.shape, box, shape, grid_shape(shape, reoriented.spacing, plan.spacing)
    )
    harmonize = harmonizer_of(plan)
    harmonization = harmonize(as_read or volume, group, where=where) if harmonize else None
    curves = harmonization.maps if harmonization else None
    measured = normalizers(voxels, plan.channels, mask, curves=curves, where=where)
    corner = tuple(float(value) for value in np.asarray(reoriented.array[:, 0, 0, 0]))
    parts = ScanParts(voxels, mask, measured, inverse, reoriented.grid, corner, harmonization)
    if math.prod(parts.shape) > ABSURD * math.prod(shape):
        _require_memory(parts, volume, where, None)
        _check_number(parts, volume, where)
    return parts


def _content(array: NDArray[Any], plan: Plan) -> tuple[Box, NDArray[np.bool_] | None]:
    """Return the box of a scan (C, X, Y, Z) to keep, and its mask if a channel is masked."""
    shape = array.shape[1:]
    if plan.crop_to_content and not any(channel.masked for channel in plan.channels):
        return content_box(array), None
    mask = content_mask(array) if plan.crop_to_content else None
    box = mask_box(mask, shape)
    # A copy, because a view would keep the whole mask in memory.
    return box, None if mask is None else mask[box].copy()


def prepare_labels(
    labels: Volume, plan: Plan, inverse: InverseTransform
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return label indices in network space.

    Args:
        labels: indices (1, X, Y, Z) on the grid of the scan.
        plan: the plan with which the scan was prepared.
        inverse: inverse of the preprocessing of the scan.

    Returns:
        Indices (X, Y, Z), as uint8 if they fit.
    """
    cropped = inverse.axis_map.apply(labels.array)[0][inverse.box]
    ignored = None if plan.ignore is None else len(plan.targets) + 1
    indices = cropped.astype(index_dtype(ignored or len(plan.targets)))
    return np.ascontiguousarray(resample_labels(indices, inverse.network_shape, ignored=ignored))


def _require_memory(parts: ScanParts, volume: Volume, where: str | Path, limit: int | None) -> None:
    """Raise an OutOfMemoryError early: a wrong spacing in a header may require terabytes."""
    cropped_shape = parts.inverse.cropped_shape
    sizes = [" x ".join(map(str, shape)) for shape in (cropped_shape, parts.shape)]
    edges = " x ".join(f"{volume.spacing[axis]:.3g}" for axis in parts.inverse.axis_map.order)
    what = (
        f"{sizes[0]} voxels of {edges} {volume.unit}, resampled to the {sizes[1]} of the model's"
        " spacing,"
    )
    needed = resample_bytes(volume.channels, cropped_shape, parts.shape)
    require_memory(where, needed, what, limit=limit)


def _check_number(parts: ScanParts, volume: Volume, where: str | Path) -> None:
    """Raise an InputError if prediction would take days, probably because of a wrong spacing."""
    times = math.prod(parts.shape) / math.prod(parts.inverse.cropped_shape)
    if times > TOO_MANY and math.prod(parts.shape) > FEW:
        shape = " x ".join(map(str, parts.shape))
        edges = " x ".join(f"{edge:.3g}" for edge in volume.spacing)
        raise InputError(
            where,
            expected="voxels of about the size that the plan was made for",
            found=(
                f"voxels of {edges} {volume.unit}, which become {shape}, {times:.0f} times as many"
            ),
            remedy="Check the voxel size in the scan's header, and the spacing of the plan.",
        )
