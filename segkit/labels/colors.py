"""The colors of labels: one table for pictures, curves, DICOM-SEG and RTSTRUCT.

The first seven are those of Okabe and Ito without black, which no one sees on a scan (M. Okabe, K. Ito, "Color
Universal Design", 2008, https://jfly.uni-koeln.de/color/; also Wong, Nature Methods 8:441, 2011): people who cannot
tell red from green, or blue from yellow, can tell them apart. Sky blue comes first, because a fundus or a stained
slide is red; purple and green come last, because who cannot tell red from green sees them as grey, and a scan is grey.
Further labels have lighter and darker ones of the same seven: lightness is what all people can see.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Color = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

OKABE_ITO: tuple[Color, ...] = (
    (86, 180, 233),  # sky blue
    (230, 159, 0),  # orange
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermillion
    (240, 228, 66),  # yellow
    (204, 121, 167),  # reddish purple
    (0, 158, 115),  # bluish green
)
_LIGHTEST, _DARKEST = 0.65, 0.5
"""Share of white or black in the lightest and darkest ones: beyond, they are lost on paper or on a scan."""
_GOLDEN = 0.618034
"""Multiples of it, less their whole part, never come close to each other."""


def palette_color(index: int) -> Color:
    """Return the color of the label with this place, from 0 on; places up to 200 have different ones.

    >>> palette_color(0), palette_color(7)
    ((86, 180, 233), (154, 210, 242))
    """
    lap, place = divmod(index, len(OKABE_ITO))
    if lap == 0:
        return OKABE_ITO[place]
    share = lap * _GOLDEN % 1
    end, most = (255, _LIGHTEST) if lap % 2 else (0, _DARKEST)
    red, green, blue = (round(part + (end - part) * most * share) for part in OKABE_ITO[place])
    return red, green, blue


def label_colors(
    names: Iterable[str], given: Mapping[str, Color | None] | None = None
) -> dict[str, Color]:
    """Return a color for each label by its place among all labels of a model; those that are ``given`` come first."""
    known = given or {}
    return {name: known.get(name) or palette_color(place) for place, name in enumerate(names)}
