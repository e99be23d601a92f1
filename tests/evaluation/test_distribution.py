"""Distributions of metrics over cases, and agreement of volumes."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from segkit.evaluation.agreement import agreement, agreements
from segkit.evaluation.distribution import (
    distribution,
    distributions,
    patients_of,
    with_patients,
)
from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.measure import LabelResult
from segkit.evaluation.pairs import Pair, Pairs
from segkit.evaluation.summary import rows_of, summarize

RESULTS = {
    "a": {"liver": LabelResult("both", {"dice": 0.5}, volumes=(3.0, 2.0))},
    "b": {"liver": LabelResult("both", {"dice": 1.0}, volumes=(2.0, 3.0))},
    "c": {"liver": LabelResult("neither", {})},
}


@pytest.fixture
def evaluation() -> Evaluation:
    volumes = {("a", "liver"): (3.0, 2.0), ("b", "liver"): (2.0, 3.0)}
    return Evaluation(tuple(rows_of(RESULTS)), summarize(RESULTS), volumes)


def test_values_that_are_not_finite_are_left_out() -> None:
    found = distribution({"a": math.inf, "b": None, "c": 0.25}, {})
    assert (found.values, found.mean, found.median) == (1, 0.25, 0.25)
    assert (found.low, found.high) == (None, None)  # one case cannot tell


def test_without_values_there_is_nothing() -> None:
    assert dataclasses.astuple(distribution({"a": None}, {})) == (0, 0, *[None] * 8)


def test_an_interval_ends_at_the_limits() -> None:
    found = distribution({"a": 0.0, "b": 1.0}, {}, (0.0, 1.0))
    assert (found.low, found.high) == (0.0, 1.0)


def test_cases_of_one_patient_widen_the_interval() -> None:
    values = {str(number): float(number // 2) for number in range(12)}
    patients = {name: f"patient {int(name) // 2}" for name in values}
    alone, grouped = distribution(values, {}), distribution(values, patients)
    assert (grouped.values, grouped.patients, alone.patients) == (12, 6, 12)
    assert grouped.mean == alone.mean == 2.5
    assert grouped.low is not None
    assert alone.low is not None
    assert grouped.low < alone.low


def test_a_patient_may_be_named_like_a_case() -> None:
    values: dict[str, float | None] = {"1": 0.5, "2": 0.75, "3": 1.0}
    assert distribution(values, {"2": "1", "3": "1"}).patients == 2
    assert distribution(values, {"2": "1"}).patients == 3


def test_distributions_of_labels_and_of_case_means(evaluation: Evaluation) -> None:
    found = distributions(evaluation)
    assert found["labels"]["liver"]["dice"]["mean"] == 0.75
    assert found["mean"]["dice"]["values"] == 2  # the case without the label has no mean


def test_patients_come_from_the_dataset(evaluation: Evaluation) -> None:
    pair = Pair("a", Path("a.nii.gz"), Path("a.nii.gz"), patient="p")
    pairs = Pairs((pair,), None, ())
    known = dataclasses.replace(evaluation, pairs=pairs)
    assert patients_of(known) == {"a": "p"}
    assert patients_of(evaluation) == {}
    assert patients_of(with_patients(known, {"a": "other"})) == {"a": "p"}
    assert patients_of(with_patients(known, {"a": "other"}, instead=True)) == {"a": "other"}
    unknown = dataclasses.replace(pairs, pairs=(dataclasses.replace(pair, patient=""),))
    asked = with_patients(dataclasses.replace(evaluation, pairs=unknown), {"a": "other", "x": "y"})
    assert patients_of(asked) == {"a": "other"}


def test_agreement_of_each_label_that_occurs(evaluation: Evaluation) -> None:
    found = agreements(evaluation)
    assert found["liver"]["cases"] == 2
    assert found["liver"]["bias"] == 0.0
    half = 1.96 * math.sqrt(2)  # differences 1 and -1
    assert found["liver"]["lower_limit"] == pytest.approx(-half)
    assert found["liver"]["upper_limit"] == pytest.approx(half)


def test_a_single_case_has_no_limits_of_agreement() -> None:
    found = agreement({"a": (1.5, 1.0)}, {})
    assert (found.bias, found.bias_low, found.lower_limit) == (0.5, None, None)
