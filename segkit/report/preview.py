"""Preview of a label map as PNG: outlines on three planes of the scan, or on the picture itself.

Planes are shown in radiological orientation: the patient's right is on the viewer's left, anterior
and superior are up; in the sagittal plane anterior is left. Letters on the planes say so. The
planes are those that show most of the labels, and share one scale in mm. Below them follow slices
in their order, each with its number along an axis of the file. No display is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.files.atomic import atomic_path
from segkit.labels.colors import Color, label_colors
from segkit.labels.postprocessing import present_values
from segkit.preprocessing.orient import AxisMap, to_ras
from segkit.report.image_page import MARGIN, image_page, row_width, write_text
from segkit.report.outlines import (
    OUTLINE_PIXELS,
    ColorOfValue,
    display_range,
    draw_outlines,
    to_gray,
)
from segkit.volume import Volume

PLANE_PIXELS = 400
"""Length in pixels of the longest edge of the planes of a volume."""
PICTURE_PIXELS = 800
"""Length in pixels of the longest edge of a picture."""
SHEET_PIXELS, SHEET_ROWS = 190, 2
"""Length in pixels of the longest edge of the slices below, and number of rows of slices."""


@dataclass(frozen=True)
class _View:
    """Orientation of a plane, with axes counted in RAS+ order."""

    across: int
    """Axis at right angles to the plane."""
    horizontal: int
    """Axis that is horizontal on the page."""
    vertical: int
    """Axis that is vertical on the page."""
    letters: tuple[str, str, str, str]
    """Directions of the patient at the left, right, top and bottom of the plane."""


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
    """Write a PNG with the outlines of labels on a scan.

    Of several channels the first is shown, except that three channels of a picture are its colors.
    A volume is shown in three planes, and in slices below them.

    Args:
        path: the file to write.
        scan: the scan (C, X, Y, Z).
        labels: the label map (1, X, Y, Z) on the same grid.
        names: label to value, for the legend.
        colors: colors by label; the others follow from the index of the label.

    Raises:
        InputError: the file cannot be written.
    """
    color_of = _color_of_value(names, colors)
    if scan.unit == "px":
        rows = [[_draw_picture(scan, labels, color_of)]]
    else:
        scene = _scene(scan, labels, color_of)
        planes = _draw_planes(scene)
        rows = [planes, *_draw_slices(scene, row_width(planes))]
    with atomic_path(path) as temporary:
        image_page(rows, _legend(names, color_of, labels)).save(temporary, format="PNG")


def draw_comparison(
    scan: Volume,
    predicted: Volume,
    reference: Volume,
    names: Mapping[str, int],
    *,
    across: int | None = None,
    colors: Mapping[str, Color] | None = None,
) -> Image.Image:
    """Return an image of the outlines of a prediction over the filled reference.

    The planes are those in which the two differ most.

    Args:
        scan: the scan (C, X, Y, Z).
        predicted: the prediction (1, X, Y, Z) on the grid of the scan.
        reference: the reference (1, X, Y, Z) on the grid of the scan.
        names: label to value, for the legend.
        across: show only the plane at right angles to this axis, counted in RAS+ order.
        colors: colors by label; the others follow from the index of the label.
    """
    color_of = _color_of_value(names, colors)
    if scan.unit == "px":
        planes = [_draw_picture(scan, predicted, color_of, reference)]
    else:
        planes = _draw_planes(_scene(scan, predicted, color_of, reference), across)
    return image_page([planes], _legend(names, color_of, predicted, reference))


def _color_of_value(names: Mapping[str, int], colors: Mapping[str, Color] | None) -> ColorOfValue:
    color_of_name = label_colors(names, colors)
    return {value: color_of_name[name] for name, value in names.items()}


def _legend(
    names: Mapping[str, int], color_of: ColorOfValue, *label_maps: Volume
) -> list[tuple[str, Color]]:
    """Return names and colors of the labels that occur in the label maps."""
    present = {value for labels in label_maps for value in present_values(labels.array)}
    return [(name, color_of[value]) for name, value in names.items() if value in present]


def _draw_picture(
    scan: Volume, labels: Volume, color_of: ColorOfValue, reference: Volume | None = None
) -> Image.Image:
    channels = scan.array if scan.channels == 3 else scan.array[:1]
    bright = channels
    if channels.dtype != np.uint8:
        bright = to_gray(channels, display_range(channels))
    pixels = np.broadcast_to(bright[..., 0].transpose(2, 1, 0), (*bright.shape[2:0:-1], 3))
    width, height, _ = scan.grid.shape
    factor = PICTURE_PIXELS / max(scan.grid.shape)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    filled = None if reference is None else reference.array[0, :, :, 0].T
    return draw_outlines(pixels, labels.array[0, :, :, 0].T, size, color_of, filled=filled)


@dataclass(frozen=True, eq=False)
class _Scene:
    """Content of a preview of a volume: arrays (X, Y, Z) in RAS+ order, and how to show them."""

    voxels: NDArray[Any]
    labels: NDArray[Any]
    """Label map that is drawn as outlines."""
    filled: NDArray[Any] | None
    """Label map that is drawn as filled areas; None without one."""
    lengths: tuple[float, float, float]
    """Lengths of the scan along X, Y and Z in mm."""
    display_range: tuple[float, float]
    """Values of black and of white."""
    color_of: ColorOfValue
    axis_map: AxisMap
    """Order of the axes in the file."""

    def draw(
        self, view: _View, position: int, longest: int, thickness: int = OUTLINE_PIXELS
    ) -> Image.Image:
        """Return the plane at index ``position``.

        Its scale is that at which the longest edge of the scan has ``longest`` pixels.
        """
        factor = longest / max(self.lengths)
        width, height = (
            max(1, round(self.lengths[axis] * factor)) for axis in (view.horizontal, view.vertical)
        )
        voxels = _plane_rows(self.voxels, view, position)
        labels = _plane_rows(self.labels, view, position)
        filled = None if self.filled is None else _plane_rows(self.filled, view, position)
        gray = to_gray(voxels, self.display_range)
        pixels = np.broadcast_to(gray[..., None], (*voxels.shape, 3))
        size = (width, height)
        return draw_outlines(
            pixels, labels, size, self.color_of, filled=filled, thickness=thickness
        )

    def slice_name(self, view: _View, position: int) -> str:
        """Return axis and number of a slice as the file counts it, from 0 on."""
        axis = self.axis_map.order[view.across]
        if self.axis_map.flips[view.across]:
            position = self.labels.shape[view.across] - 1 - position
        return f"{'xyz'[axis]} {position}"


def _plane_rows(array: NDArray[Any], view: _View, position: int) -> NDArray[Any]:
    """Return one plane as rows of an image, where high indices are left and up."""
    # A view, because numpy's take would copy the whole scan if its axes are in another order.
    plane = np.asarray(np.moveaxis(array, view.across, 0)[position])
    return plane.T[::-1, ::-1]


def _scene(
    scan: Volume, labels: Volume, color_of: ColorOfValue, reference: Volume | None = None
) -> _Scene:
    turned, axis_map = to_ras(scan)
    x, y, z = (size * edge for size, edge in zip(turned.grid.shape, turned.spacing, strict=True))
    return _Scene(
        voxels=turned.array[0],
        labels=to_ras(labels)[0].array[0],
        filled=None if reference is None else to_ras(reference)[0].array[0],
        lengths=(x, y, z),
        display_range=display_range(turned.array[:1]),
        color_of=color_of,
        axis_map=axis_map,
    )


def _draw_planes(scene: _Scene, across: int | None = None) -> list[Image.Image]:
    """Draw the three planes that show most, or only one plane of a scan of one slice."""
    labels, filled = scene.labels, scene.filled
    shown = labels if filled is None or np.array_equal(filled, labels) else filled != labels
    views = [
        view
        for view in _VIEWS
        if min(labels.shape[view.horizontal], labels.shape[view.vertical]) > 1
    ]
    if across is not None:
        views = [view for view in _VIEWS if view.across == across]
    images = []
    for view in views or _VIEWS[:1]:
        images.append(scene.draw(view, _best_position(shown, view.across), PLANE_PIXELS))
        _write_letters(images[-1], view.letters)
    return images


def _best_position(labels: NDArray[Any], axis: int) -> int:
    """Return the index along ``axis`` of the plane that shows most of all labels.

    Each label counts as a share of its largest cross section, so that a lesion counts as much as
    the organ around it. Without labels it is the middle plane.
    """
    values = np.array(present_values(labels))
    counts = np.zeros((labels.shape[axis], values.size))
    for count, plane in zip(counts, np.moveaxis(labels, axis, 0), strict=True):
        count[:] = np.bincount(np.searchsorted(values, plane[plane != 0]), minlength=values.size)
    largest = counts.max(axis=0)
    if not largest.any():
        return int(labels.shape[axis] // 2)
    return int((counts / np.maximum(largest, 1)).sum(axis=1).argmax())


def _draw_slices(scene: _Scene, width: int) -> list[list[Image.Image]]:
    """Draw rows of slices from the first to the last labeled one, across the thickest axis.

    There are none if fewer than two slices are labeled.
    """
    spacing = [
        length / size for length, size in zip(scene.lengths, scene.labels.shape, strict=True)
    ]
    # If several axes have the largest spacing, the first view is taken, which is axial.
    view = max(_VIEWS, key=lambda view: round(spacing[view.across], 3))
    others = tuple(axis for axis in range(3) if axis != view.across)
    labeled = np.flatnonzero(scene.labels.any(axis=others))
    if labeled.size < 2:
        return []
    column = scene.draw(view, int(labeled[0]), SHEET_PIXELS, 1).width + MARGIN
    columns = max(1, (width - MARGIN) // column)
    count = min(SHEET_ROWS * columns, int(labeled[-1] - labeled[0]) + 1)
    images = []
    for position in np.linspace(labeled[0], labeled[-1], count).round().astype(int).tolist():
        images.append(scene.draw(view, position, SHEET_PIXELS, 1))
        write_text(images[-1], scene.slice_name(view, position), (3, 3), "lt")
    return [images[start : start + columns] for start in range(0, count, columns)]


def _write_letters(image: Image.Image, letters: tuple[str, str, str, str]) -> None:
    left, right, top, bottom = letters
    width, height = image.size
    write_text(image, left, (4, height / 2), "lm")
    write_text(image, right, (width - 4, height / 2), "rm")
    write_text(image, top, (width / 2, 3), "mt")
    write_text(image, bottom, (width / 2, height - 3), "mb")
