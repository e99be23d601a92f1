"""Images in rows on one picture, with a legend of colors below them, and text on images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from segkit.labels.colors import Color

MARGIN = 12
"""Distance between images in pixels."""
LEGEND_ENTRIES = 60
"""Largest number of names in the legend."""
_LINE, _SWATCH, _GAP, _FONT = 20, 12, 6, 14
"""Sizes in pixels: line of the legend, its square of color, distance to its text, and font."""
_BACKGROUND, _TEXT = (16, 16, 16), (240, 240, 240)


def image_page(
    rows: Sequence[Sequence[Image.Image]], legend: Sequence[tuple[str, Color]]
) -> Image.Image:
    """Return one picture with rows of images and a legend below them.

    Args:
        rows: images from left to right, in rows from top to bottom.
        legend: names and their colors; the first LEGEND_ENTRIES are shown.
    """
    heights = [max(image.height for image in row) + MARGIN for row in rows]
    legend_top = sum(heights) + MARGIN
    entries = [*legend[:LEGEND_ENTRIES]]
    if len(legend) > LEGEND_ENTRIES:
        entries.append((f"and {len(legend) - LEGEND_ENTRIES} more", _BACKGROUND))
    names_width = max((int(_font().getlength(name)) for name, _ in entries), default=0)
    column = MARGIN + _SWATCH + _GAP + names_width
    width = max(*(row_width(row) for row in rows), column + MARGIN)
    columns = max(1, (width - MARGIN) // column)
    lines = -(-len(entries) // columns)
    page = Image.new("RGB", (width, legend_top + _LINE * lines + MARGIN), _BACKGROUND)
    for row, top in zip(rows, itertools.accumulate(heights, initial=MARGIN), strict=False):
        left = MARGIN
        for image in row:
            page.paste(image, (left, top))
            left += image.width + MARGIN
    for index, (name, color) in enumerate(entries):
        line, position = divmod(index, columns)
        _draw_entry(page, name, color, (MARGIN + column * position, legend_top + _LINE * line))
    return page


def row_width(row: Sequence[Image.Image]) -> int:
    """Return the width in pixels of a row of images with its margins.

    >>> row_width([Image.new("RGB", (100, 50)), Image.new("RGB", (30, 50))])
    166
    """
    return sum(image.width for image in row) + MARGIN * (len(row) + 1)


def write_text(image: Image.Image, text: str, position: tuple[float, float], anchor: str) -> None:
    """Write text on an image, in place.

    Args:
        image: the image.
        text: the text.
        position: x and y of the anchor in pixels.
        anchor: the point of the text at this position, as two letters of Pillow ("lt": left top).
    """
    ImageDraw.Draw(image).text(
        position,
        text,
        fill=_TEXT,
        font=_font(),
        anchor=anchor,
        stroke_width=2,
        stroke_fill=(0, 0, 0),
    )


def _draw_entry(page: Image.Image, name: str, color: Color, position: tuple[int, int]) -> None:
    draw = ImageDraw.Draw(page)
    x, y = position
    draw.rectangle((x, y + 2, x + _SWATCH, y + 2 + _SWATCH), fill=color)
    middle = (x + _SWATCH + _GAP, y + 2 + _SWATCH / 2)
    draw.text(middle, name, fill=_TEXT, font=_font(), anchor="lm")


def _font() -> Any:
    return ImageFont.load_default(size=_FONT)
