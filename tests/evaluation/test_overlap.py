"""Tests of overlap metrics on masks that can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segkit.evaluation.overlap import dice, iou, volume_difference_ml, volume_difference_px

ONE = (1.0, 1.0, 1.0)
EMPTY = np.zeros((4, 4, 4), bool)


def cube(start: int, stop: int) -> np.ndarray:
    mask = EMPTY.copy()
    mask[start:stop, :2, :2] = True
    return mask


def test_half_overlap() -> None:
    assert dice(cube(0, 2), cube(1, 3)) == 0.5
    assert iou(cube(0, 2), cube(1, 3)) == pytest.approx(1 / 3)


def test_volume_difference_is_signed_and_in_ml() -> None:
    assert volume_difference_ml(cube(0, 1), cube(0, 3), (5.0, 5.0, 5.0)) == -1.0
    assert volume_difference_px(cube(0, 3), cube(0, 1), ONE) == 8.0


@pytest.mark.parametrize("metric", [dice, iou])
def test_one_empty_is_zero_both_empty_is_no_value(metric) -> None:
    assert metric(EMPTY, cube(0, 1)) == 0
    assert metric(cube(0, 1), EMPTY) == 0
    assert math.isnan(metric(EMPTY, EMPTY))


def test_volume_difference_of_two_empty_masks_is_no_value() -> None:
    assert math.isnan(volume_difference_ml(EMPTY, EMPTY, ONE))
