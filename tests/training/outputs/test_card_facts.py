from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkit.dataset.dataset import Case, Dataset
from segkit.training.outputs.card_facts import (
    dataset_facts,
    dice_intervals,
    group_facts,
    machine_facts,
    patient_count,
)


def case(name: str, patient: str = "", group: str = "") -> Case:
    return Case(name, (), patient=patient, group=group)


def test_a_group_of_a_single_patient_is_not_named() -> None:
    cases = [
        case("a", "x", "Miller"),
        case("b", "x", "Miller"),
        case("c", "y", "S"),
        case("d", "z", "S"),
    ]
    assert group_facts(cases) == {"groups": {"S": 2}, "unnamed_groups": 1}


def test_patients_are_counted_if_the_dataset_names_any() -> None:
    assert patient_count([case("a"), case("b")]) is None
    assert patient_count([case("a", "x"), case("b", "x"), case("c")]) == 2


def test_cases_of_one_patient_count_once_in_the_interval() -> None:
    dice = {"liver": {"a": 0.25, "b": 0.75, "c": 0.5}}
    same = dice_intervals(dice, [case("a", "x"), case("b", "x"), case("c", "y")])
    # The means of both patients are 0.5, so the interval is that point.
    assert same["liver"] == {"cases": 3, "patients": 2, "low": 0.5, "high": 0.5}
    one = dice_intervals(dice, [case(name, "x") for name in "abc"])
    assert one["liver"] == {"cases": 3, "patients": 1}
    apart = dice_intervals(dice)["liver"]
    # Student's t: 4.303 x 0.25 / sqrt(3) on both sides of 0.5, cut at 0 and 1.
    assert apart["low"] <= 0.5 - 4.302 * 0.25 / 3**0.5 + 1e-4 or apart["low"] == 0
    assert apart["high"] == 1


def test_a_license_is_a_fact_only_if_it_is_stated(tmp_path: Path) -> None:
    plain = Dataset("d", tmp_path, ("CT",), {"liver": 1}, ())
    assert dataset_facts(plain).keys() == {"name", "hash"}
    licensed = Dataset("d", tmp_path, ("CT",), {"liver": 1}, (), license="CC0")
    assert dataset_facts(licensed)["license"] == "CC0"


def test_the_name_of_the_machine_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: pytest.fail("asked for the name"))
    facts = machine_facts(torch.device("cpu"), 2)
    assert facts["device"] == "cpu"
    assert facts["processes"] == 2
    assert facts["processor"]
