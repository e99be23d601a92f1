from __future__ import annotations

import numpy as np
import pytest

import segkit.harmonization.values as module
from segkit.harmonization.values import channel_values
from segkit.io.scaled import ScaledArray
from segkit.volume import Volume


def values_of(array: np.ndarray) -> module.ChannelValues:
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
