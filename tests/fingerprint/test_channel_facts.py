from __future__ import annotations

import numpy as np
import pytest

from segkit.fingerprint.channel_facts import ChannelFacts, channel_facts, voxels_hash

SCAN = np.arange(60, dtype=np.int16).reshape(1, 3, 4, 5)


def test_values_of_a_channel() -> None:
    samples = np.arange(201, dtype=np.float32)[None]
    assert channel_facts(SCAN, samples) == (ChannelFacts(0, 59, True, (1.0, 199.0)),)
    assert channel_facts(SCAN + 0.5, samples[:, :0]) == (ChannelFacts(0.5, 59.5, False),)


@pytest.mark.parametrize(
    "same", [SCAN.astype(np.float64), np.asfortranarray(SCAN), SCAN[:, ::-1].copy()[:, ::-1]]
)
def test_equal_voxels_have_one_hash(same: np.ndarray) -> None:
    assert voxels_hash(same) == voxels_hash(SCAN)


@pytest.mark.parametrize(
    "other", [SCAN + 1, SCAN[:, ::-1], SCAN.reshape(1, 4, 3, 5), np.concatenate([SCAN, SCAN])]
)
def test_other_voxels_have_another(other: np.ndarray) -> None:
    assert voxels_hash(other) != voxels_hash(SCAN)
