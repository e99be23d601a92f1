"""The signed-rank test against scipy and against counting by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from segkit.evaluation.signed_rank import EXACT, EXACT_UP_TO, NORMAL, holm, signed_rank


@pytest.mark.parametrize("n", [5, 12, 40, EXACT_UP_TO])
def test_without_ties_it_is_the_exact_test_of_scipy(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.2, 1, n)
    found = signed_rank(differences.tolist())
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert found.p == pytest.approx(expected, rel=1e-9)
    assert (found.n, found.zeros, found.method) == (n, 0, EXACT)


def test_with_ties_all_assignments_of_signs_are_counted() -> None:
    differences = [1.0, 1.0, -1.0, 2.0, 2.0, 3.0, -2.0, 3.0]
    ranks = stats.rankdata(np.abs(differences))
    sums = [
        abs(sum(sign * rank for sign, rank in zip(signs, ranks, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(ranks))
    ]
    observed = abs(float(np.sign(differences) @ ranks))
    assert signed_rank(differences).p == sum(total >= observed for total in sums) / len(sums)


def test_ties_and_zeros_as_in_scipy() -> None:
    # scipy 1.17 permutes the signs of the nine that are left; others say 0.0356 or 0.0371.
    differences = [0.0, 1, 1, 1, 2, 2, -1, 3, 3, 4]
    found = signed_rank(differences)
    permuted = stats.wilcoxon(differences[1:], method=stats.PermutationMethod()).pvalue
    assert found.p == pytest.approx(permuted)
    assert (found.n, found.zeros) == (9, 1)


def test_many_differences_with_ties_as_in_scipy() -> None:
    differences = np.random.default_rng(0).integers(-8, 10, EXACT_UP_TO + 100).astype(float)
    moved = differences[differences != 0]
    assert moved.size > EXACT_UP_TO
    found = signed_rank(differences.tolist())
    expected = stats.wilcoxon(moved, method="asymptotic", correction=False).pvalue
    assert found.p == pytest.approx(expected, rel=1e-9)
    assert (found.n, found.method) == (moved.size, NORMAL)
    assert found.zeros == differences.size - moved.size


def test_exact_and_normal_meet_where_one_takes_over() -> None:
    differences = np.random.default_rng(1).normal(0.1, 1, EXACT_UP_TO)
    exact = signed_rank(differences.tolist()).p
    normal = stats.wilcoxon(differences, method="asymptotic", correction=False).pvalue
    assert exact == pytest.approx(normal, rel=0.02)


def test_nothing_moved() -> None:
    assert signed_rank([0.0] * 4).p == signed_rank([]).p == 1.0
    assert signed_rank([]).smallest_p == 1.0


def test_a_single_difference_cannot_tell() -> None:
    assert (signed_rank([0.5]).p, signed_rank([0.5]).smallest_p) == (1.0, 1.0)


@pytest.mark.parametrize("n", [1, 3, 6, 10])
def test_no_smaller_p_is_possible(n: int) -> None:
    found = signed_rank([0.25] * n)  # a constant: all ranks are ties
    assert found.p == found.smallest_p == 2 ** (1 - n)


def test_both_directions_have_the_same_p() -> None:
    differences = [0.1, -0.3, 0.2, 0.7, 0.7, -0.1]
    assert signed_rank(differences).p == signed_rank([-d for d in differences]).p


def test_holm_by_hand() -> None:
    # 4 x 0.01, 3 x 0.02, 2 x 0.02, 0.5: the third is not smaller than the second.
    assert holm([0.5, 0.02, 0.01, 0.02]) == pytest.approx([0.5, 0.06, 0.04, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.3]) == [0.3]
    assert holm([]) == []
