"""Draw a plane of a scan with the outlines of labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy  # its submodules are imported on first use
from numpy.typing import NDArray
from PIL import Image

from segkit.io.memory import blocks, drop_pages
from segkit.labels.colors import Color
from segkit.preprocessing.orient_and_crop import border_values, differs

OUTLINE_PIXELS = 2
DASH_PIXELS = 5
"""Length of a dash, and of the gap after it, in pixels along each axis."""
WHITE: Color = (255, 255, 255)
TINT = 0.4
"""Opacity of filled labels, low enough that the scan shows through."""
SOFT_TISSUE_HU = (-160.0, 240.0)
CT_BELOW = -500
"""First percentile in HU below which a scan is assumed to be CT."""
SAMPLED_VOXELS = 4_000_000
"""Number of voxels above which a scan is sampled to determine its brightness."""

ColorOfValue = Mapping[int, Color]
"""Value of a label -> its color."""


def to_gray(array: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Return 8-bit gray values: black at and below the lower limit, white at and above the upper.

    >>> to_gray(np.array([-1.0, 0.0, 5.0, 10.0]), (0.0, 10.0)).tolist()
    [0, 0, 127, 255]
    """
    low, high = limits
    scaled = (np.asarray(array).astype(np.float64) - low) / max(high - low, 1e-12)
    return np.asarray(np.clip(scaled, 0, 1) * 255, dtype=np.uint8)


def gray_limits(scan: NDArray[Any]) -> tuple[float, float]:
    """Return the values of a scan (C, X, Y, Z) to show as black and as white.

    They are the 1st and 99th percentile inside the constant border. For a CT, in which air would
    dominate, they are the range of soft tissue. Large scans are sampled.
    """
    border = border_values(scan)
    sample = _every_nth(scan, math.ceil((scan.size / SAMPLED_VOXELS) ** (1 / 3)))
    inside = sample if border is None else sample[:, differs(sample, border)]
    low, high = np.percentile(inside if inside.size else sample, (1, 99))
    if low < CT_BELOW:
        return SOFT_TISSUE_HU
    return (float(low), float(high)) if low < high else _lowest_and_highest(scan)


def _every_nth(scan: NDArray[Any], step: int) -> NDArray[Any]:
    """Return a copy of every ``step``-th voxel of (C, X, Y, Z) along X, Y and Z.

    The scan is read plane by plane along the slowest axis, so that a mapped file takes little
    memory.
    """
    axis = 1 + int(np.argmax(np.abs(scan.strides[1:])))
    planes = []
    for start in range(0, scan.shape[axis], step):
        index = [slice(None), *[slice(None, None, step)] * 3]
        index[axis] = slice(start, start + 1)
        planes.append(np.array(scan[tuple(index)]))
        drop_pages(scan)
    return np.concatenate(planes, axis=axis)


def _lowest_and_highest(scan: NDArray[Any]) -> tuple[float, float]:
    ends = [
        (float(np.min(block)), float(np.max(block)))
        for block in (np.asarray(scan[box]) for box in blocks(scan))
    ]
    return min(low for low, _ in ends), max(high for _, high in ends)


def draw_outlines(
    pixels: NDArray[np.uint8],
    labels: NDArray[Any],
    size: tuple[int, int],
    colors: ColorOfValue,
    *,
    filled: NDArray[Any] | None = None,
    dashes: bool = False,
    thickness: int = OUTLINE_PIXELS,
) -> Image.Image:
    """Return a plane of a scan with the outlines of labels.

    Args:
        pixels: the plane as RGB (rows, columns, 3).
        labels: label values (rows, columns) to outline.
        size: width and height of the image in pixels.
        colors: color of each label value; other values are not drawn.
        filled: label values (rows, columns) to fill with a tint below the outlines.
        dashes: also outline the filled labels, with white dashes.
        thickness: thickness of the outlines in pixels.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC)
    drawn = np.array(image)
    if filled is not None:
        tinted = _enlarge(filled, size)
        _fill(drawn, tinted, colors)
        if dashes:
            solid = drawn.copy()
            _outline(solid, tinted, dict.fromkeys(colors, WHITE), thickness)
            rows, columns = np.indices(tinted.shape)
            is_dash = (rows + columns) // DASH_PIXELS % 2 == 0
            drawn[is_dash] = solid[is_dash]
    _outline(drawn, _enlarge(labels, size), colors, thickness)
    return Image.fromarray(drawn)


def _outline(
    drawn: NDArray[np.uint8], labels: NDArray[Any], colors: ColorOfValue, thickness: int
) -> None:
    """Draw the inner edges of the labels into ``drawn``, in place."""
    for value in np.unique(labels):
        if int(value) in colors:
            mask = labels == value
            inside = scipy.ndimage.binary_erosion(mask, iterations=thickness, border_value=1)
            drawn[mask & ~inside] = colors[int(value)]


def _fill(drawn: NDArray[np.uint8], labels: NDArray[Any], colors: ColorOfValue) -> None:
    """Tint the pixels of ``drawn`` that have a label, in place."""
    for value in np.unique(labels):
        if int(value) in colors:
            mask = labels == value
            drawn[mask] = (1 - TINT) * drawn[mask] + TINT * np.array(colors[int(value)])


def _enlarge(labels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return label values (rows, columns) resized to (width, height) by nearest neighbor."""
    width, height = size
    rows = np.arange(height) * labels.shape[0] // height
    columns = np.arange(width) * labels.shape[1] // width
    enlarged: NDArray[Any] = labels[rows][:, columns]
    return enlarged
