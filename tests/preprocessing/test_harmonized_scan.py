"""Harmonized scans: 32-bit numbers on the same grid, in order, whatever the other scans are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segkit.preprocessing.harmonized_scan as module
from segkit.errors import InputError
from segkit.harmonization.fit import fit
from segkit.harmonization.model import Harmonization
from segkit.io.memory import is_mapped
from segkit.preprocessing.content_values import channel_values
from segkit.preprocessing.harmonized_scan import harmonize
from segkit.volume import Volume

AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model() -> Harmonization:
    random = np.random.default_rng(0)
    scans = [
        channel_values(volume(gain * random.gamma(4.0, size=(10, 10, 3))))
        for gain in [1.0] * 30 + [50.0] * 30
    ]
    return fit("spline", ["T1"], scans, ["a"] * 30 + ["b"] * 30)


def volume(array: Any) -> Volume:
    return Volume(np.asarray(array)[None], AFFINE)


def test_a_scan_of_whole_numbers_becomes_float32_in_the_same_order(model: Harmonization) -> None:
    voxels = RANDOM.integers(0, 30, (9, 8, 7)).astype(np.int16)
    done = harmonize(volume(voxels), model, "a")
    assert done.volume.dtype == np.float32
    assert np.array_equal(done.volume.affine, AFFINE)
    order = np.argsort(voxels, axis=None)
    assert np.diff(done.volume.array.ravel()[order]).min() >= 0
    equal = [len(np.unique(done.volume.array[0][voxels == value])) for value in range(30)]
    assert max(equal) == 1


def test_the_border_stays_constant_and_does_not_matter(model: Harmonization) -> None:
    voxels = RANDOM.gamma(4.0, size=(6, 6, 6))
    padded = np.pad(voxels, 5)
    alone, inside = harmonize(volume(voxels), model, "a"), harmonize(volume(padded), model, "a")
    assert len(np.unique(inside.volume.array[0, :5])) == 1
    np.testing.assert_array_equal(inside.volume.array[:, 5:-5, 5:-5, 5:-5], alone.volume.array)


def test_an_unseen_group_is_flagged(model: Harmonization) -> None:
    voxels = volume(RANDOM.gamma(4.0, size=(6, 6, 6)))
    assert harmonize(voxels, model, "a").is_known
    for group in ("c", None):
        done = harmonize(voxels, model, group)
        assert not done.is_known
        assert np.isfinite(done.volume.array).all()


def test_a_constant_channel_is_named(model: Harmonization) -> None:
    done = harmonize(volume(np.full((3, 3, 3), 9.0)), model, "a")
    assert done.constant == ("T1",)
    assert not done.volume.array.any()


def test_another_number_of_channels_is_refused(model: Harmonization) -> None:
    with pytest.raises(InputError, match=r"expected 1 channels \(T1\)"):
        harmonize(Volume(np.zeros((2, 3, 3, 3)), AFFINE), model, "a")


def test_values_that_overflow_are_refused(model: Harmonization) -> None:
    voxels = RANDOM.gamma(4.0, size=(9, 9, 9))
    voxels[4, 4, 4] = 1e100
    with pytest.raises(InputError, match="values that overflow"):
        harmonize(volume(voxels), model, "a")
    voxels[4, 4, 4] = 1e300
    with pytest.raises(InputError, match=r"values from .* to 1e\+300"):
        harmonize(volume(voxels), model, "a")


def test_a_large_scan_is_kept_in_a_file(
    model: Harmonization, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = volume(RANDOM.gamma(4.0, size=(9, 8, 7)))
    held = harmonize(voxels, model, "a", scratch=tmp_path)
    monkeypatch.setattr(module, "MAPPED_FROM", 1000)
    mapped = harmonize(voxels, model, "a", scratch=tmp_path)
    assert is_mapped(mapped.volume.array)
    assert not is_mapped(held.volume.array)
    np.testing.assert_array_equal(mapped.volume.array, held.volume.array)
    del mapped
    assert list(tmp_path.iterdir()) == []
