"""Colors of labels, as people with each form of color blindness see them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.labels.colors import OKABE_ITO, label_colors, palette_color

# G. M. Machado et al., IEEE TVCG 15(6), 2009, severity 1: linear RGB to what is seen of it.
SEEN = {
    "all": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(color: tuple[int, int, int], seen: list[list[float]]) -> NDArray[np.float64]:
    """CIE L*a*b* (D65) of a color of sRGB."""
    part = np.array(color) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt(
        np.clip(XYZ @ np.clip(np.array(seen) @ linear, 0, 1), 1e-4, None) / (0.9505, 1, 1.089)
    )
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", SEEN)
def test_everyone_can_tell_the_first_seven_apart(eyes: str) -> None:
    """A difference of 2.3 in CIE76 can just be noticed; all have more than 15."""
    apart = [
        np.linalg.norm(lab(a, SEEN[eyes]) - lab(b, SEEN[eyes]))
        for a, b in combinations(OKABE_ITO, 2)
    ]
    assert min(apart) > 15


def test_many_labels_have_different_colors() -> None:
    colors = [palette_color(place) for place in range(200)]
    assert len(set(colors)) == 200
    assert all(0 <= part <= 255 for color in colors for part in color)


def test_given_colors_come_first() -> None:
    assert label_colors(["a", "b", "c"], {"b": (1, 2, 3), "c": None}) == {
        "a": OKABE_ITO[0],
        "b": (1, 2, 3),
        "c": OKABE_ITO[2],
    }
