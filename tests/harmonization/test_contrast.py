from __future__ import annotations

import numpy as np

from segkit.harmonization.contrast import between_group_share, contrast


def test_share_of_the_variance_between_groups() -> None:
    assert between_group_share([1.0, 1.0, 5.0, 5.0], ["a", "a", "b", "b"]) == 1
    assert between_group_share([1.0, 5.0, 1.0, 5.0], ["a", "a", "b", "b"]) == 0
    assert between_group_share([2.0, 2.0], ["a", "b"]) is None


def test_contrast_does_not_depend_on_gain_and_offset() -> None:
    inside, outside = np.array([4.0, 6.0]), np.array([1.0, 3.0])
    assert contrast(inside, outside) == 3
    assert contrast(10 * inside - 7, 10 * outside - 7) == 3


def test_there_is_no_contrast_without_voxels_or_noise() -> None:
    assert contrast(np.array([]), np.array([1.0])) is None
    assert contrast(np.array([2.0]), np.array([1.0])) is None
