"""Draw the outlines of a label map on its scan as a PNG: on three planes, or on the picture itself.

Planes are in radiological orientation: the patient's right is on the viewer's left, anterior and
superior are up, and in the sagittal plane anterior is on the left. Letters at the edges give the
directions. The planes are those that show most of the labels, at the same scale in mm. Below them
is a sheet of consecutive slices, each with its index along an axis of the file. No display server
is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from segkit.files.atomic import atomic_path
from segkit.labels.colors import Color, label_colors
from segkit.labels.postprocessing import present_values
from segkit.preprocessing.orient_and_crop import to_ras
from segkit.report.image_rows import MARGIN, arrange, row_width, write_text_on
from segkit.report.outlines import (
    ColorOfValue,
    draw_outlines,
    gray_limits,
    to_gray,
)
from segkit.report.planes import VIEWS, Scene, differing, draw_planes, make_scene
from segkit.volume import Volume

PICTURE_PIXELS = 800
"""Length in pixels of the longest edge of a picture."""
SHEET_PIXELS = 190
"""Length in pixels of the longest edge of a scan on the sheet of slices."""
SHEET_ROWS = 2


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
        scene = make_scene(scan, labels, color_of_value)
        planes = draw_planes(scene)
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
        scene = make_scene(scan, predicted, color_of_value, reference)
        planes = draw_planes(replace(scene, dashes=outline_reference), across)
    return arrange([planes], _legend(names, color_of_value, predicted, reference))


def draw_two(
    scan: Volume,
    predictions: Mapping[str, Volume],
    reference: Volume,
    names: Mapping[str, int],
) -> Image.Image:
    """Return an image with a column for each of two predictions, in the same planes.

    Predictions are outlines; the reference is filled, with dashed white outlines. The planes are
    those in which the two predictions differ most.

    Args:
        scan: the scan (C, X, Y, Z).
        predictions: title -> label map (1, X, Y, Z) on the same grid, of both.
        reference: label map (1, X, Y, Z) on the same grid.
        names: name -> value of the labels, for the legend.
    """
    colors = _color_of_value(names, None)
    first, second = predictions.values()
    if scan.unit == "px":
        columns = [
            [_draw_picture(scan, labels, colors, reference, dashes=True)]
            for labels in predictions.values()
        ]
    else:
        scene = replace(make_scene(scan, first, colors, reference), dashes=True)
        arrays = [scene.labels, to_ras(second)[0].array[0]]
        marked = differing(*arrays)
        columns = [draw_planes(replace(scene, labels=array), marked=marked) for array in arrays]
    for title, column in zip(predictions, columns, strict=True):
        write_text_on(column[0], title, (5, 4), anchor="lt")
    rows = list(zip(*(_of_one_width(column) for column in columns), strict=True))
    return arrange(rows, _legend(names, colors, first, second, reference))


def _of_one_width(images: Sequence[Image.Image]) -> list[Image.Image]:
    """Return images with a margin at the right that makes all as wide as the widest one."""
    width = max(image.width for image in images)
    return [ImageOps.pad(image, (width, image.height), centering=(0, 0)) for image in images]


def draw_thumbnail(
    scan: Volume, labels: Volume, names: Mapping[str, int], *, longest: int
) -> Image.Image:
    """Return a small image of a scan with the outlines of its labels, without a legend.

    ``longest`` is the number of pixels of the longest edge of the scan in each plane.
    """
    colors = _color_of_value(names, None)
    if scan.unit == "px":
        planes = [_draw_picture(scan, labels, colors)]
        planes[0].thumbnail((2 * longest, 2 * longest))
    else:
        planes = draw_planes(make_scene(scan, labels, colors), longest=longest)
    return arrange([planes], [])


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


def _draw_sheet(scene: Scene, width: int) -> list[list[Image.Image]]:
    """Return rows of slices from the first to the last labeled one, across the coarsest axis.

    There are none if fewer than two slices are labeled.
    """
    edges = [length / size for length, size in zip(scene.lengths, scene.labels.shape, strict=True)]
    # If spacings are equal, the first view wins, which is axial.
    view = max(VIEWS, key=lambda candidate: round(edges[candidate.across], 3))
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
