"""Cases that a network was not trained on, by its record, and how networks share them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segkit.bundle.card import ModelCard
from segkit.bundle.trained_on import scans_of
from segkit.dataset.dataset import Case, Dataset
from segkit.plans.plan import Plan
from segkit.training.calibration.unseen import shared_out, unseen_cases

CASES = [Case(name, (), Path(name), voxels_hash=name * 32) for name in "abcd"]
DATASET = Dataset("d", Path("d"), ("MRI",), {"x": 1}, (*CASES, Case("unlabeled", ())))


def unseen(plan: Plan, *, trust: bool = False, complete: bool = True) -> list[str]:
    record = {**scans_of(CASES[:1]).to_json(), "complete": complete}
    card: dict[str, Any] = {"trained_on": {"0": record}}
    model = ModelCard(Path("m"), plan, card)
    return [case.id for case in unseen_cases(model, "0", DATASET, None, trust=trust)]


def test_by_the_record(plan_for_balls: Plan, caplog: pytest.LogCaptureFixture) -> None:
    assert unseen(plan_for_balls) == ["b", "c", "d"]
    assert unseen(plan_for_balls, trust=True) == ["b", "c", "d"]  # the record counts all the same
    assert not caplog.text
    assert unseen(plan_for_balls, complete=False) == ["b", "c", "d"]
    assert "was trained from an earlier model, which does not record its scans" in caplog.text


def test_networks_share_the_cases() -> None:
    a, b, c, d = CASES
    folds = {"0": [a, b], "1": [c, d]}  # a cross-validation
    assert {fold: set(cases) for fold, cases in shared_out(folds, 9).items()} == {
        "0": {a, b},
        "1": {c, d},
    }
    same = shared_out({"0": [a, b, c, d], "1": [a, b, c, d]}, 9)
    assert sorted(map(len, same.values())) == [2, 2]
    assert {len(cases) for cases in shared_out({"0": [a, b, c, d]}, 3).values()} == {3}
    of_one = [Case(name, (), patient="x") for name in "ab"]
    assert shared_out({"0": of_one, "1": of_one}, 9) == {"0": of_one, "1": []}
