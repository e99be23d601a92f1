from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import segkit.preprocessing.content_values as module
from segkit.harmonization.values import ChannelValues
from segkit.io.scaled import ScaledArray
from segkit.preprocessing.content_values import channel_values, labeled_values
from segkit.preprocessing.labels import to_indices
from segkit.volume import Volume


def values_of(array: np.ndarray) -> ChannelValues:
    return channel_values(Volume(array[None], np.eye(4)))[0]


def test_the_constant_border_does_not_count() -> None:
    array = np.zeros((6, 6, 6))
    array[1:5, 1:5, 1:5] = 10
    array[2, 2, 2] = 74
    inside = values_of(array)
    assert inside.mean == 11
    assert inside.quantiles[0] == 10


def test_zeros_inside_count_if_the_corners_differ() -> None:
    array = np.zeros((6, 6, 6))
    array[0, 0, 0] = 216
    assert values_of(array).mean == 1


def test_a_scan_of_nothing_but_border_counts_as_a_whole() -> None:
    constant = values_of(np.full((3, 3, 3), 7.0))
    assert (constant.mean, constant.std) == (7, 0)


def test_stored_numbers_are_scaled() -> None:
    stored = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    scaled = ScaledArray(stored[None], 2.0, 1.0)
    values = channel_values(Volume(scaled, np.eye(4)))[0]  # type: ignore[arg-type]
    assert values.mean == 1000


def test_a_large_scan_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(0).normal(size=(40, 40, 40))
    array[0, 0, 0] = 3.0
    whole = values_of(array)
    monkeypatch.setattr(module, "MOST_VOXELS", 10_000)
    sampled = values_of(array)
    assert not np.array_equal(whole.quantiles, sampled.quantiles)
    assert np.abs(whole.quantiles - sampled.quantiles)[20:-20].max() < 0.1


def test_the_step_has_no_factor_in_common_with_an_axis() -> None:
    # With 64 planes of 64 x 64 and every 8th voxel, 8 of 64 rows would be all that is seen.
    assert module._step(8 * module.MOST_VOXELS, (64, 64, 63)) == 11


def test_values_inside_and_outside_of_labels() -> None:
    indices = np.array([0, 1, 2, 3, 0], np.uint8).reshape(5, 1, 1)  # 3 is not annotated
    array = np.stack([np.arange(5), 10 * np.arange(5)]).reshape(2, 5, 1, 1)
    inside, outside = labeled_values(array, indices, 2)
    assert inside.tolist() == [[1, 2], [10, 20]]
    assert outside.tolist() == [[0, 4], [0, 40]]
    inside, _ = labeled_values(array, np.zeros_like(indices), 2)
    assert inside.shape == (2, 0)


def test_labels_and_their_values_take_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VOXELS", 50_000)
    values, array = np.zeros((256, 256, 128), np.uint8), np.zeros((1, 256, 256, 128), np.uint8)
    values[:64] = 7
    tracemalloc.start()
    indices = to_indices(values, {"organ": 7}, False, "m.nii")
    inside, outside = labeled_values(array, indices, 1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A list of places takes 8 bytes for each of the 8 million voxels; a block has one million.
    assert peak < 6 * values.size
    assert 25_000 < inside.size <= 50_000 >= outside.size > 25_000
