"""The budget of a pruning, as it is typed."""

from __future__ import annotations

import pytest

from segkit.config.study_words import split_words
from segkit.errors import UsageError
from segkit.studies.pruning.settings import Budget


def budget(*words: str) -> Budget:
    return split_words(words, Budget, "budget")[1]


def test_one_budget_is_given() -> None:
    given = budget("budget.latency=0.5", "budget.rounds=4")
    assert (given.kind, given.share, given.rounds) == ("latency", 0.5, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give one budget, not none: budget.latency=0.5 for half the time"),
        (["budget.macs=0.5", "budget.latency=0.5"], "not budget.latency and budget.macs"),
        (["budget.flops=0.5"], "unknown setting 'budget.flops'"),
        (["budget.macs=1.5"], "budget.macs must be a number from 0.01 to 0.99, not 1.5"),
        (["budget.macs=0.5", "budget.rounds=0"], "budget.rounds must be a whole number from 1"),
    ],
)
def test_budgets_that_make_no_sense(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _ = budget(*words).kind


def test_every_round_takes_the_same_share_of_what_is_left() -> None:
    given = budget("budget.macs=0.125", "budget.rounds=3")
    assert [given.share_after(number) for number in (1, 2, 3)] == pytest.approx([0.5, 0.25, 0.125])
    assert given.share_after(3) == 0.125
    assert sum(given.training_share(number) for number in (1, 2, 3)) == 1.0
    assert budget("budget.macs=0.5", "budget.rounds=1").training_share(1) == 1.0
