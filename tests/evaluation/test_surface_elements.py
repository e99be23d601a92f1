"""Tests of surface elements: by hand, and against numbers of DeepMind's surface-distance."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from segkit.evaluation.surface import surface_distances
from segkit.evaluation.surface_elements import element_distances
from tests.evaluation.deepmind_reference import CASES, REFERENCE, masks

ONE = (1.0, 1.0, 1.0)
NUMBERS = json.loads(REFERENCE.read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_surface_distance(name: str) -> None:
    shape, spacing, shift = CASES[name]
    predicted, reference = masks(shape, shift)
    found, expected = element_distances(predicted, reference, spacing), NUMBERS[name]
    areas = [found.areas_of_reference.sum(), found.areas_of_prediction.sum()]
    assert areas == pytest.approx(expected["areas"])
    assert found.hd95() == pytest.approx(expected["hd95"])
    both = np.dot(expected["means"], expected["areas"]) / sum(expected["areas"])
    assert found.mean() == pytest.approx(both, rel=1e-6)
    for tolerance, share in expected["surface_dice"].items():
        assert found.within(float(tolerance)) == pytest.approx(share)
    assert found.within(1.0) != pytest.approx(
        surface_distances(predicted, reference, spacing).within(1.0), abs=1e-3
    )


def cube(start: int) -> np.ndarray:
    mask = np.zeros((12, 12, 12), bool)
    mask[start : start + 4, 4:8, 4:8] = True
    return mask


def test_area_of_a_cube_by_hand() -> None:
    # 6 sides of 3 x 3 whole elements, 12 edges of 3 beveled ones, 8 corners that are cut off.
    area = 6 * 9 + 12 * 3 * math.sqrt(2) / 2 + 8 * math.sqrt(3) / 8
    assert element_distances(cube(3), cube(3), ONE).areas_of_prediction.sum() == pytest.approx(area)


def test_a_shift_by_one_voxel() -> None:
    found = element_distances(cube(4), cube(3), (2.0, 1.0, 1.0))
    assert (found.hd95(), found.within(2.0)) == (2.0, 1.0)
    assert element_distances(cube(3), cube(3), ONE).mean() == 0


def test_the_box_around_masks_at_the_border_changes_nothing() -> None:
    mask, larger = np.zeros((8, 8, 8), bool), np.zeros((8, 8, 8), bool)
    mask[:4], larger[:5] = True, True
    near = element_distances(mask, larger, ONE)
    far = element_distances(np.pad(mask, 3), np.pad(larger, 3), ONE)
    assert (near.hd95(), near.mean(), near.within(0.5)) == (far.hd95(), far.mean(), far.within(0.5))


def test_one_empty_is_infinite_both_empty_is_no_value() -> None:
    empty = np.zeros((12, 12, 12), bool)
    for pair in ((empty, cube(3)), (cube(3), empty)):
        found = element_distances(*pair, ONE)
        assert (found.hd95(), found.mean(), found.within(1.0)) == (math.inf, math.inf, 0)
    found = element_distances(empty, empty, ONE)
    assert all(map(math.isnan, (found.hd95(), found.mean(), found.within(1.0))))


def test_elements_beside_voxels_that_nobody_annotated_do_not_count() -> None:
    annotated = np.ones((12, 12, 12), bool)
    annotated[:, :, 6:] = False
    half = cube(3) & annotated
    found = element_distances(half, half, ONE, annotated=annotated)
    # Up to the corners of z = 5.5: one side of 3 x 3, and 4 sides of 3 x 1, all beveled at edges.
    bevel, corner = math.sqrt(2) / 2, math.sqrt(3) / 8
    area = 9 + 4 * 3 * bevel + 4 * corner + 4 * 3 * 1 + 4 * 1 * bevel
    assert found.areas_of_prediction.sum() == pytest.approx(area)
    only = element_distances(cube(3), cube(3), ONE, annotated=cube(3))
    assert math.isnan(only.hd95())
