from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest

from segkit.labels.postprocessing import (
    apply_rules,
    has_label,
    keep_labels,
    keep_largest,
    merge_regions,
    present_values,
    remove_small_blobs,
)

PeakOf = Callable[[str, str], int]
LARGE = """
import numpy as np
labels = np.zeros((512, 512, 200), np.uint8)
labels[50:300, 100:300, 20:150], labels[310:500, 20:200, 5:180] = 1, 2
labels[::25, ::25, ::25] = 3
"""


def test_components_below_the_volume_are_removed() -> None:
    labels = np.zeros((10, 4, 1), np.uint16)
    labels[0:2, 0:2], labels[4, 0], labels[5:8, 0], labels[9, 3] = 300, 300, 5, 5
    # Voxels of 1 x 2 x 3 = 6 mm3: pieces of 24, 6, 18 and 6 mm3.
    kept = remove_small_blobs(labels, 6, 18)
    assert kept.dtype == np.uint16
    assert [int((kept == value).sum()) for value in (300, 5)] == [4, 3]


def test_a_component_of_exactly_the_volume_is_kept_despite_rounding() -> None:
    labels = np.ones((10, 10, 10), np.uint8)
    assert 1000 * 0.7**3 < 343
    assert remove_small_blobs(labels, 0.7**3, 343).all()
    assert not remove_small_blobs(labels, 0.7**3, 343.001).any()


def test_masks_of_regions() -> None:
    labels = np.array([0, 1, 2, 3, 3, 1], np.uint8).reshape(6, 1, 1)
    whole, core = has_label(labels, [1, 2, 3]), has_label(labels, [3])
    assert whole.ravel().tolist() == [False, True, True, True, True, True]
    assert remove_small_blobs(whole, 1, 5).dtype == np.bool_
    assert merge_regions([whole, core], [1, 2], np.uint8).ravel().tolist() == [0, 1, 1, 2, 2, 1]
    with pytest.raises(ValueError, match="no region"):
        merge_regions([], [], np.uint8)


@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_make_no_difference(
    monkeypatch: pytest.MonkeyPatch, order: Literal["C", "F"]
) -> None:
    labels = np.asarray(np.random.default_rng(0).integers(0, 5, (9, 8, 7)), np.uint16, order=order)
    view = labels.transpose(1, 0, 2)[::-1]
    before = labels.copy()
    for size in (1, 10, 100, 1000):
        monkeypatch.setattr("segkit.labels.postprocessing.BLOCK_VOXELS", size)
        for each in (labels, view):
            assert np.array_equal(
                keep_labels(each, [2, 4]), np.where(np.isin(each, [2, 4]), each, 0)
            )
            assert np.array_equal(has_label(each, [2, 4]), np.isin(each, [2, 4]))
            assert present_values(each) == [0, 1, 2, 3, 4]
    assert np.array_equal(labels, before)


def test_voxels_that_touch_at_a_corner_are_one_component() -> None:
    labels = np.zeros((2, 2, 2), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = 1
    assert remove_small_blobs(labels, 1, 2).sum() == 2


def test_nothing_labeled() -> None:
    assert not remove_small_blobs(np.zeros((3, 3, 3), np.uint8), 1, 5).any()


def test_the_largest_component_of_one_label_is_kept() -> None:
    labels = np.array([[5, 0, 5, 5, 0, 300, 0, 300]], np.uint16)[..., None]
    before = labels.copy()
    assert keep_largest(labels, 5)[0, :, 0].tolist() == [0, 0, 5, 5, 0, 300, 0, 300]
    assert keep_largest(labels, 300)[0, :, 0].tolist() in (
        [5, 0, 5, 5, 0, 300, 0, 0],
        [5, 0, 5, 5, 0, 0, 0, 300],
    )
    assert np.array_equal(keep_largest(labels, 7), labels)
    assert np.array_equal(labels, before)
    assert keep_largest(labels, 5).dtype == np.uint16


def test_rules_by_value() -> None:
    labels = np.array([1, 0, 1, 1, 2, 0, 2], np.uint8).reshape(7, 1, 1)
    assert apply_rules(labels, {1: "largest"}).ravel().tolist() == [0, 0, 1, 1, 2, 0, 2]
    assert apply_rules(labels, {}) is labels


RULES_OF_TWO = "apply_rules(labels, {1: 'largest', 2: 'largest'})"


@pytest.mark.parametrize(
    "action", ["keep_labels(labels, [1])", "remove_small_blobs(labels, 1, 500)", RULES_OF_TWO]
)
def test_memory_is_that_of_copies(peak_of: PeakOf, action: str) -> None:
    prepare = f"from segkit.labels.postprocessing import *\n{LARGE}"
    copies = 2 if action == RULES_OF_TWO else 1
    # Of a map of 52 MB; the pieces of the whole at once would be 210 MB.
    assert peak_of(prepare, action) < copies * 52.5e6 + 60e6
