from __future__ import annotations

import numpy as np

from segkit.postprocessing import apply_rules, keep_largest, remove_small_blobs


def test_pieces_below_the_volume_go() -> None:
    labels = np.zeros((10, 4, 1), np.uint16)
    labels[0:2, 0:2], labels[4, 0], labels[5:8, 0], labels[9, 3] = 300, 300, 5, 5
    # Voxels of 1 x 2 x 3 = 6 mm3: pieces of 24, 6, 18 and 6 mm3.
    kept = remove_small_blobs(labels, 6, 18)
    assert kept.dtype == np.uint16
    assert [int((kept == value).sum()) for value in (300, 5)] == [4, 3]


def test_voxels_that_touch_at_a_corner_are_one_piece() -> None:
    labels = np.zeros((2, 2, 2), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = 1
    assert remove_small_blobs(labels, 1, 2).sum() == 2


def test_nothing_labelled() -> None:
    assert not remove_small_blobs(np.zeros((3, 3, 3), np.uint8), 1, 5).any()


def test_the_largest_piece_of_one_label_stays() -> None:
    labels = np.array([[5, 0, 5, 5, 0, 300, 0, 300]], np.uint16)[..., None]
    before = labels.copy()
    assert keep_largest(labels, 5)[0, :, 0].tolist() == [0, 0, 5, 5, 0, 300, 0, 300]
    assert keep_largest(labels, 300)[0, :, 0].tolist() in ([5, 0, 5, 5, 0, 300, 0, 0], [5, 0, 5, 5, 0, 0, 0, 300])
    assert np.array_equal(keep_largest(labels, 7), labels)
    assert np.array_equal(labels, before)
    assert keep_largest(labels, 5).dtype == np.uint16


def test_rules_by_value() -> None:
    labels = np.array([1, 0, 1, 1, 2, 0, 2], np.uint8).reshape(7, 1, 1)
    assert apply_rules(labels, {1: "largest"}).ravel().tolist() == [0, 0, 1, 1, 2, 0, 2]
    assert apply_rules(labels, {}) is labels
