"""Labels that are absent or small in one case, from facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from segkit.dataset_check.incomplete_labels import absent_labels
from segkit.dataset_check.outliers import odd_volume, small_labels

from .conftest import facts, label


def test_a_case_is_named_once_for_all_labels_that_it_lacks(measured: Callable) -> None:
    every = {name: label() for name in "abcd"}
    cases = [facts(f"c{number}", labels=every) for number in range(20)]
    cases[3] = replace(cases[3], labels={"a": label()})
    dataset = measured(cases, labels={"b": 2, "c": 3, "d": 4})
    (problem,) = absent_labels(dataset)
    assert problem.case == "c3"
    assert problem.message == (
        "label b is absent; 19 of 20 cases have it. Other labels are absent too: c, d"
    )
    assert list(odd_volume(dataset)) == []  # not a second time


def test_a_case_that_is_annotated_in_part_may_lack_a_label(measured: Callable) -> None:
    both = {"a": label(), "b": label()}
    cases = [facts(f"c{number}", labels=both) for number in range(20)]
    cases[3] = replace(cases[3], labels={"a": label()}, ignored=5000)
    assert list(absent_labels(measured(cases, labels={"b": 2}))) == []


def test_the_volume_of_a_case_that_is_annotated_in_part_says_nothing(measured: Callable) -> None:
    cases = [facts(f"c{number}") for number in range(10)]
    cases[3] = replace(cases[3], labels={"a": label(100)})
    assert [problem.case for problem in small_labels(measured(cases))] == ["c3"]
    cases[3] = replace(cases[3], ignored=5000)
    assert list(small_labels(measured(cases))) == []
