"""Tests of lesion counts on small components."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from segkit.evaluation.lesions import Lesions, count_lesions


def boxes(*corners: tuple[int, int, int], size: int = 2) -> np.ndarray:
    mask = np.zeros((16, 16, 16), bool)
    for x, y, z in corners:
        mask[x : x + size, y : y + size, z : z + size] = True
    return mask


def test_found_missed_and_false() -> None:
    reference = boxes((0, 0, 0), (6, 6, 6), (12, 0, 0))
    predicted = boxes((1, 0, 0), (6, 6, 6), (12, 12, 12))
    assert count_lesions(predicted, reference) == Lesions(found=2, missed=1, false=1)
    # The first pair shares 4 of 12 voxels.
    assert count_lesions(predicted, reference, 1 / 3) == Lesions(found=2, missed=1, false=1)
    assert count_lesions(predicted, reference, 0.34) == Lesions(found=1, missed=2, false=2)


def test_voxels_that_touch_at_a_corner_are_one_lesion() -> None:
    assert count_lesions(boxes((0, 0, 0), (2, 2, 2)), boxes()).false == 1
    assert count_lesions(boxes((0, 0, 0), (3, 2, 2)), boxes()).false == 2


def test_fragments_of_one_lesion_are_correct_by_overlap_and_false_by_iou() -> None:
    whole = np.zeros((9, 3, 3), bool)
    whole[1:8] = True
    broken = whole.copy()
    broken[6] = False
    assert count_lesions(broken, whole) == Lesions(found=1, missed=0, false=0)
    assert count_lesions(broken, whole, 0.5) == Lesions(found=1, missed=0, false=1)


def test_the_best_partner_is_taken_first() -> None:
    reference, predicted = np.zeros((12, 1, 1), bool), np.zeros((12, 1, 1), bool)
    reference[0:4] = reference[5:12] = True
    predicted[2:10] = True  # IoU 2/10 with the first, 5/10 with the second
    assert count_lesions(predicted, reference, 0.2) == Lesions(found=1, missed=1, false=0)
    assert count_lesions(predicted, reference) == Lesions(found=2, missed=0, false=0)


def test_empty_masks() -> None:
    assert count_lesions(boxes(), boxes((0, 0, 0))) == Lesions(0, 1, 0)
    assert count_lesions(boxes((0, 0, 0)), boxes()) == Lesions(0, 0, 1)
    assert count_lesions(boxes((0, 0, 0)), boxes()).f1() == 0
    assert math.isnan(count_lesions(boxes(), boxes()).f1())


@pytest.mark.parametrize("shape", [(20, 18, 16), (40, 30, 1)])
def test_counts_agree_with_scipy(shape: tuple[int, ...]) -> None:
    predicted, reference = np.random.default_rng(0).random((2, *shape)) < 0.06
    touching = np.ones((3, 3, 3))
    lesions, count = ndimage.label(reference, touching)
    parts, predicted_count = ndimage.label(predicted, touching)
    found, right = (len(set(labels[predicted & reference])) for labels in (lesions, parts))
    expected = Lesions(found, count - found, predicted_count - right)
    assert count_lesions(predicted, reference) == expected
