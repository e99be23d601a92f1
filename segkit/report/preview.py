"""A PNG that shows a label map on its scan: three planes with outlines, or the picture itself. Needs no display.

Planes are shown as radiologists see them: the patient's right on the viewer's left, anterior and superior up; in the
sagittal plane anterior is left. Letters on the planes say so. The planes are those with the most labelled voxels, and
have one scale in mm.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from segkit.files import atomic_path
from segkit.preprocessing.crop import content_mask
from segkit.preprocessing.orient import to_ras
from segkit.volume import Volume

PLANE_PIXELS = 400
"""The longest edge of a volume's planes."""
PICTURE_PIXELS = 800
OUTLINE_PIXELS = 2
TINT = 0.4
"""How much of its colour a filled label has; the scan must show through."""
LEGEND_ENTRIES = 60
SOFT_TISSUE_HU = (-160.0, 240.0)
CT_BELOW = -500
"""Only Hounsfield units have a hundredth of the voxels below this."""
SAMPLED_VOXELS = 4_000_000
"""Of larger scans every n-th voxel along each axis says how bright the scan is."""
_MARGIN, _LINE, _SWATCH, _FONT = 12, 20, 12, 14
_BACKGROUND, _TEXT = (16, 16, 16), (240, 240, 240)
_COLOURS = [
    (255, 80, 80),
    (80, 225, 80),
    (95, 165, 255),
    (255, 215, 60),
    (240, 110, 240),
    (60, 225, 225),
    (255, 150, 60),
    (180, 140, 255),
]
_CYAN = 5
"""Where colour pictures begin: a fundus or a stained slide is red, and a red outline is lost on it."""

Colour = tuple[int, int, int]


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


def write_preview(path: Path, scan: Volume, labels: Volume, names: Mapping[str, int]) -> None:
    """Draw the outlines of ``labels`` (1, X, Y, Z) on ``scan`` (C, X, Y, Z), both on one grid, into a PNG.

    ``names`` (label -> value) stand in the legend, each with its colour. Of several channels the first is shown,
    except that the three of a picture are its colours.
    """
    first = _CYAN if scan.unit == "px" and scan.channels > 1 else 0
    colours = {value: _colour(index) for index, value in enumerate(names.values(), start=first)}
    planes = [_picture(scan, labels, colours)] if scan.unit == "px" else _planes(scan, labels, colours)
    present = set(np.unique(labels.array).tolist())
    legend = [(name, colours[value]) for name, value in names.items() if value in present]
    with atomic_path(path) as temporary:
        _page(planes, legend).save(temporary, format="PNG")


def draw_comparison(
    scan: Volume, predicted: Volume, reference: Volume, names: Mapping[str, int], *, across: int | None = None
) -> Image.Image:
    """The outlines of ``predicted`` over ``reference``, filled, in the planes where the two differ most.

    All are on one grid. With ``across`` only the plane across that axis (in RAS+ order) is shown.
    """
    first = _CYAN if scan.unit == "px" and scan.channels > 1 else 0
    colours = {value: _colour(index) for index, value in enumerate(names.values(), start=first)}
    if scan.unit == "px":
        planes = [_picture(scan, predicted, colours, reference)]
    else:
        planes = _planes(scan, predicted, colours, reference, across=across)
    present = {*np.unique(predicted.array).tolist(), *np.unique(reference.array).tolist()}
    return _page(planes, [(name, colours[value]) for name, value in names.items() if value in present])


def _picture(
    scan: Volume, labels: Volume, colours: Mapping[int, Colour], reference: Volume | None = None
) -> Image.Image:
    shown = scan.array if scan.channels == 3 else scan.array[:1]
    grey = shown if shown.dtype == np.uint8 else _grey(shown, _limits(shown))
    pixels = np.broadcast_to(grey[..., 0].transpose(2, 1, 0), (*grey.shape[2:0:-1], 3))
    factor = PICTURE_PIXELS / max(scan.grid.shape)
    size = (max(1, round(scan.grid.shape[0] * factor)), max(1, round(scan.grid.shape[1] * factor)))
    filled = None if reference is None else reference.array[0, :, :, 0].T
    return _outlined(pixels, labels.array[0, :, :, 0].T, size, colours, filled)


def _planes(
    scan: Volume,
    labels: Volume,
    colours: Mapping[int, Colour],
    reference: Volume | None = None,
    *,
    across: int | None = None,
) -> list[Image.Image]:
    turned, _ = to_ras(scan)
    indices = to_ras(labels)[0].array[0]
    filled = None if reference is None else to_ras(reference)[0].array[0]
    telling = indices if filled is None or np.array_equal(filled, indices) else filled != indices
    spacing = turned.spacing
    lengths = [size * edge for size, edge in zip(indices.shape, spacing, strict=True)]
    factor = PLANE_PIXELS / max(lengths)
    pixels = [max(1, round(length * factor)) for length in lengths]
    # A scan of one slice has one plane; the others would be lines.
    limits = _limits(turned.array[:1])
    views = [view for view in _VIEWS if min(indices.shape[view.horizontal], indices.shape[view.vertical]) > 1]
    if across is not None:
        views = [view for view in _VIEWS if view.across == across]
    images = []
    for view in views or _VIEWS[:1]:
        position = _fullest(telling, view.across)
        grey = _grey(np.take(turned.array[0], position, axis=view.across), limits)
        shown = np.broadcast_to(_upright(grey)[..., None], (*grey.shape[::-1], 3))
        size = (pixels[view.horizontal], pixels[view.vertical])
        below = None if filled is None else _upright(np.take(filled, position, axis=view.across))
        image = _outlined(shown, _upright(np.take(indices, position, axis=view.across)), size, colours, below)
        _write_letters(image, view.letters)
        images.append(image)
    return images


def _upright(plane: NDArray[Any]) -> NDArray[Any]:
    """(horizontal, vertical) in RAS+ order to the rows of an image: high indices left and up."""
    return plane.T[::-1, ::-1]


def _fullest(labels: NDArray[Any], axis: int) -> int:
    """The plane across ``axis`` with most labelled voxels; the middle one without any."""
    others = tuple(other for other in range(3) if other != axis)
    counts = np.count_nonzero(labels, axis=others)
    return int(counts.argmax()) if counts.any() else labels.shape[axis] // 2


def _grey(shown: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.uint8]:
    low, high = limits
    scaled = (shown.astype(np.float64) - low) / max(high - low, 1e-12)
    return np.asarray(np.clip(scaled, 0, 1) * 255, dtype=np.uint8)


def _limits(whole: NDArray[Any]) -> tuple[float, float]:
    """The 1st and 99th percentile inside a constant border; for a CT, whose air would take it all, soft tissue."""
    mask = content_mask(whole)
    step = math.ceil((whole.size / SAMPLED_VOXELS) ** (1 / 3))
    some = (slice(None, None, step),) * 3
    sampled = whole[:, *some]
    inside = sampled if mask is None else sampled[:, mask[some]]
    low, high = np.percentile(inside if inside.size else sampled, (1, 99))
    if low < CT_BELOW:
        return SOFT_TISSUE_HU
    return (float(low), float(high)) if low < high else (float(whole.min()), float(whole.max()))


def _outlined(
    pixels: NDArray[np.uint8],
    labels: NDArray[Any],
    size: tuple[int, int],
    colours: Mapping[int, Colour],
    filled: NDArray[Any] | None = None,
) -> Image.Image:
    """Rows of RGB pixels, enlarged to ``size`` (width, height), with the outlines of ``labels``, over ``filled``."""
    image = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BICUBIC)
    drawn = np.array(image)
    if filled is not None:
        _fill(drawn, filled[_nearest(filled.shape[0], size[1])][:, _nearest(filled.shape[1], size[0])], colours)
    enlarged = labels[_nearest(labels.shape[0], size[1])][:, _nearest(labels.shape[1], size[0])]
    for value in np.unique(enlarged):
        if int(value) in colours:
            mask = enlarged == value
            inside = ndimage.binary_erosion(mask, iterations=OUTLINE_PIXELS, border_value=1)
            drawn[mask & ~inside] = colours[int(value)]
    return Image.fromarray(drawn)


def _fill(drawn: NDArray[np.uint8], labels: NDArray[Any], colours: Mapping[int, Colour]) -> None:
    """Tint ``drawn``, in place, where a label lies."""
    for value in np.unique(labels):
        if int(value) in colours:
            mask = labels == value
            drawn[mask] = (1 - TINT) * drawn[mask] + TINT * np.array(colours[int(value)])


def _nearest(size: int, pixels: int) -> NDArray[np.int64]:
    """For each of ``pixels``, the voxel of ``size`` that it lies in."""
    return np.arange(pixels) * size // pixels


def _write_letters(image: Image.Image, letters: tuple[str, str, str, str]) -> None:
    left, right, top, bottom = letters
    draw = ImageDraw.Draw(image)
    width, height = image.size
    places = [
        (left, (4, height / 2), "lm"),
        (right, (width - 4, height / 2), "rm"),
        (top, (width / 2, 3), "mt"),
        (bottom, (width / 2, height - 3), "mb"),
    ]
    for letter, place, anchor in places:
        draw.text(place, letter, fill=_TEXT, font=_font(), anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


def _page(planes: Sequence[Image.Image], legend: Sequence[tuple[str, Colour]]) -> Image.Image:
    """Planes side by side, the legend below."""
    width = sum(plane.width for plane in planes) + _MARGIN * (len(planes) + 1)
    top = max(plane.height for plane in planes) + 2 * _MARGIN
    entries = [*legend[:LEGEND_ENTRIES]]
    if len(legend) > LEGEND_ENTRIES:
        entries.append((f"and {len(legend) - LEGEND_ENTRIES} more", _BACKGROUND))
    column = _MARGIN + _SWATCH + 6 + max((int(_font().getlength(name)) for name, _ in entries), default=0)
    width = max(width, column + _MARGIN)
    columns = max(1, (width - _MARGIN) // column)
    page = Image.new("RGB", (width, top + _LINE * -(-len(entries) // columns) + _MARGIN), _BACKGROUND)
    left = _MARGIN
    for plane in planes:
        page.paste(plane, (left, _MARGIN))
        left += plane.width + _MARGIN
    for index, (name, colour) in enumerate(entries):
        _entry(page, name, colour, (_MARGIN + column * (index % columns), top + _LINE * (index // columns)))
    return page


def _entry(page: Image.Image, name: str, colour: Colour, place: tuple[int, int]) -> None:
    draw = ImageDraw.Draw(page)
    x, y = place
    draw.rectangle((x, y + 2, x + _SWATCH, y + 2 + _SWATCH), fill=colour)
    draw.text((x + _SWATCH + 6, y + 2 + _SWATCH / 2), name, fill=_TEXT, font=_font(), anchor="lm")


def _font() -> Any:
    return ImageFont.load_default(size=_FONT)


def _colour(index: int) -> Colour:
    """A bright colour, different for each of many labels."""
    if index < len(_COLOURS):
        return _COLOURS[index]
    # Steps of the golden ratio keep the hues of neighbours apart.
    red, green, blue = colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.55 + 0.4 * (index % 2), 1)
    return (int(255 * red), int(255 * green), int(255 * blue))
