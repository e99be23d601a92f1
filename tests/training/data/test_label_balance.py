"""Labels that few cases have are sampled as often as intended."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from segkit.training.data.label_balance import LabelBalance, balance_labels

RARE = [[1, 2]] * 19 + [[1, 2, 3]]


def test_nothing_moves_where_every_case_has_every_label() -> None:
    for labels in ([1], [1, 2], [3, 5, 6], list(range(1, 118))):
        assert balance_labels([labels] * 17, 0.5) == LabelBalance(0.0)
    assert balance_labels([[], []], 0.5) == balance_labels([[1], [2]], 0.5) == LabelBalance(0.0)
    assert balance_labels(RARE, 0.0).share == 0.0


def test_the_share_of_a_rare_label_can_be_worked_out_by_hand() -> None:
    balance = balance_labels(RARE, 0.5)
    # Label 3 has a third of a patch per epoch, where 20 / 3 would be even; half of the patches are
    # foreground.
    missing = 0.5 * (20 / 3 - 1 / 3)
    assert balance.share == pytest.approx(missing / (20 + missing))
    assert (balance.labels, balance.weights, balance.cases) == ((3,), (1.0,), ((19,),))


@pytest.mark.parametrize("foreground", [0.1, 0.5, 1.0])
def test_no_case_starves_whatever_the_labels(foreground: float) -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        labels_of = [
            sorted(set(random.integers(1, 9, random.integers(0, 9)).tolist())) for _ in range(10)
        ]
        balance = balance_labels(labels_of, foreground)
        assert balance.share <= foreground / (1 + foreground) + 1e-12


def test_drawn_labels_and_cases_follow_the_weights() -> None:
    labels_of = [[1]] * 16 + [[1, 2]] * 2 + [[3]] * 2
    balance = balance_labels(labels_of, 1.0)
    random = np.random.default_rng(0)
    drawn = [balance.draw(random) for _ in range(20_000)]
    moved = Counter(found for found in drawn if found)
    assert set(moved) == {(16, 2), (17, 2), (18, 3), (19, 3)}
    assert moved.total() / 20_000 == pytest.approx(balance.share, rel=0.05)
    # Even is 20 / 3: label 2 has 1 and misses 17 / 3, label 3 has 2 and misses 14 / 3.
    assert (moved[16, 2] + moved[17, 2]) / moved.total() == pytest.approx(17 / 31, rel=0.05)
    assert moved[18, 3] == pytest.approx(moved[19, 3], rel=0.1)
