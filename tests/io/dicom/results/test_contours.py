from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path as Line
from numpy.typing import NDArray

pytest.importorskip("pydicom", reason="the extra [dicom] is not installed")

from segkit.io.dicom.results.contours import outlines


def drawn(polygons: list[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centers lie inside a polygon."""
    centres = np.argwhere(np.ones(shape))
    inside = sum(Line(np.vstack([each, each[:1]])).contains_points(centres) for each in polygons)
    return np.reshape(inside, shape).astype(bool)


def test_one_pixel_is_a_diamond_around_its_center() -> None:
    mask = np.zeros((5, 4), bool)
    mask[2, 1] = True
    (polygon,) = outlines(mask)
    assert sorted(map(tuple, polygon)) == [(1.5, 1), (2, 0.5), (2, 1.5), (2.5, 1)]


def test_straight_sides_have_no_points_between_their_ends() -> None:
    (polygon,) = outlines(np.ones((10, 20), bool))
    assert sorted(map(tuple, polygon)) == [
        *((-0.5, 0), (-0.5, 19), (0, -0.5), (0, 19.5), (9, -0.5), (9, 19.5), (9.5, 0), (9.5, 19)),
    ]


def test_nothing() -> None:
    assert outlines(np.zeros((5, 4), bool)) == []


def test_holes_are_one_polygon_with_the_outline() -> None:
    mask = np.ones((12, 12), bool)
    mask[2:4, 2:4] = mask[6:9, 5:7] = mask[2:4, 8:10] = False
    polygons = outlines(mask)
    assert len(polygons) == 1
    np.testing.assert_array_equal(drawn(polygons, mask.shape), mask)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_any_mask_is_restored(share: float) -> None:
    mask = np.random.default_rng(0).random((30, 40)) < share
    np.testing.assert_array_equal(drawn(outlines(mask), mask.shape), mask)
