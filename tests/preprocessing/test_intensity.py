from __future__ import annotations

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.plans.plan import ChannelPlan, Scheme
from segkit.preprocessing.intensity import apply_normalizers, normalizers


def normalize(
    array: np.ndarray,
    channels: list[ChannelPlan],
    mask: np.ndarray | None = None,
    where: str = "scan",
) -> np.ndarray:
    return apply_normalizers(normalizers(array, channels, mask, where=where), array, mask)


def column(*values: float) -> np.ndarray:
    return np.array(values).reshape(1, -1, 1, 1)


def test_ct_is_clipped_then_scaled() -> None:
    plan = ChannelPlan("CT", "ct", lower=-100, upper=100, mean=50, std=25)
    result = normalize(column(-1000, 50, 3000), [plan])
    assert result.ravel().tolist() == [-6, 0, 2]
    assert result.dtype == np.float32


def test_zscore_of_the_whole_scan() -> None:
    assert normalize(column(1, 3), [ChannelPlan("T1", "zscore")]).ravel().tolist() == [-1, 1]


def test_masked_zscore_looks_inside_only_and_leaves_zero_outside() -> None:
    mask = np.array([False, True, True]).reshape(3, 1, 1)
    result = normalize(column(-99, 1, 3), [ChannelPlan("T1", "zscore", masked=True)], mask)
    assert result.ravel().tolist() == [0, -1, 1]


def test_none_is_left_as_it_is() -> None:
    assert normalize(column(1, 3), [ChannelPlan("label", "none")]).ravel().tolist() == [1, 3]


def test_large_values_keep_their_digits() -> None:
    scan = (440_000 + np.arange(2_000_000) % 2).astype(np.float32).reshape(1, -1, 1, 1)
    assert np.unique(normalize(scan, [ChannelPlan("MR", "zscore")])).tolist() == [-1, 1]


def test_a_constant_scan_becomes_zero() -> None:
    assert not normalize(column(5, 5), [ChannelPlan("T1", "zscore")]).any()


def test_a_constant_ct_is_scaled() -> None:
    plan = ChannelPlan("CT", "ct", lower=-100, upper=100, mean=50, std=25)
    assert normalize(column(-1000, -1000), [plan]).ravel().tolist() == [-6, -6]


@pytest.mark.parametrize("scheme", ["none", "zscore"])
@pytest.mark.parametrize("value", [1e300, 1e-320])
def test_values_that_float32_cannot_hold(scheme: Scheme, value: float) -> None:
    if scheme == "none" and value < 1:
        assert not normalize(column(0, value), [ChannelPlan("T1", scheme)]).any()
        return
    with pytest.raises(
        InputError,
        match=r"a\.nii, channel T1: expected intensities that 32-bit numbers can hold, found",
    ):
        normalize(column(0, value), [ChannelPlan("T1", scheme)], where="a.nii")


def test_the_scan_is_not_written_into() -> None:
    scan = column(1, 3).astype(np.float32)
    normalize(scan, [ChannelPlan("T1", "zscore")])
    assert scan.ravel().tolist() == [1, 3]


def test_what_lies_outside_the_mask_may_be_out_of_range() -> None:
    mask = np.array([False, True, True]).reshape(3, 1, 1)
    result = normalize(column(1e300, 1, 3), [ChannelPlan("T1", "zscore", masked=True)], mask)
    assert result.ravel().tolist() == [0, -1, 1]


@pytest.mark.parametrize("masked", [False, True])
def test_blocks_measure_what_the_whole_does(masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.io.memory.BLOCK_VOXELS", 100)
    scan = np.random.default_rng(0).normal(50, 9, (1, 30, 8, 7)).astype(np.float32)
    mask = scan[0] > 45
    (found,) = normalizers(scan, [ChannelPlan("T1", "zscore", masked=masked)], mask)
    values = (scan[0][mask] if masked else scan).astype(np.float64)
    np.testing.assert_allclose([found.mean, found.std], [values.mean(), values.std()], rtol=1e-12)
    assert (found.lowest, found.highest) == (values.min(), values.max())


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_a_large_offset_costs_no_contrast(dtype: str) -> None:
    # 2**27 and its neighbors in float32 are 16 apart.
    scan = np.array([0, 16, 32, 48], dtype).reshape(1, 4, 1, 1) + np.array(2**27, dtype)
    found = apply_normalizers(normalizers(scan, [ChannelPlan("a", "zscore")]), scan, None)
    assert found.ravel() == pytest.approx(
        np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(1.25), abs=1e-6
    )


def test_contrast_below_the_steps_of_float32_is_kept() -> None:
    scan = np.array([0.0, 1.0, 2.0, 3.0]).reshape(1, 4, 1, 1) + 1e9
    found = apply_normalizers(normalizers(scan, [ChannelPlan("a", "zscore")]), scan, None)
    assert found.ravel() == pytest.approx(
        np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(1.25), abs=1e-6
    )
