"""Accuracy of the expected Dice, on cases that the fit did not use.

Cases are left out in groups, each together with all its copies and the other cases of its patient:
at most ten groups, or the folds of a cross-validation. For ``unseen`` the kind of degradation is
left out as well, so that the figure is that of failures which the fit has never met.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit
from scipy.stats import rankdata

from segkit.quality.expected_dice import ExpectedDice
from segkit.quality.features import AS_IT_IS
from segkit.quality.fitting import Example, example_weights, fit_expected_dice

MIN_CASES = 3
"""Smallest number of cases: of two, a fit on one would have to predict the other."""
MAX_GROUPS = 10
"""Largest number of groups of patients that are left out in turn, unless groups are given."""
ERROR_BINS = 4
"""Number of ranges of the expected Dice that have an error of their own."""


@dataclass(frozen=True)
class LeftOut:
    """Example with the Dice that a fit without its case expects."""

    example: Example
    expected: float
    typical: float
    """Mean Dice of the label in that fit, which is what one would say without any features."""

    @property
    def error(self) -> float:
        """Absolute difference of expected and true Dice."""
        return abs(self.expected - self.example.dice)


def estimate_with_accuracy(
    examples: Sequence[Example], groups: Mapping[str, str] | None = None
) -> tuple[ExpectedDice, dict[str, Any]] | None:
    """Return the estimator fitted to all examples, and its accuracy in JSON types.

    Return None for fewer than `MIN_CASES` cases, for a single group, and where no case as it is can
    be left out, because no two cases have a label in common.

    Args:
        examples: labels of validation cases as they are and degraded.
        groups: name of the group of each case, such as its fold; the groups are left out in turn.
    """
    cases = list(dict.fromkeys(one.case for one in examples if one.degradation == AS_IT_IS))
    if groups is None:  # a case whose copies alone have a label is among them
        groups = groups_of_cases([one.case for one in examples])
    if len(cases) < MIN_CASES or len({groups[case] for case in cases}) < 2:
        return None
    known = list(left_out(examples, groups))
    unseen = list(left_out(examples, groups, unseen=True))
    as_they_are = [one for one in known if one.example.degradation == AS_IT_IS]
    if not as_they_are:
        return None
    accuracy = {
        "cases": len(cases),
        "groups": len(set(groups.values())),
        "as_they_are": figures(as_they_are),
        "with_degraded": figures(known),
        "unseen_degradations": figures(unseen),
    }
    errors = error_points(known, widening(len(cases)))
    return replace(fit_expected_dice(examples), errors=errors), accuracy


def groups_of_cases(
    cases: Iterable[str], patients: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the name of the group of each case, at most `MAX_GROUPS`; a patient has one group.

    A fit to one scan of a patient must not be judged by another one.

    Args:
        cases: the cases, each at least once.
        patients: patient of each case; a case without one is a patient of its own.

    >>> groups_of_cases(["a", "b", "c"], {"a": "x", "c": "x"})
    {'a': '0', 'b': '1', 'c': '0'}
    """
    named = {case: (patients or {}).get(case) or case for case in cases}
    numbers = {patient: number for number, patient in enumerate(dict.fromkeys(named.values()))}
    return {case: str(numbers[patient] % MAX_GROUPS) for case, patient in named.items()}


def left_out(
    examples: Sequence[Example], groups: Mapping[str, str], *, unseen: bool = False
) -> Iterator[LeftOut]:
    """Yield each example with what a fit without its group expects.

    Args:
        examples: the examples.
        groups: name of the group of each case.
        unseen: also leave out all examples of the same degradation.
    """
    kinds = list(dict.fromkeys(one.degradation for one in examples))
    for group in dict.fromkeys(groups[one.case] for one in examples):
        own = [one for one in examples if groups[one.case] == group]
        others = [one for one in examples if groups[one.case] != group]
        for kind in kinds if unseen else [None]:
            is_degraded = kind not in (None, AS_IT_IS)
            used = [one for one in others if not is_degraded or one.degradation != kind]
            asked = [one for one in own if kind in (None, one.degradation)]
            yield from _expected(used, asked)


def _expected(used: Sequence[Example], asked: Sequence[Example]) -> Iterator[LeftOut]:
    if not any(one.degradation == AS_IT_IS for one in used):
        return
    fit = fit_expected_dice(used)
    for one in asked:
        if one.label in fit.labels:
            yield LeftOut(one, fit.dice(one.label, one.features), fit.labels[one.label].dice)


def figures(results: Sequence[LeftOut]) -> dict[str, Any]:
    """Return number, mean absolute error and rank correlation of expected and true Dice.

    ``error_of_mean`` is the mean absolute error of saying the mean Dice of the label. The rank
    correlation (Spearman) is None where all values of either are the same.
    """
    if not results:
        return {"labels": 0, "error": None, "error_of_mean": None, "spearman": None}
    truth = np.array([one.example.dice for one in results])
    expected = np.array([one.expected for one in results])
    typical = np.array([one.typical for one in results])
    return {
        "labels": len(results),
        "error": round(float(np.abs(expected - truth).mean()), 4),
        "error_of_mean": round(float(np.abs(typical - truth).mean()), 4),
        "spearman": spearman(expected, truth),
    }


def spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    """Return Spearman's rank correlation; None if all values of either are the same.

    >>> spearman(np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.3, 0.4]))
    1.0
    """
    ranks = rankdata(first), rankdata(second)
    if min(np.ptp(values) for values in ranks) == 0:
        return None
    return round(float(np.corrcoef(*ranks)[0, 1]), 4)


def error_points(results: Sequence[LeftOut], factor: float) -> tuple[tuple[float, float], ...]:
    """Return points (expected Dice, mean absolute error) over ranges of equal weight.

    Args:
        results: examples of cases that the fit did not use.
        factor: factor of all errors, for few cases (`widening`).
    """
    weights = example_weights([one.example for one in results])
    order = np.argsort([one.expected for one in results], kind="stable")
    share = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
    bins = np.minimum((share * ERROR_BINS).astype(int), ERROR_BINS - 1)
    points = []
    for number in np.unique(bins):
        chosen = order[bins == number]
        dice = np.average([results[i].expected for i in chosen], weights=weights[chosen])
        error = np.average([results[i].error for i in chosen], weights=weights[chosen])
        points.append((round(float(dice), 4), round(min(1.0, factor * float(error)), 4)))
    return tuple(points)


def widening(cases: int) -> float:
    """Return the factor of errors that were estimated from few cases.

    It is that of a prediction interval: sqrt(1 + 1/n) times the ratio of the 97.5 % quantiles of
    Student's t and the normal distribution.

    >>> round(widening(3), 2), round(widening(20), 2), round(widening(100), 2)
    (2.53, 1.09, 1.02)
    """
    ratio = float(stdtrit(cases - 1, 0.975)) / float(ndtri(0.975))
    return ratio * float(np.sqrt(1 + 1 / cases))
