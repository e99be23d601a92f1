from __future__ import annotations

import numpy as np

from segkit.preprocessing.orient_and_crop import content_box, content_mask

WHOLE = (slice(0, 5), slice(0, 6), slice(0, 7))


def test_the_box_holds_all_that_differs_from_the_corners() -> None:
    array = np.full((2, 5, 6, 7), -3.6, dtype=np.float32)
    array[0, 1, 2, 3] = 0
    array[1, 3, 2, 4] = 1
    assert content_box(array) == (slice(1, 4), slice(2, 3), slice(3, 5))


def test_different_corners_mean_no_border() -> None:
    array = np.zeros((1, 5, 6, 7))
    array[0, 4, 5, 6] = 1
    assert content_mask(array) is None
    assert content_box(array) == WHOLE


def test_a_constant_scan_stays_whole() -> None:
    assert content_box(np.ones((1, 5, 6, 7))) == WHOLE


def test_a_picture_has_four_corners() -> None:
    array = np.zeros((1, 5, 6, 1))
    array[0, 2, 3, 0] = 9
    assert content_box(array) == (slice(2, 3), slice(3, 4), slice(0, 1))
