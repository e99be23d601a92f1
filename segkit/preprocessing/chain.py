"""The one chain from scan space to network space, for training and prediction alike, and the way back."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.limits import check_finite, require_memory
from segkit.plans import Plan
from segkit.preprocessing.crop import Box, content_mask, mask_box
from segkit.preprocessing.intensity import normalize
from segkit.preprocessing.labels import index_dtype
from segkit.preprocessing.orient import AxisMap, to_ras
from segkit.preprocessing.resample import grid_shape, resample, resample_bytes, resample_labels
from segkit.volume import Shape, Volume

log = logging.getLogger(__name__)


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

    def restore(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Labels (X, Y, Z) on the cropped RAS+ grid to the scan's grid; 0 outside the box."""
        if labels.shape != self.cropped_shape:
            raise ValueError(f"labels have shape {labels.shape}, the cropped grid has {self.cropped_shape}")
        turned = np.zeros([self.source_shape[axis] for axis in self.axis_map.order], dtype=labels.dtype)
        turned[self.box] = labels
        return np.ascontiguousarray(self.axis_map.undo(turned[None])[0])


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan as the network sees it."""

    image: NDArray[np.float32]
    """(C, X, Y, Z), contiguous."""
    way_back: WayBack


def prepare(volume: Volume, plan: Plan, *, where: str | Path = "scan", max_memory: int | None = None) -> Prepared:
    """Turn to RAS+, cut away the constant border, normalise, resample to the plan's spacing.

    Args:
        volume: the scan, any orientation.
        plan: says how.
        where: the scan's name in messages.
        max_memory: bytes that resampling may take; None for what is free.

    Raises:
        InputError: another number of channels or unit than the plan has, or voxels that cannot be normalised.
        OutOfMemoryError: a grid at the plan's spacing that is too large.
    """
    _check(volume, plan, where)
    if plan.dims == 3 and min(volume.grid.shape) == 1:
        log.warning("%s: the scan is one slice, and the model was trained on volumes; look at the result", where)
    turned, axis_map = to_ras(volume)
    mask = content_mask(turned.array) if plan.crop_to_content else None
    box = mask_box(mask, turned.array.shape[1:])
    cropped = turned.with_array(turned.array[(slice(None), *box)])
    shape = cropped.grid.shape
    network_shape = grid_shape(shape, turned.spacing, plan.spacing)
    _check_memory(cropped, network_shape, where, max_memory)
    image = normalize(cropped.array, plan.channels, None if mask is None else mask[box], where=where)
    image = np.ascontiguousarray(resample(image, network_shape, "cubic"))
    return Prepared(image, WayBack(axis_map, volume.grid.shape, box, shape, network_shape))


def prepare_labels(labels: Volume, plan: Plan, way_back: WayBack) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Label indices (1, X, Y, Z) on the scan's grid to network space (X, Y, Z), as the scan itself went."""
    cropped = way_back.axis_map.apply(labels.array)[0][way_back.box]
    ignored = None if plan.ignore is None else len(plan.targets) + 1
    indices = cropped.astype(index_dtype(ignored or len(plan.targets)))
    return np.ascontiguousarray(resample_labels(indices, way_back.network_shape, ignored=ignored))


def _check_memory(cropped: Volume, network_shape: Shape, where: str | Path, limit: int | None) -> None:
    """Before anything is taken: a coarse scan, or a header that lies about spacing, may become terabytes."""
    if network_shape == cropped.grid.shape:
        return
    sizes = [" x ".join(map(str, shape)) for shape in (cropped.grid.shape, network_shape)]
    edges = " x ".join(f"{edge:.3g}" for edge in cropped.spacing)
    what = f"{sizes[0]} voxels of {edges} {cropped.unit}, resampled to the {sizes[1]} of the model's spacing,"
    needed = resample_bytes(cropped.channels, cropped.grid.shape, network_shape)
    require_memory(where, needed, what, limit=limit)


def _check(volume: Volume, plan: Plan, where: str | Path) -> None:
    names = ", ".join(channel.name for channel in plan.channels)
    if volume.channels != len(plan.channels):
        raise InputError(
            where,
            expected=f"{len(plan.channels)} channel{'s' if len(plan.channels) > 1 else ''} ({names})",
            found=f"{volume.channels}",
            remedy="Give every channel that the model was trained on, in this order.",
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
            where, expected="voxels", found=f"the shape {volume.array.shape}", remedy="Is this the whole scan?"
        )
    check_finite(where, volume.array)
