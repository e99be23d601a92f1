"""A ScaledArray stands in for an array of float32 in all operations on scans."""

from __future__ import annotations

import numpy as np
import pytest

from segkit.io.limits import check_finite
from segkit.io.memory import blocks
from segkit.io.scaled import ScaledArray

STORED = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
SCALED = ScaledArray(STORED, 0.1, -1000)
VALUES = (STORED * 0.1 - 1000).astype(np.float32)


def test_it_has_what_an_array_has() -> None:
    assert (SCALED.shape, SCALED.ndim, SCALED.size, SCALED.dtype, len(SCALED)) == (
        (2, 3, 4),
        3,
        24,
        np.float32,
        2,
    )
    assert SCALED.strides == STORED.strides


def test_views_share_the_numbers() -> None:
    for view, expected in [
        (SCALED[1, ::-1], VALUES[1, ::-1]),
        (SCALED.T, VALUES.T),
        (np.moveaxis(SCALED, 2, 0)[3], VALUES[..., 3]),
        (list(SCALED)[1], VALUES[1]),
    ]:
        assert isinstance(view, ScaledArray)
        assert np.shares_memory(view.stored, STORED)
        assert np.asarray(view).tolist() == expected.tolist()


def test_chosen_voxels() -> None:
    places = (np.array([0, 1]), np.array([2, 2]), np.array([3, 0]))
    assert np.asarray(SCALED[places]).tolist() == VALUES[places].tolist()
    assert np.asarray(SCALED[0, 0, 0]) == VALUES[0, 0, 0]


def test_computations_see_values() -> None:
    value = VALUES[0, 0, 1]
    assert np.array_equal(value != SCALED, value != VALUES)
    assert np.array_equal(SCALED + SCALED, VALUES + VALUES)
    assert np.concatenate([SCALED, SCALED]).tolist() == [*VALUES.tolist(), *VALUES.tolist()]
    target = np.empty(VALUES.shape, np.float32)
    target[...] = SCALED
    assert np.array_equal(target, VALUES)
    # By way of float32: the values do not depend on who asks.
    assert np.array_equal(np.asarray(SCALED, np.float64), VALUES.astype(np.float64))


def test_values_are_no_view() -> None:
    with pytest.raises(ValueError, match="values are computed, so they cannot be returned"):
        np.array(SCALED, copy=False)


def test_blocks_cover_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.io.memory.BLOCK_VOXELS", 5)
    found = np.concatenate([np.asarray(SCALED[box]).ravel() for box in blocks(SCALED)])  # type: ignore[arg-type]
    assert found.tolist() == VALUES.ravel().tolist()
    check_finite("a.nii", SCALED)  # type: ignore[arg-type]


def test_numbers_that_float32_would_confuse_become_float64() -> None:
    scaled = ScaledArray(np.array([0, 2**25 + 2, 2**24 + 3], np.int32), 1.0, 1.0)
    assert np.asarray(scaled).tolist() == [1, 2**25 + 3, 2**24 + 4]
    assert np.asarray(ScaledArray(np.array([1, 2], np.int16), 1.0, 1e8)).tolist() == [
        100000001,
        100000002,
    ]
