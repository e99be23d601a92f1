"""The fit finds what makes a Dice worse, and its accuracy is that of cases it did not use."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from segkit.quality.accuracy import (
    LeftOut,
    error_points,
    estimate_with_accuracy,
    figures,
    left_out,
    spearman,
)
from segkit.quality.features import AS_IT_IS, Features, logit
from segkit.quality.fitting import Example, fit_expected_dice
from tests.quality.examples import KINDS, examples

PERFECT = Features(logit(0.98), 0.0, 0.0, 0.0)


def test_the_fit_ranks_and_hits() -> None:
    estimator, accuracy = estimate_with_accuracy(examples()) or pytest.fail("no estimate")
    assert estimator.dice("liver", PERFECT) == pytest.approx(0.9, abs=0.05)
    assert estimator.dice("vessel", PERFECT) == pytest.approx(0.6, abs=0.05)
    worse = Features(logit(0.7), 2.0, 0.0, 0.0)
    assert estimator.dice("liver", worse) == pytest.approx(0.37, abs=0.1)  # 0.9 x 0.2 / 0.48
    assert accuracy["with_degraded"]["spearman"] > 0.9
    assert accuracy["unseen_degradations"]["error"] < accuracy["with_degraded"]["error_of_mean"] / 2
    assert (accuracy["cases"], accuracy["as_they_are"]["labels"]) == (8, 16)


def test_worse_signs_never_give_a_better_dice() -> None:
    estimator = fit_expected_dice(examples(seed=1))
    assert min(estimator.weights) >= 0
    shares = [share for _, share in estimator.curve]
    assert shares == sorted(shares)
    far = Features(-50.0, 50.0, 50.0, 1.0)
    assert 0 <= estimator.dice("liver", far) <= min(shares) * 0.95


def test_noise_alone_has_no_accuracy() -> None:
    # The Dice are shuffled among the cases as they are: there is nothing to be learned.
    random = np.random.default_rng(0)
    made = [
        dataclasses.replace(one, dice=float(random.uniform(0, 1))) for one in examples(20, kinds=())
    ]
    _, accuracy = estimate_with_accuracy(made) or pytest.fail("no estimate")
    found = accuracy["as_they_are"]
    assert abs(found["spearman"]) < 0.5
    assert found["error"] > 0.8 * found["error_of_mean"]


def test_a_case_is_never_used_for_itself() -> None:
    # The case that differs gets the Dice of the others, not its own.
    made = [
        Example(f"case{i}", AS_IT_IS, "liver", PERFECT, 0.2 if i == 0 else 0.9) for i in range(5)
    ]
    groups = {one.case: one.case for one in made}
    (of_first,) = (one for one in left_out(made, groups) if one.example.case == "case0")
    assert of_first.expected == pytest.approx(0.9)


def test_unseen_kinds_are_left_out_as_well() -> None:
    # Copies with noise alone have a Dice of 0; without them nothing says so.
    made = [
        Example(
            f"case{i}",
            kind,
            "liver",
            dataclasses.replace(PERFECT, border=1.0 if kind == "noise" else 0.0),
            0.0 if kind == "noise" else 0.9,
        )
        for i in range(6)
        for kind in (AS_IT_IS, "noise", "blur")
    ]
    groups = {one.case: one.case for one in made}

    def expected(*, unseen: bool) -> list[float]:
        results = left_out(made, groups, unseen=unseen)
        return [one.expected for one in results if one.example.degradation == "noise"]

    assert expected(unseen=False) == pytest.approx([0.0] * 6, abs=0.01)
    assert expected(unseen=True) == pytest.approx([0.9] * 6)


def test_groups_are_left_out_together() -> None:
    made = examples(6)
    folds = {f"case{number}": str(number % 2) for number in range(6)}
    _, accuracy = estimate_with_accuracy(made, folds) or pytest.fail("no estimate")
    assert accuracy["groups"] == 2


def test_a_case_whose_copies_alone_have_a_label() -> None:
    # A scan without the label in prediction and reference, in which noise makes one up.
    made = examples(4)
    noisy = dataclasses.replace(made[-1], case="empty", degradation="noise", dice=0.0)
    _, accuracy = estimate_with_accuracy([*made, noisy]) or pytest.fail("no estimate")
    assert accuracy["cases"] == 4
    assert accuracy["with_degraded"]["labels"] == len(made) + 1


def test_too_few_cases() -> None:
    assert estimate_with_accuracy(examples(2)) is None
    assert estimate_with_accuracy([]) is None


def test_few_cases_widen_the_errors() -> None:
    few, _ = estimate_with_accuracy(examples(3)) or pytest.fail("no estimate")
    many, _ = estimate_with_accuracy(examples(30)) or pytest.fail("no estimate")
    assert few.error(0.9) > 1.5 * many.error(0.9)


def test_figures_by_hand() -> None:
    made = [one for one in examples(4, kinds=()) if one.label == "liver"]
    results = [
        LeftOut(dataclasses.replace(one, dice=dice), expected, 0.8)
        for one, dice, expected in zip(
            made, (0.9, 0.5, 0.7, 0.8), (0.8, 0.6, 0.7, 0.9), strict=True
        )
    ]
    assert figures(results) == {
        "labels": 4,
        "error": 0.075,
        "error_of_mean": 0.125,
        "spearman": 0.8,
    }
    assert figures([])["error"] is None
    assert spearman(np.ones(3), np.arange(3.0)) is None


def test_errors_of_ranges_of_the_expected_dice() -> None:
    made = [
        Example(f"case{i}", AS_IT_IS, "liver", PERFECT, dice) for i, dice in enumerate((0.5, 1.0))
    ]
    results = [LeftOut(made[0], 0.2, 0.9), LeftOut(made[1], 0.9, 0.9)]
    assert error_points(results, 2.0) == ((0.2, 0.6), (0.9, 0.2))


def test_kinds_differ() -> None:
    assert AS_IT_IS not in KINDS


def test_cases_without_a_label_in_common_have_no_accuracy() -> None:
    made = [Example(f"case{i}", AS_IT_IS, f"label{i}", PERFECT, 0.9) for i in range(4)]
    assert estimate_with_accuracy(made) is None
