"""Tests of calibration: by hand, and against MONAI."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import CalibrationErrorMetric

from segkit.evaluation.calibration import BINS, NO_VOXELS, reliability


def random_case(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probabilities = generator.random((6, 7, 8))
    return probabilities, generator.random((6, 7, 8)) < probabilities**2


def test_calibrated_probabilities_have_no_error() -> None:
    probabilities = np.repeat([0.0, 0.5, 1.0], 4)
    truth = np.array([0] * 4 + [0, 1, 0, 1] + [1] * 4, bool)
    assert reliability(probabilities, truth).ece() == 0
    assert reliability(probabilities, truth).brier() == 4 * 0.25 / 12


def test_a_certain_and_wrong_prediction_is_the_worst() -> None:
    found = reliability(np.ones(5), np.zeros(5, bool))
    assert (found.ece(), found.brier()) == (1, 1)


def test_agrees_with_monai() -> None:
    probabilities, truth = random_case()
    metric = CalibrationErrorMetric(num_bins=BINS, calibration_reduction="expected")
    metric(torch.from_numpy(probabilities)[None, None], torch.from_numpy(truth)[None, None])
    assert reliability(probabilities, truth).ece() == pytest.approx(float(metric.aggregate()), 1e-5)


def test_blocks_add_up_to_the_whole() -> None:
    probabilities, truth = random_case(1)
    whole = reliability(probabilities, truth)
    blocks = NO_VOXELS
    for start in range(0, 6, 2):
        blocks += reliability(probabilities[start : start + 2], truth[start : start + 2])
    assert (blocks.ece(), blocks.brier()) == pytest.approx((whole.ece(), whole.brier()))


@pytest.mark.parametrize("step", range(0, 256, 17))
def test_the_steps_of_a_map_begin_bins(step: int) -> None:
    found = reliability(np.array([step / 255], np.float32), np.array([True]))
    assert found.voxels[min(step // 17, BINS - 1)] == 1


def test_no_voxels_have_no_value() -> None:
    assert math.isnan(NO_VOXELS.ece())
    assert math.isnan(NO_VOXELS.brier())
