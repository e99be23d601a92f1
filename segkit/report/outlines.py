"""One plane of a scan in gray, with the outlines of labels on it."""

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
"""Thickness of an outline in pixels."""
TINT = 0.4
"""Share of its color in a filled label, through which the scan stays visible."""
SOFT_TISSUE_HU = (-160.0, 240.0)
"""Window of soft tissue in CT: values of black and of white in Hounsfield units."""
CT_BELOW = -500
"""Value below which one percent of the voxels lie only in Hounsfield units."""
SAMPLED_VOXELS = 4_000_000
"""Number of voxels from which on brightness is measured in every n-th voxel along each axis."""

ColorOfValue = Mapping[int, Color]
"""Colors by the value of a label."""


def to_gray(values: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Return values of any shape as 8-bit gray: black at the lower, white at the upper limit.

    >>> to_gray(np.array([-10.0, 0.0, 5.0, 10.0]), (0.0, 10.0)).tolist()
    [0, 0, 127, 255]
    """
    low, high = limits
    scaled = (np.asarray(values).astype(np.float64) - low) / max(high - low, 1e-12)
    return np.asarray(np.clip(scaled, 0, 1) * 255, dtype=np.uint8)


def display_range(whole: NDArray[Any]) -> tuple[float, float]:
    """Return the values of black and of white for a scan (C, X, Y, Z), which is read in blocks.

    They are the 1st and 99th percentile inside a constant border. For CT, whose air would take most
    of the range, they are those of soft tissue.
    """
    border = border_values(whole)
    sampled = _sampled(whole, math.ceil((whole.size / SAMPLED_VOXELS) ** (1 / 3)))
    inside = sampled if border is None else sampled[:, differs(sampled, border)]
    low, high = np.percentile(inside if inside.size else sampled, (1, 99))
    if low < CT_BELOW:
        return SOFT_TISSUE_HU
    return (float(low), float(high)) if low < high else _ends(whole)


def _sampled(whole: NDArray[Any], step: int) -> NDArray[Any]:
    """Return a copy of every ``step``-th voxel of (C, X, Y, Z) along X, Y and Z."""
    axis = 1 + int(np.argmax(np.abs(whole.strides[1:])))
    planes = []
    for start in range(0, whole.shape[axis], step):
        plane = [slice(None), *[slice(None, None, step)] * 3]
        plane[axis] = slice(start, start + 1)
        planes.append(np.array(whole[tuple(plane)]))
        drop_pages(whole)
    return np.concatenate(planes, axis=axis)


def _ends(whole: NDArray[Any]) -> tuple[float, float]:
    ends = [
        (float(np.min(part)), float(np.max(part)))
        for part in (np.asarray(whole[box]) for box in blocks(whole))
    ]
    return min(low for low, _ in ends), max(high for _, high in ends)


def draw_outlines(
    pixels: NDArray[np.uint8],
    labels: NDArray[Any],
    size: tuple[int, int],
    color_of: ColorOfValue,
    *,
    filled: NDArray[Any] | None = None,
    thickness: int = OUTLINE_PIXELS,
) -> Image.Image:
    """Return an image with the outlines of labels.

    Args:
        pixels: rows of RGB pixels (Y, X, 3).
        labels: rows of labels (Y, X).
        size: width and height of the image, to which both are enlarged.
        color_of: colors by the value of a label.
        filled: labels (Y, X) that are drawn as filled areas below the outlines.
        thickness: thickness of the outlines in pixels.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC)
    drawn = np.array(image)
    if filled is not None:
        _fill(drawn, _enlarged(filled, size), color_of)
    enlarged = _enlarged(labels, size)
    for value in np.unique(enlarged):
        if int(value) in color_of:
            mask = enlarged == value
            inside = ndimage.binary_erosion(mask, iterations=thickness, border_value=1)
            drawn[mask & ~inside] = color_of[int(value)]
    return Image.fromarray(drawn)


def _fill(drawn: NDArray[np.uint8], labels: NDArray[Any], color_of: ColorOfValue) -> None:
    """Tint the pixels of each label in place."""
    for value in np.unique(labels):
        if int(value) in color_of:
            mask = labels == value
            drawn[mask] = (1 - TINT) * drawn[mask] + TINT * np.array(color_of[int(value)])


def _enlarged(labels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return labels (Y, X) enlarged to ``size`` (width, height) by nearest neighbors."""
    width, height = size
    rows = np.arange(height) * labels.shape[0] // height
    columns = np.arange(width) * labels.shape[1] // width
    return np.asarray(labels[rows][:, columns])
