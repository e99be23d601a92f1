"""Expected Dice of the labels of a scan, for one model and several, and in its record."""

from __future__ import annotations

import dataclasses

import pytest

from segkit.plans.plan import Plan
from segkit.plans.ranges import DataRanges, LabelRange
from segkit.quality.expected_dice import ExpectedDice, LabelQuality, Typical, expected
from segkit.quality.features import Features
from segkit.quality.records import label_record, scan_record

ZERO = Features(0.0, 0.0, 0.0, 0.0)


def estimator(dice: float, *labels: str) -> ExpectedDice:
    typical = {label: Typical(dice, (0.0, 0.0, 0.0, 0.0)) for label in labels}
    return ExpectedDice((1.0, 0, 0, 0), ((-1.0, 0.0), (0.0, 1.0)), typical, ((0.0, dice / 2),))


def of(plan: Plan, *estimators: ExpectedDice, low: int = 5) -> dict[str, LabelQuality]:
    features, voxels = {"low": ZERO, "high": ZERO}, {"low": low, "high": 5}
    return expected(estimators, features, plan, voxels)


def test_mean_over_the_models_of_an_ensemble(plan_for_quality: Plan) -> None:
    found = of(plan_for_quality, estimator(0.8, "low", "high"), estimator(0.6, "low"))
    assert found == {"low": LabelQuality(0.7, 0.4), "high": LabelQuality(None, None)}


@pytest.mark.parametrize(("cases", "dice"), [(5, 0.0), (4, None)])
def test_a_label_that_is_not_found(plan_for_quality: Plan, cases: int, dice: float | None) -> None:
    usual = DataRanges(
        5,
        ((1.0, 1.0),) * 3,
        ((9.0, 9.0),) * 3,
        (),
        {"low": LabelRange(cases, (1.0, 2.0), (1, 1))},
    )
    plan = dataclasses.replace(plan_for_quality, training=usual)
    assert of(plan, estimator(0.8, "low"), low=0)["low"].dice == dice
    older = dataclasses.replace(plan_for_quality, training=None)
    assert of(older, estimator(0.8, "low"), low=0)["low"].dice is None


def test_in_the_record() -> None:
    assert label_record(None) == {}
    assert label_record(LabelQuality(0.5, 0.1)) == {
        "expected_dice": 0.5,
        "expected_dice_error": 0.1,
    }
    assert scan_record({}, []) == {}
    cards = [{"expected_dice": {"accuracy": {"cases": 4}, "labels": {}}}]
    record = scan_record({"a": LabelQuality(None, None)}, cards)["expected_dice"]
    assert (record["mean"], record["error"]) == (None, None)
    assert record["note"] == "fitted to 4 validation cases only; the errors are widened"
