"""Colors of labels, the same in pictures, curves, DICOM-SEG and RTSTRUCT.

The first seven colors are those of Okabe and Ito without black, which is invisible on a scan (M.
Okabe, K. Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/; also Wong, Nature
Methods 8:441, 2011). People with any form of color blindness can distinguish them. Sky blue comes
first, because a fundus or a stained slide is red. Purple and green come last, because people with
red-green color blindness see them as gray, and a scan is gray. Further labels have lighter and
darker shades of the same seven colors, because everyone can see differences in lightness.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Color = tuple[int, int, int]
"""Red, green and blue, from 0 to 255."""

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
"""Largest share of white and of black in a shade; beyond, it is invisible on paper or on a scan."""
_GOLDEN = 0.618034
"""Golden ratio minus 1: the fractional parts of its multiples stay far apart."""


def palette_color(index: int) -> Color:
    """Return the color of the label with this index, from 0; the first 200 colors are distinct.

    >>> palette_color(0), palette_color(7)
    ((86, 180, 233), (154, 210, 242))
    """
    cycle, hue = divmod(index, len(OKABE_ITO))
    if cycle == 0:
        return OKABE_ITO[hue]
    share = cycle * _GOLDEN % 1
    end, most = (255, _LIGHTEST) if cycle % 2 else (0, _DARKEST)
    red, green, blue = (round(part + (end - part) * most * share) for part in OKABE_ITO[hue])
    return red, green, blue


def label_colors(
    names: Iterable[str], given: Mapping[str, Color | None] | None = None
) -> dict[str, Color]:
    """Return a color for each label.

    Args:
        names: all labels of a model, in order; the index of a label determines its color.
        given: colors that take precedence, by label.
    """
    chosen = given or {}
    return {name: chosen.get(name) or palette_color(index) for index, name in enumerate(names)}
