"""The expected Dice in bundle.json: what is written is read again, and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segkit.errors import InputError
from segkit.plans.plan import Plan
from segkit.quality.accuracy import estimate_with_accuracy
from segkit.quality.entry import check_expected_dice, estimators_of, expected_dice_entry
from segkit.quality.example_file import EXAMPLES, read_examples, write_examples
from segkit.quality.features import Features
from segkit.quality.fitting import fit_expected_dice
from tests.quality.examples import examples


@pytest.fixture
def card() -> dict[str, Any]:
    fitted = estimate_with_accuracy(examples()) or pytest.fail("no estimate")
    return json.loads(json.dumps(expected_dice_entry(*fitted)))


def test_read_again(card: dict[str, Any], plan_for_quality: Plan) -> None:
    (estimator,) = estimators_of([card])
    fitted = fit_expected_dice(examples())
    signs = Features(1.0, 0.5, 0.0, 0.2)
    assert estimator.dice("liver", signs) == pytest.approx(fitted.dice("liver", signs), abs=1e-4)
    for label in ("liver", "vessel"):
        card["expected_dice"]["labels"]["low"] = card["expected_dice"]["labels"].pop(label)
    check_expected_dice(card, plan_for_quality, Path("bundle.json"))


def test_an_ensemble_needs_the_estimate_of_every_model(card: dict[str, Any]) -> None:
    assert len(estimators_of([card, card])) == 2
    assert estimators_of([card, {}]) == []
    assert estimators_of([{}]) == []


def _set(*keys: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(card: dict[str, Any]) -> None:
        inner = card
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("expected_dice", value=None),
        _set("expected_dice", "features", value=["another"]),
        _set("expected_dice", "weights", value=[1, 1, 1]),
        _set("expected_dice", "weights", 0, value=-1.0),
        _set("expected_dice", "weights", 0, value="1"),
        _set("expected_dice", "curve", value=[]),
        _set("expected_dice", "curve", value=[[0, 1], [1, 0.5]]),
        _set("expected_dice", "errors", value=[[0.9]]),
        _set("expected_dice", "labels", value={"unknown": {"dice": 1, "features": [0, 0, 0, 0]}}),
        _set("expected_dice", "labels", value={"low": {"dice": 2, "features": [0, 0, 0, 0]}}),
        _set("expected_dice", "accuracy", value=[]),
        _set("expected_dice", "accuracy", value={}),
        _set("expected_dice", "accuracy", "cases", value="20"),
        _set("expected_dice", "accuracy", "as_they_are", "error", value=None),
        _set("expected_dice", "accuracy", "with_degraded", value={}),
    ],
)
def test_another_content_is_refused(
    card: dict[str, Any], plan_for_quality: Plan, change: Callable[[dict[str, Any]], None]
) -> None:
    changed = copy.deepcopy(card)
    changed["expected_dice"]["labels"] = {}
    check_expected_dice(changed, plan_for_quality, Path("bundle.json"))
    change(changed)
    with pytest.raises(InputError, match="expected_dice with weights of the features soft_dice"):
        check_expected_dice(changed, plan_for_quality, Path("bundle.json"))


def test_examples_of_a_run(tmp_path: Path) -> None:
    assert read_examples(tmp_path) == []
    made = examples(2)
    write_examples(tmp_path, made)
    again = read_examples(tmp_path)
    assert [one.case for one in again] == [one.case for one in made]
    assert again[3].features.values == pytest.approx(made[3].features.values, rel=1e-5)
    (tmp_path / EXAMPLES).write_text("case,dice\na,x\n")
    with pytest.raises(InputError, match="the columns case, degradation, label, soft_dice"):
        read_examples(tmp_path)
