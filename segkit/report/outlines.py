"""One plane of a scan in grey, and the outlines of labels on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from segkit.io.memory_map import blocks, drop_pages
from segkit.labels.colors import Color
from segkit.preprocessing.crop import border_values, differs

OUTLINE_PIXELS = 2
TINT = 0.4
"""How much of its colour a filled label has; the scan must show through."""
SOFT_TISSUE_HU = (-160.0, 240.0)
CT_BELOW = -500
"""Only Hounsfield units have a hundredth of the voxels below this."""
SAMPLED_VOXELS = 4_000_000
"""Of larger scans every n-th voxel along each axis says how bright the scan is."""

Colours = Mapping[int, Color]
"""By the value of a label."""


def grey_of(shown: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """8 bits, black at the lower and white at the upper of ``limits``."""
    low, high = limits
    scaled = (np.asarray(shown).astype(np.float64) - low) / max(high - low, 1e-12)
    return np.asarray(np.clip(scaled, 0, 1) * 255, dtype=np.uint8)


def limits_of(whole: NDArray[Any]) -> tuple[float, float]:
    """The 1st and 99th percentile inside a constant border; for a CT, whose air would take it all, soft tissue.

    Of (C, X, Y, Z), of which only blocks are looked at.
    """
    border = border_values(whole)
    sampled = _sampled(whole, math.ceil((whole.size / SAMPLED_VOXELS) ** (1 / 3)))
    inside = sampled if border is None else sampled[:, differs(sampled, border)]
    low, high = np.percentile(inside if inside.size else sampled, (1, 99))
    if low < CT_BELOW:
        return SOFT_TISSUE_HU
    return (float(low), float(high)) if low < high else _ends(whole)


def _sampled(whole: NDArray[Any], step: int) -> NDArray[Any]:
    """Every ``step``-th voxel of (C, X, Y, Z) along X, Y and Z, in another order of planes; a copy."""
    axis = 1 + int(np.argmax(np.abs(whole.strides[1:])))
    found = []
    for start in range(0, whole.shape[axis], step):
        plane = [slice(None), *[slice(None, None, step)] * 3]
        plane[axis] = slice(start, start + 1)
        found.append(np.array(whole[tuple(plane)]))
        drop_pages(whole)
    return np.concatenate(found, axis=axis)


def _ends(whole: NDArray[Any]) -> tuple[float, float]:
    ends = [
        (float(np.min(part)), float(np.max(part)))
        for part in (np.asarray(whole[box]) for box in blocks(whole))
    ]
    return min(low for low, _ in ends), max(high for _, high in ends)


def outlined(
    pixels: NDArray[np.uint8],
    labels: NDArray[Any],
    size: tuple[int, int],
    colours: Colours,
    *,
    filled: NDArray[Any] | None = None,
    thickness: int = OUTLINE_PIXELS,
) -> Image.Image:
    """Rows of RGB pixels, enlarged to ``size`` (width, height), with the outlines of ``labels``, over ``filled``."""
    image = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC)
    drawn = np.array(image)
    if filled is not None:
        _fill(
            drawn,
            filled[_nearest(filled.shape[0], size[1])][:, _nearest(filled.shape[1], size[0])],
            colours,
        )
    enlarged = labels[_nearest(labels.shape[0], size[1])][:, _nearest(labels.shape[1], size[0])]
    for value in np.unique(enlarged):
        if int(value) in colours:
            mask = enlarged == value
            inside = ndimage.binary_erosion(mask, iterations=thickness, border_value=1)
            drawn[mask & ~inside] = colours[int(value)]
    return Image.fromarray(drawn)


def _fill(drawn: NDArray[np.uint8], labels: NDArray[Any], colours: Colours) -> None:
    """Tint ``drawn``, in place, where a label lies."""
    for value in np.unique(labels):
        if int(value) in colours:
            mask = labels == value
            drawn[mask] = (1 - TINT) * drawn[mask] + TINT * np.array(colours[int(value)])


def _nearest(size: int, pixels: int) -> NDArray[np.int64]:
    """For each of ``pixels``, the voxel of ``size`` that it lies in."""
    return np.arange(pixels) * size // pixels
