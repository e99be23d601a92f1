"""Parts of a search that need no Optuna study: Pareto sets, rungs, halves of the cases, axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segkit.dataset.dataset import Case
from segkit.errors import InputError, UsageError
from segkit.studies.scaling.pareto import pareto_front
from segkit.studies.search.choice import CHOOSE, QUOTE, roles
from segkit.studies.search.fidelity import Scored, better_half, fronts, ranked
from segkit.studies.search.importance import importances
from segkit.studies.search.optuna_parts import load_optuna
from segkit.studies.search.proposals import Proposer
from segkit.studies.search.settings import SEARCH, SearchSettings
from tests.studies.search.analytic import SPACE, dice


def by_brute_force(costs: list[int], scores: list[int]) -> set[int]:
    """Return the points that no other one dominates, by comparing all pairs."""
    points = list(zip(costs, scores, strict=True))

    def dominates(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    return {i for i, own in enumerate(points) if not any(dominates(each, own) for each in points)}


def test_pareto_set_equals_brute_force_also_with_ties() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        size = int(random.integers(1, 12))
        costs, scores = (random.integers(0, 5, size).tolist() for _ in range(2))
        found = pareto_front(list(zip(costs, scores, strict=True)))
        assert set(found) == by_brute_force(costs, scores)
        assert [costs[i] for i in found] == sorted(costs[i] for i in found)


def test_fronts_are_pareto_sets_of_what_is_left() -> None:
    # 0 and 1 are equal, 2 is dominated by them, 3 by 2 as well.
    assert fronts([(1, 0.5), (1, 0.5), (2, 0.5), (3, 0.4)]) == [[0, 1], [2], [3]]


def test_the_better_half_goes_on() -> None:
    points = [Scored("a", 0.8, 9.0), Scored("b", 0.7, 1.0), Scored("c", 0.75, 9.0)]
    assert [each.name for each in better_half(points, by_front=False)] == ["a", "c"]
    # With cost as an objective b, which is the cheapest, is not dominated, and c is.
    assert [each.name for each in better_half(points, by_front=True)] == ["a", "b"]
    assert [each.name for each in ranked(points, by_front=True)] == ["a", "b", "c"]


def case(name: str, patient: str = "") -> Case:
    return Case(name, (Path(f"{name}.nii.gz"),), patient=patient)


def test_cases_of_a_patient_stay_together_and_both_halves_have_some() -> None:
    cases = [case("a1", "a"), case("a2", "a"), case("b1", "b"), case("c"), case("d")]
    found = roles(cases, "scans")
    assert found["a1"] == found["a2"]
    assert sorted({case.patient or case.id: found[case.id] for case in cases}.values()) == [
        CHOOSE,
        CHOOSE,
        QUOTE,
        QUOTE,
    ]
    assert roles(cases[::-1], "scans") == found
    with pytest.raises(InputError, match="expected validation cases of at least two patients"):
        roles(cases[:2], "scans")


def test_importance_needs_points_and_axes_that_vary() -> None:
    proposer = Proposer(SPACE, ("maximize",), 0, "random")
    points = [proposer.propose(number, 0, []) for number in range(24)]
    found = importances(SPACE, points, [dice(point) for point in points])
    assert not isinstance(found, str)
    assert sum(row.share for row in found) == pytest.approx(1)
    assert {row.axis for row in found} == {"width", "depth", "groups"}
    assert found[0].axis == "width"  # by far the largest term of the formula
    assert found[0].p < found[-1].p
    assert importances(SPACE, points[:11], [0.5] * 11) == (
        "11 points have a result, and 12 are needed"
    )
    assert importances(SPACE, points, [0.5] * 24) == "all points have the same Dice"
    assert importances(SPACE, points[:1] * 12, [0.5] * 12) == "no axis varies"


def settings_of(*words: str) -> SearchSettings:
    return SEARCH.read_words(["dataset=scans", *words])[1]


def test_settings_need_a_budget_and_something_to_choose() -> None:
    with pytest.raises(UsageError, match="no budget is given"):
        settings_of()
    fixed = ["study.width=[1,1]", "study.depth=[1,1]", "study.patch=[1,1]"]
    with pytest.raises(UsageError, match="every axis has only one value"):
        settings_of(
            "budget.macs=1e9",
            *fixed,
            "study.channels_per_group=[2]",
            "study.shapes=[flat]",
        )
    with pytest.raises(UsageError, match=r"study.width must be a list of two numbers"):
        settings_of("budget.macs=1e9", "study.width=[2,1]")
    with pytest.raises(UsageError, match=r"network.features: the search chooses the width"):
        settings_of("budget.macs=1e9", "network.features=[16,32]")


def test_trainings_are_counted() -> None:
    settings = settings_of("budget.macs=1e9", "study.baselines=none")
    assert settings.size.startswith("20 + 10 + 5 trainings of 1, 2, 4 ... parts of the steps")


def test_without_optuna_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(UsageError, match=r"needs the package optuna. Type: pip install 'segkit\["):
        load_optuna()
