"""Correction of p values for the number of tests that are looked at together.

A comparison answers one question that is asked beforehand: is the mean Dice over the labels (or the
Dice of the only label) different? Its p value is not corrected. All other tests are looked at in
addition, in three tables, and the more of them there are the more of them seem to differ by chance.
So the p values of each table are corrected together by Holm's method: if nothing differs, at most
5 % of such tables contain any p value below 0.05, whatever the correlation of the metrics.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.signed_rank import holm

MAIN_METRIC = "dice"
"""Metric of the question that is asked beforehand."""

Together = Literal["main", "labels", "other metrics", "labels of other metrics"]
"""Tests that are corrected together; "main" is the one test that is not corrected."""


@dataclass(frozen=True)
class PlannedTest:
    """One test, before the correction."""

    label: str
    metric: str
    p: float | None
    """p value; None if there is nothing to test."""


@dataclass(frozen=True)
class Corrected:
    """p value of a test after the correction."""

    p: float
    together: Together
    tests: int
    """Number of tests that were corrected together; 1 if p is not corrected."""


def corrected(tests: Sequence[PlannedTest]) -> list[Corrected]:
    """Return the corrected p value of every test; one without a p value gets 1.

    Two labels with p values of 0.01 and 0.03 get 2 * 0.01 and 0.03; their mean is not corrected:

    >>> rows = [("liver", 0.03), ("spleen", 0.01), (MEAN, 0.02)]
    >>> [found.p for found in corrected([PlannedTest(name, "dice", p) for name, p in rows])]
    [0.03, 0.02, 0.02]
    """
    has_mean = any(test.label == MEAN for test in tests)
    together = [_together(test, has_mean=has_mean) for test in tests]
    groups: dict[Together, dict[int, float]] = defaultdict(dict)
    for place, test in enumerate(tests):
        if test.p is not None:
            groups[together[place]][place] = test.p
    p_values: dict[int, float] = {}
    for group in groups.values():
        p_values |= dict(zip(group, holm(list(group.values())), strict=True))
    return [
        Corrected(p_values.get(place, 1.0), name, max(1, len(groups[name])))
        for place, name in enumerate(together)
    ]


def _together(test: PlannedTest, *, has_mean: bool) -> Together:
    """Return with which tests one is corrected; of a single label there is no mean."""
    is_whole = test.label == MEAN or not has_mean
    if test.metric == MAIN_METRIC:
        return "main" if is_whole else "labels"
    return "other metrics" if is_whole else "labels of other metrics"
