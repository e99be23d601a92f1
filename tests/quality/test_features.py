"""Features of labels, by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from segkit.plans.plan import Plan
from segkit.plans.ranges import DataRanges, LabelRange
from segkit.quality.features import Features, label_features, logit, voxel_volume_of
from segkit.quality.soft_overlap import SoftOverlap

RANGES = DataRanges(
    5,
    ((1.0, 1.0),) * 3,
    ((9.0, 9.0),) * 3,
    (),
    {"low": LabelRange(5, (2.0, 4.0), (1, 1)), "high": LabelRange(5, (2.0, 4.0), (1, 1))},
)


@pytest.fixture
def overlap() -> SoftOverlap:
    sums = SoftOverlap(2)
    sums.voxels[:], sums.inside[:], sums.everywhere[:] = (16, 0), (8, 0), (16, 0.1)
    return sums


def labels() -> np.ndarray:
    """Label 3 in two pieces of 8 voxels, of which one touches two faces; no label 7."""
    array = np.zeros((9, 9, 9), np.uint8)
    array[0:2, 0:2, 2:4] = array[5:7, 5:7, 5:7] = 3
    return array


def features(plan: Plan, overlap: SoftOverlap, volume: float | None = 1.0) -> dict[str, Features]:
    return label_features(overlap, labels(), plan, voxel_volume=volume, ranges=RANGES)


def test_by_hand(plan_for_quality: Plan, overlap: SoftOverlap) -> None:
    low = features(plan_for_quality, overlap)["low"]
    assert low.soft_dice == 0.0  # 2 x 8 / (16 + 16)
    assert low.pieces == math.log(2)
    assert low.volume == math.log(4)  # 16 mm3, and training had 2 to 4
    assert low.border == pytest.approx(math.sqrt(8 / 16))  # 4 voxels on each of two faces


def test_a_label_that_is_not_found(plan_for_quality: Plan, overlap: SoftOverlap) -> None:
    high = features(plan_for_quality, overlap)["high"]
    assert high == Features(logit(0.0), 0.0, math.log(1000), 0.0)


def test_without_comparable_volumes(plan_for_quality: Plan, overlap: SoftOverlap) -> None:
    assert features(plan_for_quality, overlap, None)["low"].volume == 0.0


def test_volume_of_a_voxel(plan_for_quality: Plan) -> None:
    def volume(**changes: object) -> float | None:
        return voxel_volume_of(dataclasses.replace(plan_for_quality, **changes))  # type: ignore[arg-type]

    assert volume(spacing=(1.0, 2.0, 3.0)) == 6.0
    assert volume(spacing=(1.0, 2.0, None)) is None
    assert volume(spacing=(None, None, None), unit="px") == 1.0
