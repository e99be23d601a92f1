"""A PNG that shows a label map on its scan: three planes with outlines, or the picture itself. Needs no display.

Planes are shown as radiologists see them: the patient's right on the viewer's left, anterior and superior up; in the
sagittal plane anterior is left. Letters on the planes say so. The planes are those that show most of the labels, and
have one scale in mm. Below them are slices in their order, each with its number along an axis of the file.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segkit.files.atomic import atomic_path
from segkit.labels.colors import Color, label_colors
from segkit.labels.postprocessing import present_values
from segkit.preprocessing.orient import AxisMap, to_ras
from segkit.report.outlines import (
    OUTLINE_PIXELS,
    Colours,
    grey_of,
    limits_of,
    outlined,
)
from segkit.volume import Volume

PLANE_PIXELS = 400
"""The longest edge of a volume's planes."""
PICTURE_PIXELS = 800
SHEET_PIXELS, SHEET_ROWS = 190, 2
"""The same of the slices on the sheet, and how many rows of them there are."""
LEGEND_ENTRIES = 60
_MARGIN, _LINE, _SWATCH, _FONT = 12, 20, 12, 14
_BACKGROUND, _TEXT = (16, 16, 16), (240, 240, 240)


@dataclass(frozen=True)
class _View:
    """A plane: the axis it is cut across, its axes on the page, and the letters left, right, top and bottom."""

    across: int
    horizontal: int
    vertical: int
    letters: tuple[str, str, str, str]


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
    """Draw the outlines of ``labels`` (1, X, Y, Z) on ``scan`` (C, X, Y, Z), both on one grid, into a PNG.

    ``names`` (label -> value) stand in the legend, each with its color (of ``colors``, or by its place). Of several
    channels the first is shown, except that the three of a picture are its colours. A volume has its three planes, and
    below them a sheet of slices.
    """
    colours = _by_value(names, colors)
    if scan.unit == "px":
        rows = [[_picture(scan, labels, colours)]]
    else:
        scene = _scene(scan, labels, colours)
        planes = _planes(scene)
        rows = [planes, *_sheet(scene, _width(planes))]
    with atomic_path(path) as temporary:
        _page(rows, _legend(names, colours, labels)).save(temporary, format="PNG")


def draw_comparison(
    scan: Volume,
    predicted: Volume,
    reference: Volume,
    names: Mapping[str, int],
    *,
    across: int | None = None,
    colors: Mapping[str, Color] | None = None,
) -> Image.Image:
    """The outlines of ``predicted`` over ``reference``, filled, in the planes where the two differ most.

    All are on one grid. With ``across`` only the plane across that axis (in RAS+ order) is shown.
    """
    colours = _by_value(names, colors)
    if scan.unit == "px":
        planes = [_picture(scan, predicted, colours, reference)]
    else:
        planes = _planes(_scene(scan, predicted, colours, reference), across)
    return _page([planes], _legend(names, colours, predicted, reference))


def _by_value(names: Mapping[str, int], colors: Mapping[str, Color] | None) -> Colours:
    known = label_colors(names, colors)
    return {value: known[name] for name, value in names.items()}


def _legend(names: Mapping[str, int], colours: Colours, *maps: Volume) -> list[tuple[str, Color]]:
    """The labels that some of ``maps`` has."""
    present = {value for each in maps for value in present_values(each.array)}
    return [(name, colours[value]) for name, value in names.items() if value in present]


def _picture(
    scan: Volume, labels: Volume, colours: Colours, reference: Volume | None = None
) -> Image.Image:
    shown = scan.array if scan.channels == 3 else scan.array[:1]
    grey = shown if shown.dtype == np.uint8 else grey_of(shown, limits_of(shown))
    pixels = np.broadcast_to(grey[..., 0].transpose(2, 1, 0), (*grey.shape[2:0:-1], 3))
    factor = PICTURE_PIXELS / max(scan.grid.shape)
    size = (max(1, round(scan.grid.shape[0] * factor)), max(1, round(scan.grid.shape[1] * factor)))
    filled = None if reference is None else reference.array[0, :, :, 0].T
    return outlined(pixels, labels.array[0, :, :, 0].T, size, colours, filled=filled)


@dataclass(frozen=True, eq=False)
class _Scene:
    """What is drawn of a volume: arrays (X, Y, Z) in RAS+ order, and how."""

    voxels: NDArray[Any]
    labels: NDArray[Any]
    filled: NDArray[Any] | None
    lengths: tuple[float, float, float]
    """Of the scan along X, Y and Z in mm."""
    limits: tuple[float, float]
    colours: Colours
    axis_map: AxisMap

    def draw(
        self, view: _View, position: int, longest: int, thickness: int = OUTLINE_PIXELS
    ) -> Image.Image:
        """The plane at ``position``, on a scale at which the longest edge of the scan has ``longest`` pixels."""
        factor = longest / max(self.lengths)
        width, height = (
            max(1, round(self.lengths[axis] * factor)) for axis in (view.horizontal, view.vertical)
        )
        voxels, labels, *filled = (
            # A view: numpy's take would copy a whole scan whose voxels do not lie in the order of its axes.
            np.moveaxis(each, view.across, 0)[position].T[
                ::-1, ::-1
            ]  # rows of an image: high indices left and up
            for each in (self.voxels, self.labels, self.filled)
            if each is not None
        )
        shown = np.broadcast_to(grey_of(voxels, self.limits)[..., None], (*voxels.shape, 3))
        below = filled[0] if filled else None
        return outlined(
            shown, labels, (width, height), self.colours, filled=below, thickness=thickness
        )

    def name(self, view: _View, position: int) -> str:
        """A slice as the file counts it: its own axis, from 0 on."""
        axis, flip = self.axis_map.order[view.across], self.axis_map.flips[view.across]
        return (
            f"{'xyz'[axis]} {self.labels.shape[view.across] - 1 - position if flip else position}"
        )


def _scene(
    scan: Volume, labels: Volume, colours: Colours, reference: Volume | None = None
) -> _Scene:
    turned, axis_map = to_ras(scan)
    x, y, z = (size * edge for size, edge in zip(turned.grid.shape, turned.spacing, strict=True))
    filled = None if reference is None else to_ras(reference)[0].array[0]
    indices = to_ras(labels)[0].array[0]
    return _Scene(
        turned.array[0], indices, filled, (x, y, z), limits_of(turned.array[:1]), colours, axis_map
    )


def _planes(scene: _Scene, across: int | None = None) -> list[Image.Image]:
    """The planes where most is to be seen; of a scan of one slice only that, for the others would be lines."""
    labels, filled = scene.labels, scene.filled
    telling = labels if filled is None or np.array_equal(filled, labels) else filled != labels
    views = [
        view
        for view in _VIEWS
        if min(labels.shape[view.horizontal], labels.shape[view.vertical]) > 1
    ]
    if across is not None:
        views = [view for view in _VIEWS if view.across == across]
    images = []
    for view in views or _VIEWS[:1]:
        images.append(scene.draw(view, _fullest(telling, view.across), PLANE_PIXELS))
        _write_letters(images[-1], view.letters)
    return images


def _fullest(labels: NDArray[Any], axis: int) -> int:
    """The plane across ``axis`` that shows most of all labels, each as a share of its largest cross section.

    So a lesion counts as much as the organ around it. The middle plane where nothing is labelled.
    """
    values = np.array(present_values(labels))
    counts = np.zeros((labels.shape[axis], values.size))
    for count, plane in zip(counts, np.moveaxis(labels, axis, 0), strict=True):
        count[:] = np.bincount(np.searchsorted(values, plane[plane != 0]), minlength=values.size)
    largest = counts.max(axis=0)
    return (
        int((counts / np.maximum(largest, 1)).sum(axis=1).argmax())
        if largest.any()
        else labels.shape[axis] // 2
    )


def _sheet(scene: _Scene, width: int) -> list[list[Image.Image]]:
    """Rows of slices from the first to the last labelled one, across the axis on which slices are the thickest.

    Nothing where fewer than two slices are labelled.
    """
    edges = [length / size for length, size in zip(scene.lengths, scene.labels.shape, strict=True)]
    view = max(
        _VIEWS, key=lambda each: round(edges[each.across], 3)
    )  # of equal ones the first: axial
    others = tuple(axis for axis in range(3) if axis != view.across)
    labelled = np.flatnonzero(scene.labels.any(axis=others))
    if labelled.size < 2:
        return []
    tile = scene.draw(view, int(labelled[0]), SHEET_PIXELS, 1).width + _MARGIN
    columns = max(1, (width - _MARGIN) // tile)
    count = min(SHEET_ROWS * columns, int(labelled[-1] - labelled[0]) + 1)
    images = []
    for position in np.linspace(labelled[0], labelled[-1], count).round().astype(int).tolist():
        images.append(scene.draw(view, position, SHEET_PIXELS, 1))
        _write(images[-1], scene.name(view, position), (3, 3), "lt")
    return [images[start : start + columns] for start in range(0, count, columns)]


def _write_letters(image: Image.Image, letters: tuple[str, str, str, str]) -> None:
    left, right, top, bottom = letters
    width, height = image.size
    _write(image, left, (4, height / 2), "lm")
    _write(image, right, (width - 4, height / 2), "rm")
    _write(image, top, (width / 2, 3), "mt")
    _write(image, bottom, (width / 2, height - 3), "mb")


def _write(image: Image.Image, text: str, place: tuple[float, float], anchor: str) -> None:
    draw = ImageDraw.Draw(image)
    draw.text(
        place, text, fill=_TEXT, font=_font(), anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0)
    )


def _width(row: Sequence[Image.Image]) -> int:
    return sum(image.width for image in row) + _MARGIN * (len(row) + 1)


def _page(
    rows: Sequence[Sequence[Image.Image]], legend: Sequence[tuple[str, Color]]
) -> Image.Image:
    """Rows of images, the legend below."""
    heights = [max(image.height for image in row) + _MARGIN for row in rows]
    top = sum(heights) + _MARGIN
    entries = [*legend[:LEGEND_ENTRIES]]
    if len(legend) > LEGEND_ENTRIES:
        entries.append((f"and {len(legend) - LEGEND_ENTRIES} more", _BACKGROUND))
    column = (
        _MARGIN
        + _SWATCH
        + 6
        + max((int(_font().getlength(name)) for name, _ in entries), default=0)
    )
    width = max(*(_width(row) for row in rows), column + _MARGIN)
    columns = max(1, (width - _MARGIN) // column)
    page = Image.new(
        "RGB", (width, top + _LINE * -(-len(entries) // columns) + _MARGIN), _BACKGROUND
    )
    for row, upper in zip(rows, itertools.accumulate(heights, initial=_MARGIN), strict=False):
        left = _MARGIN
        for image in row:
            page.paste(image, (left, upper))
            left += image.width + _MARGIN
    for index, (name, colour) in enumerate(entries):
        _entry(
            page,
            name,
            colour,
            (_MARGIN + column * (index % columns), top + _LINE * (index // columns)),
        )
    return page


def _entry(page: Image.Image, name: str, colour: Color, place: tuple[int, int]) -> None:
    draw = ImageDraw.Draw(page)
    x, y = place
    draw.rectangle((x, y + 2, x + _SWATCH, y + 2 + _SWATCH), fill=colour)
    draw.text((x + _SWATCH + 6, y + 2 + _SWATCH / 2), name, fill=_TEXT, font=_font(), anchor="lm")


def _font() -> Any:
    return ImageFont.load_default(size=_FONT)
