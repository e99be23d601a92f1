"""Temperatures in bundle.json: read, joined for an ensemble, refused if they would move labels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from segkit.errors import InputError
from segkit.plans.plan import Plan
from segkit.quality.calibration import (
    calibration_entry,
    check_calibration,
    joint_calibration,
    temperatures_of,
)


def card(low: float = 2.0, high: float = 2.0, cases: int = 3) -> dict[str, Any]:
    return calibration_entry(cases, {"low": low, "high": high}, {"low": 0.1}, {"low": 0.05})


def test_background_has_the_temperature_of_the_labels(plan_for_quality: Plan) -> None:
    assert temperatures_of([card()], plan_for_quality) == (2.0, 2.0, 2.0)
    regions = dataclasses.replace(plan_for_quality, regions={"low": (3, 7), "high": (7,)})
    assert temperatures_of([card(2.0, 4.0)], regions) == (2.0, 4.0)
    assert temperatures_of([{}], plan_for_quality) is None


def test_models_are_weighted_by_their_cases() -> None:
    joined = joint_calibration([card(1.0, 1.0), card(16.0, 16.0, cases=1)])["calibration"]
    assert (joined["cases"], joined["temperatures"]["low"]) == (4, 2.0)
    assert joined["ece"] == {"low": {"before": 0.1, "after": 0.05}}
    assert joint_calibration([card(), {}]) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"temperatures": {"low": 2.0}},
        {"temperatures": {"low": 2.0, "high": 3.0}},
        {"temperatures": {"low": 0, "high": 0}},
        {"cases": 0},
        {"ece": {"low": {"before": 0.1}}},
        {"ece": {"other": {"before": 0.1, "after": 0.1}}},
    ],
)
def test_another_content_is_refused(plan_for_quality: Plan, change: dict[str, Any]) -> None:
    check_calibration(card(), plan_for_quality, Path("bundle.json"))
    check_calibration({}, plan_for_quality, Path("bundle.json"))
    with pytest.raises(InputError, match="the same one unless labels overlap"):
        check_calibration(
            {"calibration": {**card()["calibration"], **change}},
            plan_for_quality,
            Path("bundle.json"),
        )
