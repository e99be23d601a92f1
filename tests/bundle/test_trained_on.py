"""Record of the scans that a model was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segkit.bundle.trained_on import (
    TrainedOn,
    check_trained_on,
    joint_trained_on,
    scans_of,
    trained_on,
)
from segkit.dataset.dataset import Case
from segkit.errors import InputError


def scan(name: str, patient: str = "") -> Case:
    return Case(name, (), patient=patient, voxels_hash=name * 32)


def test_two_trainings_after_each_other() -> None:
    first, second = scans_of([scan("a"), scan("b")]), scans_of([scan("b"), scan("c")])
    both = first | second
    assert both.to_json() == {"scans": ["a" * 12, "b" * 12, "c" * 12], "complete": True}
    assert [case.id for case in both.unseen(map(scan, "abcd"))] == ["d"]
    assert not (both | TrainedOn(frozenset(), complete=False)).complete
    assert not scans_of([Case("x", ())]).complete  # nothing was measured


def test_other_scans_of_a_patient_count_as_seen() -> None:
    cases = [scan("a", "x"), scan("b", "x"), scan("c", "y")]
    assert [case.id for case in scans_of(cases[:1]).unseen(cases)] == ["c"]


def test_folds() -> None:
    cards = [{"trained_on": {fold: scans_of([scan(fold)]).to_json()}} for fold in "01"]
    joint = joint_trained_on(cards)
    check_trained_on(joint, Path("m"))
    assert trained_on(joint, "1") == scans_of([scan("1")])
    assert trained_on(joint, "2") is None
    assert joint_trained_on([{}]) == {}


@pytest.mark.parametrize(
    "entry", [[], {"0": {"scans": "a", "complete": True}}, {"0": {"scans": [], "complete": 1}}]
)
def test_something_else(entry: Any) -> None:
    with pytest.raises(InputError, match="expected trained_on with hashes of scans"):
        check_trained_on({"trained_on": entry}, Path("m"))
