"""The one chain from scan space to network space, for training and prediction alike, and the way back."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from segkit.errors import InputError
from segkit.io.limits import check_finite, require_memory
from segkit.plans.plan import Plan
from segkit.preprocessing.crop import content_box, content_mask, mask_box
from segkit.preprocessing.intensity import Normalizer, apply_normalizers, normalizers
from segkit.preprocessing.labels import index_dtype
from segkit.preprocessing.orient import AxisMap, to_ras
from segkit.preprocessing.resample import (
    axis_matrices,
    grid_shape,
    resample,
    resample_bytes,
    resample_labels,
)
from segkit.preprocessing.scan_warnings import scan_warnings
from segkit.volume import Box, Grid, Shape, Volume

log = logging.getLogger(__name__)

ABSURD = 100
"""Times as many voxels at the plan's spacing as there are: slices of 8 mm at 1 mm make 8 times as many."""
TOO_MANY, FEW = 1000, 10_000_000
"""Edges ten times as long along each axis; and voxels that take no time all the same."""


@dataclass(frozen=True)
class WayBack:
    """What is needed to put a result of network space back onto the scan's own grid."""

    axis_map: AxisMap
    source_shape: Shape
    """Of the scan, in its own axis order."""
    box: Box
    """What was kept of it, in RAS+ order."""
    cropped_shape: Shape
    network_shape: Shape

    @property
    def source_voxels(self) -> int:
        return math.prod(self.source_shape)

    def view(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return what the network saw of an array (X, Y, Z) or (K, X, Y, Z) on the scan's grid, in RAS+ order.

        It is a view: writing to it writes to the array.
        """
        turned: NDArray[Any] = self.axis_map.apply(array.reshape(-1, *array.shape[-3:]))[
            :, *self.box
        ]
        return turned if array.ndim == 4 else np.asarray(turned[0])


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan as the network sees it."""

    image: NDArray[np.float32]
    """(C, X, Y, Z), contiguous."""
    way_back: WayBack


@dataclass(frozen=True, eq=False)
class ScanParts:
    """A scan as the network sees it, parts of which are made when they are asked for.

    Only the scan's own voxels are held. A part has the same voxels as the whole, bit for bit.
    """

    voxels: NDArray[Any]
    """(C, X, Y, Z) of the cropped scan in RAS+ order, as the file has them."""
    mask: NDArray[np.bool_] | None
    """Of the voxels that count, where a channel is masked."""
    normalizers: list[Normalizer]
    way_back: WayBack
    grid: Grid
    """Of the scan before it was cropped, in RAS+ order."""
    corner: tuple[float, ...]
    """Value of each channel in a corner of that scan: that of the constant border, where one was cut away."""

    @property
    def shape(self) -> Shape:
        """Voxels along X, Y, Z."""
        return self.way_back.network_shape

    def part(self, box: Box) -> NDArray[np.float32]:
        """The voxels of a box of the network's grid, float32 (C, and those along X, Y, Z)."""
        needed, matrices = list(box), dict(self._matrices)
        for axis, matrix in matrices.items():
            rows = matrix[box[axis]]
            needed[axis] = slice(int(rows.indices.min()), int(rows.indices.max()) + 1)
            matrices[axis] = rows[:, needed[axis]]
        mask = None if self.mask is None else self.mask[tuple(needed)]
        return resample(
            apply_normalizers(self.normalizers, self.voxels[:, *needed], mask), matrices
        )

    @cached_property
    def _matrices(self) -> dict[int, sparse.csr_array]:
        return axis_matrices(self.way_back.cropped_shape, self.shape, "cubic")


def prepare(
    volume: Volume, plan: Plan, *, where: str | Path = "scan", max_memory: int | None = None
) -> Prepared:
    """Turn to RAS+, cut away the constant border, normalise, resample to the plan's spacing; log what is odd.

    Args:
        volume: the scan, any orientation.
        plan: says how.
        where: the scan's name in messages.
        max_memory: bytes that resampling may take; None for what is free.

    Raises:
        InputError: another number of channels or unit than the plan has, or voxels that cannot be normalised.
        OutOfMemoryError: a grid at the plan's spacing that is too large.
    """
    parts = prepare_parts(volume, plan, where=where)
    for warning in scan_warnings(parts.grid, plan, parts.normalizers, corner=parts.corner):
        log.warning("%s: %s", where, warning)
    if parts.shape != parts.way_back.cropped_shape:
        _require_memory(parts, volume, where, max_memory)
    x, y, z = (slice(0, size) for size in parts.shape)
    return Prepared(np.ascontiguousarray(parts.part((x, y, z))), parts.way_back)


def prepare_parts(volume: Volume, plan: Plan, *, where: str | Path = "scan") -> ScanParts:
    """What `prepare` does, as far as it can be done before a part is asked for; nothing is logged.

    Raises:
        InputError: another number of channels or unit than the plan has, or voxels that cannot be normalised.
        OutOfMemoryError: a grid at the plan's spacing that is absurd and too large.
    """
    _check(volume, plan, where)
    turned, axis_map = to_ras(volume)
    box, kept = _content(turned.array, plan)
    voxels = turned.array[:, *box]
    shape = turned.with_array(voxels).grid.shape
    way_back = WayBack(
        axis_map, volume.grid.shape, box, shape, grid_shape(shape, turned.spacing, plan.spacing)
    )
    measured = normalizers(voxels, plan.channels, kept, where=where)
    corner = tuple(float(value) for value in np.asarray(turned.array[:, 0, 0, 0]))
    parts = ScanParts(voxels, kept, measured, way_back, turned.grid, corner)
    if math.prod(parts.shape) > ABSURD * math.prod(shape):
        _require_memory(parts, volume, where, None)
        _check_number(parts, volume, where)
    return parts


def _content(array: NDArray[Any], plan: Plan) -> tuple[Box, NDArray[np.bool_] | None]:
    """What is kept of (C, X, Y, Z), and which voxels of that count, where a channel is masked."""
    shape = array.shape[1:]
    if plan.crop_to_content and not any(channel.masked for channel in plan.channels):
        return content_box(array), None
    mask = content_mask(array) if plan.crop_to_content else None
    box = mask_box(mask, shape)
    return box, None if mask is None else mask[
        box
    ].copy()  # not a view: that would hold the whole mask


def prepare_labels(
    labels: Volume, plan: Plan, way_back: WayBack
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Label indices (1, X, Y, Z) on the scan's grid to network space (X, Y, Z), as the scan itself went."""
    cropped = way_back.axis_map.apply(labels.array)[0][way_back.box]
    ignored = None if plan.ignore is None else len(plan.targets) + 1
    indices = cropped.astype(index_dtype(ignored or len(plan.targets)))
    return np.ascontiguousarray(resample_labels(indices, way_back.network_shape, ignored=ignored))


def _require_memory(parts: ScanParts, volume: Volume, where: str | Path, limit: int | None) -> None:
    """Before anything is taken: a coarse scan, or a header that lies about spacing, may become terabytes."""
    cropped_shape = parts.way_back.cropped_shape
    sizes = [" x ".join(map(str, shape)) for shape in (cropped_shape, parts.shape)]
    edges = " x ".join(f"{volume.spacing[axis]:.3g}" for axis in parts.way_back.axis_map.order)
    what = f"{sizes[0]} voxels of {edges} {volume.unit}, resampled to the {sizes[1]} of the model's spacing,"
    require_memory(
        where, resample_bytes(volume.channels, cropped_shape, parts.shape), what, limit=limit
    )


def _check_number(parts: ScanParts, volume: Volume, where: str | Path) -> None:
    """A result that would take days is no better than one that does not fit."""
    times = math.prod(parts.shape) / math.prod(parts.way_back.cropped_shape)
    if times > TOO_MANY and math.prod(parts.shape) > FEW:
        shape, edges = (
            " x ".join(map(str, parts.shape)),
            " x ".join(f"{edge:.3g}" for edge in volume.spacing),
        )
        raise InputError(
            where,
            expected="voxels of about the size that the plan was made for",
            found=f"voxels of {edges} {volume.unit}, which become {shape}, {times:.0f} times as many",
            remedy="Check the voxel size in the scan's header, and the spacing of the plan.",
        )


def _check(volume: Volume, plan: Plan, where: str | Path) -> None:
    names = ", ".join(channel.name for channel in plan.channels)
    if volume.channels != len(plan.channels):
        raise InputError(
            where,
            expected=f"{len(plan.channels)} channel{'s' if len(plan.channels) > 1 else ''} ({names})",
            found=f"{volume.channels}",
            remedy="Give every channel that the model was trained on, in this order: a file of them all, or one each "
            "('segkit predict --channel NAME=FILE ...', or a CSV file with a column image:NAME each).",
        )
    if volume.unit != plan.unit:
        kinds = {"mm": "a scan with voxel sizes in mm", "px": "a picture without voxel sizes"}
        raise InputError(
            where,
            expected=kinds[plan.unit],
            found=kinds[volume.unit],
            remedy="Use a model that was trained on such images.",
        )
    if not volume.array.size:
        raise InputError(
            where,
            expected="voxels",
            found=f"the shape {volume.array.shape}",
            remedy="Is this the whole scan?",
        )
    check_finite(where, volume.array)
