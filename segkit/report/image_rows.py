"""Arrange images in rows with a legend of labels below, and write text on images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from segkit.labels.colors import Color

LEGEND_ENTRIES = 60
"""Largest number of labels in a legend."""
MARGIN = 12
"""Distance between images in pixels."""
_LINE, _SWATCH, _FONT, _GAP = 20, 12, 14, 6
"""Sizes in pixels: line of the legend, color swatch, font, and gap between swatch and name."""
_BACKGROUND, _TEXT = (16, 16, 16), (240, 240, 240)


def arrange(
    rows: Sequence[Sequence[Image.Image]], legend: Sequence[tuple[str, Color]]
) -> Image.Image:
    """Return one image with rows of images and a legend below.

    Args:
        rows: images of each row, from left to right.
        legend: name and color of each label.
    """
    entries = [*legend[:LEGEND_ENTRIES]]
    if len(legend) > LEGEND_ENTRIES:
        entries.append((f"and {len(legend) - LEGEND_ENTRIES} more", _BACKGROUND))
    longest = max((int(_font().getlength(name)) for name, _ in entries), default=0)
    entry_width = MARGIN + _SWATCH + _GAP + longest
    heights = [max(image.height for image in row) + MARGIN for row in rows]
    legend_top = sum(heights) + MARGIN
    width = max(*(row_width(row) for row in rows), entry_width + MARGIN)
    columns = max(1, (width - MARGIN) // entry_width)
    lines = -(-len(entries) // columns)
    page = Image.new("RGB", (width, legend_top + _LINE * lines + MARGIN), _BACKGROUND)
    for row, top in zip(rows, itertools.accumulate(heights, initial=MARGIN), strict=False):
        left = MARGIN
        for image in row:
            page.paste(image, (left, top))
            left += image.width + MARGIN
    for index, (name, color) in enumerate(entries):
        left = MARGIN + entry_width * (index % columns)
        _draw_entry(page, name, color, (left, legend_top + _LINE * (index // columns)))
    return page


def row_width(row: Sequence[Image.Image]) -> int:
    """Return the width of a row of images in pixels, with margins."""
    return sum(image.width for image in row) + MARGIN * (len(row) + 1)


def write_letters(image: Image.Image, letters: tuple[str, str, str, str]) -> None:
    """Write the orientation letters at the left, right, top and bottom edges of an image."""
    left, right, top, bottom = letters
    width, height = image.size
    write_text_on(image, left, (4, height / 2), anchor="lm")
    write_text_on(image, right, (width - 4, height / 2), anchor="rm")
    write_text_on(image, top, (width / 2, 3), anchor="mt")
    write_text_on(image, bottom, (width / 2, height - 3), anchor="mb")


def write_text_on(
    image: Image.Image, text: str, position: tuple[float, float], *, anchor: str
) -> None:
    """Write text onto an image at ``position`` (x, y); ``anchor`` is a text anchor of Pillow."""
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
    text_position = (x + _SWATCH + _GAP, y + 2 + _SWATCH / 2)
    draw.text(text_position, name, fill=_TEXT, font=_font(), anchor="lm")


def _font() -> Any:
    return ImageFont.load_default(size=_FONT)
