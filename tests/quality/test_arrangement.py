"""Usual places of labels: fitted, kept, joined, and compared with a scan."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

from segkit.errors import InputError
from segkit.plans.plan import Plan
from segkit.quality.arrangement import fit_arrangement
from segkit.quality.arrangement_entry import (
    arrangement_entry,
    arrangement_of,
    check_arrangement,
    joint_arrangement,
)

Point = tuple[float, float, float]


def centers(random: np.random.Generator, *, turned: bool = False) -> dict[str, Point]:
    """One ball 20 mm in front of the other, with a standard deviation of 1 mm; or below it."""
    x, y, z = random.normal((0, 20, 0), 1.0)
    place = (x, z, -y) if turned else (x, y, z)
    start = random.uniform(0, 100, 3)
    return {"low": tuple(start), "high": tuple(start + place)}


def cases(count: int, seed: int = 0) -> dict[str, dict[str, dict[str, Point]]]:
    random = np.random.default_rng(seed)
    return {
        f"case{number}": {"none": centers(random), "orientation": centers(random, turned=True)}
        for number in range(count)
    }


def entry(plan_for_quality: Plan, count: int, seed: int = 0) -> dict[str, Any]:
    groups = {f"case{number}": str(number) for number in range(count)}
    return arrangement_entry(cases(count, seed), groups, plan_for_quality)


def test_by_hand() -> None:
    offsets = [-2.0, -1.0, 0.0, 1.0, 2.0]
    found = fit_arrangement(
        [{"a": (0, 0, 0), "b": (one, 5.0, 3.0)} for one in offsets], ["a", "b"], (1.0, 1.0, None)
    )
    assert found is not None
    reach = student.ppf(1 - 0.01 / 4, 4) * math.sqrt(1.2)
    usual = found.labels["b"]
    assert (usual.cases, usual.mean, usual.sd) == (5, (0, 5, None), (math.sqrt(2.5), 0.5, None))
    assert usual.reach == pytest.approx(reach)
    expected = [-reach * math.sqrt(2.5), reach * math.sqrt(2.5), 5 - reach / 2, 5 + reach / 2]
    found_limits = [limit for _, *pair in found.limits("b") for limit in pair]
    assert found_limits == pytest.approx(expected)
    assert found.unusual({"a": (0, 0, 0), "b": (0, 7, 900)}) == {}
    text = found.unusual({"a": (1, 1, 1), "b": (1, -9, 1)})["b"]
    assert text == (
        "its center is 10 mm posterior of that of a, usually 2 to 8 mm anterior".replace(
            "2 to 8", f"{5 - reach / 2:.3g} to {5 + reach / 2:.3g}"
        )
    )
    assert found.unusual({"b": (0, 0, 0)}) == {}  # without the anchor nothing can be said


def test_few_scans_of_the_same_kind_are_flagged() -> None:
    """One in a hundred by construction, whatever the number of cases that it was fitted to."""
    random, flagged = np.random.default_rng(1), 0
    for _ in range(300):
        fit = fit_arrangement([centers(random) for _ in range(6)], ["low", "high"], (0.1, 0.1, 0.1))
        assert fit is not None
        flagged += sum(bool(fit.unusual(centers(random))) for _ in range(10))
    assert 5 <= flagged <= 60  # expected: at most 30 of 3000


def test_flags_are_counted_on_cases_left_out(plan_for_quality: Plan) -> None:
    found = entry(plan_for_quality, 12)
    check_arrangement(found, plan_for_quality, Path("m"))
    assert found["arrangement"]["anchor"] == "low"
    assert found["arrangement"]["cases"] == 12
    assert found["arrangement"]["flagged"]["orientation"] == [12, 12]
    assert found["arrangement"]["flagged"]["none"][0] <= 1
    turned = cases(1)["case0"]["orientation"]
    arrangement = arrangement_of(found)
    assert arrangement is not None
    assert list(arrangement.unusual(turned)) == ["high"]


def test_no_arrangement(plan_for_quality: Plan) -> None:
    assert entry(plan_for_quality, 4) == {}
    assert entry(dataclasses.replace(plan_for_quality, unit="px"), 12) == {}
    assert entry(dataclasses.replace(plan_for_quality, labels={"low": 1}), 12) == {}
    assert arrangement_of({}) is None


def test_joined(plan_for_quality: Plan) -> None:
    parts = [entry(plan_for_quality, 6, seed) for seed in (1, 2)]
    joint = joint_arrangement(parts)
    check_arrangement(joint, plan_for_quality, Path("m"))
    both = [one["none"] for seed in (1, 2) for one in cases(6, seed).values()]
    whole = fit_arrangement(both, ["low", "high"], (1.0, 1.0, 1.0))
    assert whole is not None
    usual = joint["arrangement"]["labels"]["high"]
    assert usual["mean"] == pytest.approx(whole.labels["high"].mean, abs=2e-3)
    assert usual["sd"] == pytest.approx(whole.labels["high"].sd, abs=2e-3)
    assert joint["arrangement"]["flagged"]["orientation"] == [12, 12]
    assert joint_arrangement([parts[0], {}]) == {}
    other = {"arrangement": {**parts[1]["arrangement"], "anchor": "high"}}
    assert joint_arrangement([parts[0], other]) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"anchor": "other"},
        {"labels": {}},
        {"labels": {"low": {}}},
        {"labels": {"high": {"cases": 1, "mean": [1, 1, 1], "sd": [1, 1, 1], "reach": 3}}},
        {"labels": {"high": {"cases": 9, "mean": [1, 1, 1], "sd": [1, 0, 1], "reach": 3}}},
        {"labels": {"high": {"cases": 9, "mean": [1, None, 1], "sd": [1, 1, 1], "reach": 3}}},
        {"labels": {"high": {"cases": 9, "mean": [1, 1, 1], "sd": [1, 1, 1], "reach": 0}}},
        {"flagged": {"none": [1]}},
        {"cases": None},
    ],
)
def test_something_else(plan_for_quality: Plan, change: dict[str, Any]) -> None:
    content = {**entry(plan_for_quality, 6)["arrangement"], **change}
    with pytest.raises(InputError, match="expected arrangement with an anchor"):
        check_arrangement({"arrangement": content}, plan_for_quality, Path("m"))
