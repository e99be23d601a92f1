"""Tests of the metrics of each label of two label maps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from segkit.evaluation.measure import measure_labels, measure_masks

ONE = (1.0, 1.0, 1.0)


def test_names_say_the_unit() -> None:
    mask = np.ones((2, 2, 1), bool)
    in_mm = measure_masks(mask, mask, (1.0, 1.0, 1.0), unit="mm")
    in_px = measure_masks(mask, mask, (1.0, 1.0, 1.0), unit="px")
    more = ["sensitivity", "precision", "relative_volume_error"]
    first = ["dice", "iou", "hd95_mm", "surface_dice", "volume_difference_ml", "assd_mm"]
    assert list(in_mm) == [*first, *more]
    first = ["dice", "iou", "hd95_px", "surface_dice", "volume_difference_px", "assd_px"]
    assert list(in_px) == [*first, *more]


def test_labels_of_any_value_and_where_they_occur() -> None:
    reference = np.zeros((8, 8, 8), np.int16)
    reference[:2, :2, :2] = -7
    reference[4:6, 4:6, 4:6] = 300
    predicted = np.where(reference == 300, 0, reference)
    predicted[7, 7, 7] = 9
    labels = {"a": -7, "b": 300, "c": 9, "d": 5}
    results = measure_labels(predicted, reference, ONE, labels=labels)
    assert results["a"].metrics["dice"] == 1
    assert results["b"].metrics["hd95_mm"] == math.inf
    assert results["d"].metrics == {}
    found = [results[name].presence for name in labels]
    assert found == ["both", "reference only", "prediction only", "neither"]


def test_a_value_that_is_not_named_is_left_out() -> None:
    predicted, reference = np.full((3, 3, 3), 4), np.full((3, 3, 3), 6)
    assert set(measure_labels(predicted, reference, ONE, labels={"six": 6})) == {"six"}


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_order_in_memory_changes_nothing(axes: tuple[int, ...]) -> None:
    random = np.random.default_rng(5)
    maps = [random.integers(-1, 4, (6, 7, 9)).astype(np.int16) for _ in range(2)]
    labels, spacing = {"a": -1, "b": 2, "both": [1, 2]}, (1.0, 2.0, 0.7)
    stored = [array.transpose(axes).copy().transpose(np.argsort(axes)) for array in maps]
    expected = measure_labels(*maps, spacing, labels=labels)
    assert measure_labels(*stored, spacing, labels=labels) == expected
    assert measure_labels(stored[0], maps[1], spacing, labels=labels) == expected
    for name, values in (("b", [2]), ("both", [1, 2])):
        masks = [np.isin(array, values) for array in maps]
        assert measure_masks(*masks, spacing) == expected[name].metrics


def test_the_cut_around_a_label_changes_nothing() -> None:
    random = np.random.default_rng(3)
    predicted, reference = (random.integers(0, 3, (9, 9, 9)) for _ in range(2))
    predicted[:3], reference[6:] = 0, 0
    results = measure_labels(
        predicted, reference, (1.0, 2.0, 0.5), labels={"two": 2}, tolerance=0.6
    )
    assert results["two"].metrics == measure_masks(
        predicted == 2, reference == 2, (1.0, 2.0, 0.5), tolerance=0.6
    )
