"""Intervals over cases and seeds, and what they say in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from segkit.evaluation.intervals import (
    SHARE,
    Interval,
    Values,
    mean_interval,
    paired_difference,
    shared_level,
    verdict,
)


def values(table: np.ndarray) -> Values:
    """Return an array (cases, seeds) as values by case and seed."""
    return {(f"case{row}", seed): float(value) for (row, seed), value in np.ndenumerate(table)}


def interval_of(table: np.ndarray, level: float = 0.95) -> Interval:
    interval = mean_interval(values(table), level=level)
    assert interval is not None
    return interval


def test_the_interval_of_a_constant_is_a_point() -> None:
    # The corrected bootstrap of other programs gives (0.9000000000000001, 0.9) here.
    interval = interval_of(np.full((10, 3), 0.9))
    assert interval.low <= interval.mean <= interval.high
    assert interval.high - interval.low < 1e-12
    assert not interval_of(np.zeros((4, 1))).excludes_zero


def test_a_majority_of_ties_has_a_finite_interval() -> None:
    interval = interval_of(np.array([[1.0]] * 9 + [[0.0]]))
    assert interval.mean == 0.9
    assert 0.6 < interval.low < 0.9 < interval.high < 1.15


def test_the_width_of_many_cases_is_that_of_the_normal_distribution() -> None:
    table = np.random.default_rng(0).normal(0.8, 0.1, (400, 1))
    interval = interval_of(table)
    expected = 2 * 1.96 * table.std(ddof=1) / 20
    assert interval.high - interval.low == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("cases", "seeds"), [(15, 1), (15, 4), (5, 1), (30, 2)])
def test_an_interval_contains_the_truth_about_as_often_as_it_says(cases: int, seeds: int) -> None:
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        means = random.normal(0, 1, (cases, 1))
        trainings = random.normal(0, 0.5, (1, seeds)) * (seeds > 1)
        interval = interval_of(means + trainings)
        hits += interval.low <= 0 <= interval.high
    # Over cases alone, 30 cases and 2 seeds would contain it in 126 of 200 (normal distribution).
    assert 184 <= hits <= 200


@pytest.mark.parametrize(("cases", "seeds"), [(10, 2), (40, 2), (10, 3)])
def test_few_seeds_at_the_level_of_many_comparisons(cases: int, seeds: int) -> None:
    random = np.random.default_rng(2)
    misses = 0
    for _ in range(200):
        trainings, rest = random.normal(0, 1, (1, seeds)), random.normal(0, 0.3, (cases, seeds))
        interval = interval_of(trainings + rest, level=0.995)
        misses += not interval.low <= 0 <= interval.high
    # Percentiles of the bootstrap alone miss it in 6 to 12 of 200.
    assert misses <= 4


def test_seeds_that_differ_widen_the_interval() -> None:
    cases = np.random.default_rng(0).normal(0, 0.01, (30, 1))
    alike = interval_of(cases + np.zeros((1, 3)))
    apart = interval_of(cases + np.array([[-0.05, 0, 0.05]]))
    assert apart.high - apart.low > 5 * (alike.high - alike.low)


def test_a_difference_is_paired_by_case_and_seed() -> None:
    b = np.random.default_rng(0).uniform(0, 1, (20, 2))  # cases differ a lot
    difference = paired_difference(values(b + 0.01), {**values(b), ("other", 0): 0.0})
    assert difference is not None
    assert (difference.low, difference.high) == (pytest.approx(0.01), pytest.approx(0.01))
    assert (difference.cases, difference.seeds) == (20, 2)


def test_cases_that_a_seed_lacks_are_left_out() -> None:
    interval = mean_interval({("a", 0): 0.5, ("a", 1): 0.7, ("b", 0): 0.1, ("c", 0): 0.1,
                              ("c", 1): float("nan")})  # fmt: skip
    assert interval is not None
    assert (interval.mean, interval.cases, interval.seeds) == (pytest.approx(0.6), 1, 2)


def test_nothing_in_common_is_no_interval() -> None:
    assert paired_difference({("a", 0): 1.0}, {("b", 0): 1.0}) is None
    assert mean_interval({}) is None
    assert verdict(None, "A", "B").startswith("A and B cannot be compared: they have no case")


def test_an_interval_ends_at_the_limits() -> None:
    apart = values(np.array([[0.1, 0.9], [0.1, 0.9]]))  # two seeds that differ a lot
    free = mean_interval(apart)
    limited = mean_interval(apart, limits=SHARE)
    assert free is not None
    assert free.low < 0
    assert free.high > 1
    assert limited == replace(free, low=0.0, high=1.0)


def test_a_single_case_is_no_evidence() -> None:
    difference = paired_difference({("a", 0): 0.7, ("a", 1): 0.7}, {("a", 0): 0.5, ("a", 1): 0.5})
    assert difference is not None
    assert not difference.excludes_zero
    assert verdict(difference, "A", "B").startswith("no evidence of a difference between A and B")


def test_equal_values_give_equal_intervals_at_any_time() -> None:
    table = values(np.random.default_rng(0).uniform(0, 1, (9, 3)))
    assert mean_interval(table) == mean_interval(dict(reversed(table.items())))


def test_a_higher_level_is_wider() -> None:
    table = np.random.default_rng(0).uniform(0, 1, (20, 3))
    narrow, wide = interval_of(table), interval_of(table, level=shared_level(10))
    assert wide.low < narrow.low < narrow.high < wide.high


@pytest.mark.parametrize(
    ("low", "high", "higher_is_better", "text"),
    [
        (0.01, 0.03, True, "A is better than B by 0.010 to 0.030 (5 cases, 1 seed)"),
        (0.01, 0.03, False, "B is better than A by 0.010 to 0.030 (5 cases, 1 seed)"),
        (-0.03, -0.01, True, "B is better than A by 0.010 to 0.030 (5 cases, 1 seed)"),
        (-0.03, -0.01, False, "A is better than B by 0.010 to 0.030 (5 cases, 1 seed)"),
        (0.0, 0.03, True, "no evidence of a difference between A and B (0.000 to 0.030; 5 cases,"),
    ],
)
def test_the_verdict_follows_from_the_interval(
    low: float, high: float, higher_is_better: bool, text: str
) -> None:
    interval = Interval((low + high) / 2, low, high, 5, 1)
    assert verdict(interval, "A", "B", higher_is_better=higher_is_better).startswith(text)


def test_scans_of_one_patient_are_one_piece_of_evidence() -> None:
    random = np.random.default_rng(2)
    once = random.normal(0, 1, (20, 1))
    four_times = values(np.repeat(once, 4, axis=0))
    patients = {f"case{row}": f"patient{row // 4}" for row in range(80)}
    grouped, as_cases = mean_interval(four_times, patients=patients), mean_interval(four_times)
    alone = interval_of(once)
    assert grouped is not None
    assert as_cases is not None
    assert grouped.cases == 20
    assert grouped.mean == as_cases.mean == pytest.approx(alone.mean)
    assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.05)
    assert grouped.high - grouped.low > 1.8 * (as_cases.high - as_cases.low)


def test_one_patient_with_many_scans_is_no_evidence() -> None:
    interval = mean_interval(values(np.ones((5, 1))), patients={f"case{n}": "p" for n in range(5)})
    assert interval is not None
    assert interval.ends is None
    assert not interval.excludes_zero
