"""Draw the outlines of a label map on its scan as a PNG: on three planes, or on the picture itself.

Planes are in radiological orientation: the patient's right is on the viewer's left, anterior and
superior are up, and in the sagittal plane anterior is on the left. Letters at the edges give the
directions. The planes are those that show most of the labels, at the same scale in mm. Below them
is a sheet of consecutive slices, each with its index along an axis of the file. No display server
is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.files.atomic import atomic_path
from segkit.labels.colors import Color, label_colors
from segkit.labels.postprocessing import present_values
from segkit.preprocessing.orient_and_crop import AxisMap, to_ras
from segkit.report.image_rows import MARGIN, arrange, row_width, write_letters, write_text_on
from segkit.report.outlines import (
    OUTLINE_PIXELS,
    ColorOfValue,
    draw_outlines,
    gray_limits,
    to_gray,
)
from segkit.volume import Volume

PLANE_PIXELS = 400
"""Length in pixels of the longest edge of a scan in the three planes."""
PICTURE_PIXELS = 800
"""Length in pixels of the longest edge of a picture."""
SHEET_PIXELS = 190
"""Length in pixels of the longest edge of a scan on the sheet of slices."""
SHEET_ROWS = 2


@dataclass(frozen=True)
class _View:
    """Orientation of a plane; axes are 0, 1, 2 for X, Y, Z in RAS+."""

    across: int
    """Axis perpendicular to the plane."""
    horizontal: int
    vertical: int
    letters: tuple[str, str, str, str]
    """Directions at the left, right, top and bottom edge."""


_VIEWS = (
    _View(2, 0, 1, ("R", "L", "A", "P")),
    _View(1, 0, 2, ("R", "L", "S", "I")),
    _View(0, 1, 2, ("A", "P", "S", "I")),
)


def write_preview(
    path: Path,
    scan: Volume,
    labels: Volume,
    names: Mapping[str, int],
    *,
    colors: Mapping[str, Color] | None = None,
) -> None:
    """Draw the outlines of labels on their scan, and write the image as a PNG.

    A volume is shown in three planes, with a sheet of slices below them.

    Args:
        path: the PNG.
        scan: the scan (C, X, Y, Z); its first channel is shown, or the three colors of a picture.
        labels: label map (1, X, Y, Z) on the same grid.
        names: name -> value of the labels, for the legend.
        colors: color of each name; by default it depends on the position among the names.
    """
    color_of_value = _color_of_value(names, colors)
    if scan.unit == "px":
        rows = [[_draw_picture(scan, labels, color_of_value)]]
    else:
        scene = _scene(scan, labels, color_of_value)
        planes = _draw_planes(scene)
        rows = [planes, *_draw_sheet(scene, row_width(planes))]
    with atomic_path(path) as temporary:
        arrange(rows, _legend(names, color_of_value, labels)).save(temporary, format="PNG")


def draw_comparison(
    scan: Volume,
    predicted: Volume,
    reference: Volume,
    names: Mapping[str, int],
    *,
    across: int | None = None,
    colors: Mapping[str, Color] | None = None,
    outline_reference: bool = False,
) -> Image.Image:
    """Return an image of a scan with the prediction as outlines and the reference as filled areas.

    The planes are those in which the two differ most.

    Args:
        scan: the scan (C, X, Y, Z).
        predicted: label map (1, X, Y, Z) on the same grid.
        reference: label map (1, X, Y, Z) on the same grid.
        names: name -> value of the labels, for the legend.
        across: axis (0, 1, 2 for X, Y, Z in RAS+) to which the only plane is perpendicular; by
            default there are three planes.
        colors: color of each name; by default it depends on the position among the names.
        outline_reference: also outline the reference, with white dashes.
    """
    color_of_value = _color_of_value(names, colors)
    if scan.unit == "px":
        planes = [
            _draw_picture(scan, predicted, color_of_value, reference, dashes=outline_reference)
        ]
    else:
        scene = _scene(scan, predicted, color_of_value, reference)
        planes = _draw_planes(replace(scene, dashes=outline_reference), across)
    return arrange([planes], _legend(names, color_of_value, predicted, reference))


def _color_of_value(names: Mapping[str, int], colors: Mapping[str, Color] | None) -> ColorOfValue:
    color_of_name = label_colors(names, colors)
    return {value: color_of_name[name] for name, value in names.items()}


def _legend(
    names: Mapping[str, int], colors: ColorOfValue, *label_maps: Volume
) -> list[tuple[str, Color]]:
    """Return the name and color of each label that occurs in any of the label maps."""
    present = {value for labels in label_maps for value in present_values(labels.array)}
    return [(name, colors[value]) for name, value in names.items() if value in present]


def _draw_picture(
    scan: Volume,
    labels: Volume,
    colors: ColorOfValue,
    reference: Volume | None = None,
    *,
    dashes: bool = False,
) -> Image.Image:
    channels = scan.array if scan.channels == 3 else scan.array[:1]
    if channels.dtype != np.uint8:
        channels = to_gray(channels, gray_limits(channels))
    height_width = channels.shape[2:0:-1]
    pixels = np.broadcast_to(channels[..., 0].transpose(2, 1, 0), (*height_width, 3))
    factor = PICTURE_PIXELS / max(scan.grid.shape)
    size = (max(1, round(scan.grid.shape[0] * factor)), max(1, round(scan.grid.shape[1] * factor)))
    filled = None if reference is None else reference.array[0, :, :, 0].T
    return draw_outlines(
        pixels, labels.array[0, :, :, 0].T, size, colors, filled=filled, dashes=dashes
    )


# -- volumes ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Scene:
    """Volume to draw: arrays (X, Y, Z) in RAS+, colors and gray values."""

    voxels: NDArray[Any]
    labels: NDArray[Any]
    filled: NDArray[Any] | None
    lengths: tuple[float, float, float]
    """Size of the scan along X, Y, Z in mm."""
    limits: tuple[float, float]
    """Values shown as black and white."""
    colors: ColorOfValue
    axis_map: AxisMap
    """Map from the axes of the file to RAS+."""
    dashes: bool = False
    """True if the filled labels are outlined with dashes."""

    def draw(
        self, view: _View, position: int, longest: int, *, thickness: int = OUTLINE_PIXELS
    ) -> Image.Image:
        """Return the plane at ``position``.

        Args:
            view: orientation of the plane.
            position: index along the axis perpendicular to the plane.
            longest: number of pixels of the longest edge of the scan.
            thickness: thickness of the outlines in pixels.
        """
        factor = longest / max(self.lengths)
        width = max(1, round(self.lengths[view.horizontal] * factor))
        height = max(1, round(self.lengths[view.vertical] * factor))
        gray = to_gray(_plane(self.voxels, view, position), self.limits)
        return draw_outlines(
            np.broadcast_to(gray[..., None], (*gray.shape, 3)),
            _plane(self.labels, view, position),
            (width, height),
            self.colors,
            filled=None if self.filled is None else _plane(self.filled, view, position),
            dashes=self.dashes,
            thickness=thickness,
        )

    def slice_name(self, view: _View, position: int) -> str:
        """Return the name of a slice: its axis in the file, and its index along it, from 0."""
        axis, flip = self.axis_map.order[view.across], self.axis_map.flips[view.across]
        last = self.labels.shape[view.across] - 1
        return f"{'xyz'[axis]} {last - position if flip else position}"


def _plane(array: NDArray[Any], view: _View, position: int) -> NDArray[Any]:
    """Return a plane of (X, Y, Z) as rows, with high indices on the left and at the top.

    It is a view, because numpy's take may copy the whole scan.
    """
    plane: NDArray[Any] = np.moveaxis(array, view.across, 0)[position].T[::-1, ::-1]
    return plane


def _scene(
    scan: Volume, labels: Volume, colors: ColorOfValue, reference: Volume | None = None
) -> _Scene:
    ras, axis_map = to_ras(scan)
    x, y, z = (size * edge for size, edge in zip(ras.grid.shape, ras.spacing, strict=True))
    return _Scene(
        voxels=ras.array[0],
        labels=to_ras(labels)[0].array[0],
        filled=None if reference is None else to_ras(reference)[0].array[0],
        lengths=(x, y, z),
        limits=gray_limits(ras.array[:1]),
        colors=colors,
        axis_map=axis_map,
    )


def _draw_planes(scene: _Scene, across: int | None = None) -> list[Image.Image]:
    """Return images of the planes that show most; a scan with one slice has only one plane."""
    labels, filled = scene.labels, scene.filled
    marked = labels
    if filled is not None and not np.array_equal(filled, labels):
        marked = np.not_equal(filled, labels)
    if across is not None:
        views = [view for view in _VIEWS if view.across == across]
    else:
        views = [
            view
            for view in _VIEWS
            if min(labels.shape[view.horizontal], labels.shape[view.vertical]) > 1
        ]
    images = []
    for view in views or _VIEWS[:1]:
        image = scene.draw(view, _fullest_plane(marked, view.across), PLANE_PIXELS)
        write_letters(image, view.letters)
        images.append(image)
    return images


def _fullest_plane(labels: NDArray[Any], axis: int) -> int:
    """Return the index of the plane across ``axis`` that shows most of the labels.

    Each label counts as a fraction of its largest cross section, so that a lesion counts as much as
    the organ around it. Without labels, it is the middle plane.
    """
    values = np.array(present_values(labels))
    counts = np.zeros((labels.shape[axis], values.size))
    for count, plane in zip(counts, np.moveaxis(labels, axis, 0), strict=True):
        count[:] = np.bincount(np.searchsorted(values, plane[plane != 0]), minlength=values.size)
    largest = counts.max(axis=0)
    if not largest.any():
        return int(labels.shape[axis] // 2)
    return int((counts / np.maximum(largest, 1)).sum(axis=1).argmax())


def _draw_sheet(scene: _Scene, width: int) -> list[list[Image.Image]]:
    """Return rows of slices from the first to the last labeled one, across the coarsest axis.

    There are none if fewer than two slices are labeled.
    """
    edges = [length / size for length, size in zip(scene.lengths, scene.labels.shape, strict=True)]
    # If spacings are equal, the first view wins, which is axial.
    view = max(_VIEWS, key=lambda candidate: round(edges[candidate.across], 3))
    others = tuple(axis for axis in range(3) if axis != view.across)
    labeled = np.flatnonzero(scene.labels.any(axis=others))
    if labeled.size < 2:
        return []
    first, last = int(labeled[0]), int(labeled[-1])
    tile = scene.draw(view, first, SHEET_PIXELS, thickness=1).width + MARGIN
    columns = max(1, (width - MARGIN) // tile)
    count = min(SHEET_ROWS * columns, last - first + 1)
    images = []
    for position in np.linspace(first, last, count).round().astype(int).tolist():
        image = scene.draw(view, position, SHEET_PIXELS, thickness=1)
        write_text_on(image, scene.slice_name(view, position), (3, 3), anchor="lt")
        images.append(image)
    return [images[start : start + columns] for start in range(0, count, columns)]
