"""Temperatures are those of scores that are surer than right, and never move a label."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from segkit.plans.plan import Plan
from segkit.training.outputs.temperature import (
    TEMPERATURES,
    CaseCalibration,
    case_calibration,
    fitted_calibration,
)

SHAPE = (20, 16, 12)


def drawn(plan: Plan, seed: int, factor: float) -> CaseCalibration | None:
    """Return a case whose reference is drawn from the probabilities of scores / ``factor``."""
    random = np.random.default_rng(seed)
    true_scores = random.normal(0, 1.5, (3, *SHAPE))
    gumbel = random.gumbel(size=true_scores.shape)
    reference = (true_scores + gumbel).argmax(axis=0)
    return case_calibration(torch.tensor(factor * true_scores), reference, plan)


def cases(plan: Plan, factor: float) -> list[CaseCalibration]:
    return [case for seed in range(4) if (case := drawn(plan, seed, factor))]


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0, 4.0])
def test_the_factor_is_found(plan_for_balls: Plan, factor: float) -> None:
    entry = fitted_calibration(cases(plan_for_balls, factor), plan_for_balls)["calibration"]
    assert entry["temperatures"] == {"low": factor, "high": factor}
    assert entry["cases"] == 4
    for error in entry["ece"].values():
        assert error["after"] < 0.02
        assert factor == 1.0 or error["before"] > 3 * error["after"]


def test_loss_by_hand(plan_for_balls: Plan) -> None:
    scores = torch.tensor([0.2, 0.6, 0.2]).log().reshape(3, 1, 1, 1)
    case = case_calibration(scores, np.full((1, 1, 1), 2), plan_for_balls)
    assert case is not None
    assert case.loss[TEMPERATURES.index(1.0)] == pytest.approx(-np.log(0.2))
    assert case.labels["low"][TEMPERATURES.index(1.0)].ece() == pytest.approx(0.6)


def test_regions_have_temperatures_of_their_own(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, regions={"low": (3, 7), "high": (7,)})
    made = []
    for seed in range(4):
        random = np.random.default_rng(seed)
        true_scores = random.normal(0, 2, (2, *SHAPE))
        inside = random.random(true_scores.shape) < 1 / (1 + np.exp(-true_scores))
        inside[0] |= inside[1]  # the second region lies in the first
        reference = np.where(inside[1], 2, np.where(inside[0], 1, 0))
        made.append(
            case_calibration(torch.tensor(true_scores * [[[[1.0]]], [[[4.0]]]]), reference, plan)
        )
    entry = fitted_calibration([case for case in made if case], plan)["calibration"]
    assert entry["temperatures"]["high"] == 4.0
    assert entry["temperatures"]["low"] < 3.0


def test_voxels_that_nobody_annotated_do_not_count(plan_for_balls: Plan) -> None:
    scores = torch.zeros((3, 4, 4, 4))
    scores[1] = 5
    reference = np.ones((4, 4, 4), np.int64)
    reference[2:] = 3
    case = case_calibration(scores, reference, plan_for_balls)
    assert case is not None
    assert case.labels["low"][0].voxels.sum() == 32


def test_only_voxels_near_a_label_count(plan_for_balls: Plan) -> None:
    scores = torch.zeros((3, 40, 4, 4))
    scores[0] = 1
    reference = np.zeros((40, 4, 4), np.int64)
    reference[20] = 1
    case = case_calibration(scores, reference, plan_for_balls)
    assert case is not None
    assert set(case.labels) == {"low"}
    assert case.labels["low"][0].voxels.sum() == 21 * 16  # 10 mm on either side
    reference[:] = 0
    assert case_calibration(scores, reference, plan_for_balls) is None


def test_too_few_cases(plan_for_balls: Plan) -> None:
    assert fitted_calibration(cases(plan_for_balls, 2.0)[:2], plan_for_balls) == {}


def test_cases_of_a_patient_share_their_group(plan_for_balls: Plan) -> None:
    made = [*cases(plan_for_balls, 4.0)[:2], *cases(plan_for_balls, 1.0)[:2]]
    entry = fitted_calibration(made, plan_for_balls, ["x", "x", "y", "y"])["calibration"]
    alone = fitted_calibration(made, plan_for_balls)["calibration"]
    assert entry["temperatures"] == alone["temperatures"]
    # Each patient gets the temperature of the other one, which is wrong for it.
    assert all(
        entry["ece"][name]["after"] > alone["ece"][name]["after"] for name in ("low", "high")
    )
    assert fitted_calibration(made, plan_for_balls, ["x"] * 4) == {}
