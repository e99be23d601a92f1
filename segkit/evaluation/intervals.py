"""Intervals of means and of paired differences over cases and seeds, and verdicts in words.

The intervals are percentiles of a bootstrap that resamples cases and seeds independently of each
other, since a case is measured with every seed, and a seed with every case (Owen 2007, "The
pigeonhole bootstrap"). Percentiles of few values are too narrow; they are expanded as Hesterberg
(2015, "What teachers should know about the bootstrap") does: deviations by sqrt(n / (n - 1)), and
the interval by the ratio of Student's t to the normal distribution, with Satterthwaite's degrees of
freedom for the sum of the two variances. That is still too narrow for two or three seeds, whose
bootstrap has only a few different means, above all at the high levels of many comparisons. So no
interval is narrower than that of Student's t, whose half-widths over cases and over seeds, each
with its own degrees of freedom, are added as roots of a sum of squares. Two seeds that differ thus
give a very wide interval. With a single seed its variation cannot be seen, and the interval leaves
it out; a single case is no evidence. Ties and constants are no trouble: the interval of a constant
is a point. Several scans of one patient are no independent evidence: where patients are known, they
are resampled instead of cases, each with the sum of the deviations of its cases (the linearized
bootstrap of a ratio, Davison and Hinkley 1997, section 2.4); the mean stays that over the cases.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from segkit.evaluation.resamples import DRAWS, deviations_of_means, resamples

Values = Mapping[tuple[str, int], float]
"""A value, such as Dice, for each case and seed."""

Limits = tuple[float, float]
"""Smallest and largest value."""
UNLIMITED: Limits = (-math.inf, math.inf)
SHARE: Limits = (0.0, 1.0)
"""Limits of Dice and of other shares."""
SHARE_DIFFERENCE: Limits = (-1.0, 1.0)
"""Limits of a difference of two shares."""
LOSS_DIFFERENCE: Limits = (-2.0, 2.0)
"""Limits of a difference of two such differences."""

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean, or a mean difference, with its interval."""

    mean: float
    low: float
    high: float
    cases: int
    """Number of cases, or of patients if cases were grouped by patient."""
    seeds: int
    level: float = LEVEL

    @property
    def excludes_zero(self) -> bool:
        """True if the whole interval lies on one side of zero; never for a single case."""
        return self.cases > 1 and (self.low > 0 or self.high < 0)

    @property
    def ends(self) -> tuple[float, float] | None:
        """Low and high end; None for a single case, which cannot tell."""
        return (self.low, self.high) if self.cases > 1 else None


def mean_interval(
    values: Values,
    *,
    level: float = LEVEL,
    limits: Limits = UNLIMITED,
    patients: Mapping[str, str] | None = None,
) -> Interval | None:
    """Return the mean over cases and seeds with its interval; None without any complete case.

    Cases that some seed lacks, or that are not finite with some seed, are left out.

    >>> mean_interval({("a", 0): 0.5, ("b", 0): 0.5})
    Interval(mean=0.5, low=0.5, high=0.5, cases=2, seeds=1, level=0.95)

    Args:
        values: the values.
        level: probability with which the interval should contain the mean.
        limits: smallest and largest mean that there can be; the interval ends there.
        patients: patient of each case, if several cases are of one patient; a case without one
            counts as a patient of its own.
    """
    table, cases = _table(values)
    if not table.size:
        return None
    known = patients or {}
    # A patient may be named like the case of another one.
    units = [f"patient {known[case]}" if known.get(case) else f"case {case}" for case in cases]
    found = _interval(_by_patient(table, units), level)
    low, high = (min(max(end, limits[0]), limits[1]) for end in (found.low, found.high))
    return replace(found, low=low, high=high)


def paired_difference(
    a: Values,
    b: Values,
    *,
    level: float = LEVEL,
    limits: Limits = UNLIMITED,
    patients: Mapping[str, str] | None = None,
) -> Interval | None:
    """Return the mean of ``a - b`` over cases and seeds that both have, with its interval.

    None if they have no case and seed in common.

    >>> paired_difference({("x", 0): 0.75, ("y", 0): 0.5}, {("x", 0): 0.5, ("y", 0): 0.25})
    Interval(mean=0.25, low=0.25, high=0.25, cases=2, seeds=1, level=0.95)

    Args:
        a: values of one arm.
        b: values of the other arm.
        level: probability with which the interval should contain the difference.
        limits: smallest and largest difference that there can be.
        patients: patient of each case; see `mean_interval`.
    """
    differences = {key: a[key] - b[key] for key in a if key in b}
    return mean_interval(differences, level=level, limits=limits, patients=patients)


def shared_level(comparisons: int, *, level: float = LEVEL) -> float:
    """Return the level of each of several intervals, so that all hold together with ``level``.

    This is Bonferroni's correction: of twenty intervals at 95 %, one excludes the truth by chance.

    >>> round(shared_level(5), 4)
    0.99
    """
    return 1 - (1 - level) / max(1, comparisons)


def verdict(
    difference: Interval | None, a: str, b: str, *, higher_is_better: bool = True, digits: int = 3
) -> str:
    """Return in words what the interval of ``a - b`` says, and on how much it rests.

    >>> verdict(Interval(0.02, 0.01, 0.03, 40, 3), "group", "batch")
    'group is better than batch by 0.010 to 0.030 (40 cases, 3 seeds)'
    >>> verdict(Interval(0.0, -0.004, 0.006, 40, 3), "group", "batch")
    'no evidence of a difference between group and batch (-0.004 to 0.006; 40 cases, 3 seeds)'

    Args:
        difference: interval of the difference; None if there is nothing to compare.
        a: name of the first arm.
        b: name of the second arm.
        higher_is_better: whether a larger value is better, as for Dice.
        digits: decimals of the numbers.
    """
    if difference is None:
        return f"{a} and {b} cannot be compared: they have no case and seed in common"
    if not difference.excludes_zero:
        return f"no evidence of a difference between {a} and {b} {extent(difference, digits)}"
    is_larger = difference.low > 0
    winner, loser = (a, b) if is_larger is higher_is_better else (b, a)
    return f"{winner} is better than {loser} {extent(difference, digits)}"


def extent(difference: Interval, digits: int = 3) -> str:
    """Return how large a difference is, and on how many cases and seeds that rests.

    >>> extent(Interval(-0.02, -0.03, -0.01, 40, 1))
    'by 0.010 to 0.030 (40 cases, 1 seed)'
    >>> extent(Interval(0.0, -0.004, 0.006, 40, 3))
    '(-0.004 to 0.006; 40 cases, 3 seeds)'
    >>> extent(Interval(0.02, 0.02, 0.02, 1, 1))
    '(0.020 in one case, which cannot tell; 1 case, 1 seed)'
    """
    counts = f"{_count(difference.cases, 'case')}, {_count(difference.seeds, 'seed')}"
    if difference.cases == 1:
        return f"({difference.mean:.{digits}f} in one case, which cannot tell; {counts})"
    if not difference.excludes_zero:
        return f"({difference.low:.{digits}f} to {difference.high:.{digits}f}; {counts})"
    least, most = sorted((abs(difference.low), abs(difference.high)))
    return f"by {least:.{digits}f} to {most:.{digits}f} ({counts})"


def ends_text(interval: Interval, digits: int = 4) -> str:
    """Return the ends of an interval in words.

    >>> ends_text(Interval(0.5, 0.25, 0.75, 40, 3), 2), ends_text(Interval(0.5, 0.5, 0.5, 1, 3))
    ('0.25 to 0.75', 'one case cannot tell')
    """
    if interval.ends is None:
        return "one case cannot tell"
    return " to ".join(f"{end:.{digits}f}" for end in interval.ends)


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _table(values: Values) -> tuple[NDArray[np.float64], list[str]]:
    """Return the values as an array (cases, seeds) of the cases that are finite with all seeds.

    The names of these cases come with it, in its order.
    """
    seeds = sorted({seed for _, seed in values})
    cases = sorted({case for case, _ in values})
    table = np.array(
        [[values.get((case, seed), math.nan) for seed in seeds] for case in cases], np.float64
    ).reshape(len(cases), len(seeds))
    kept = np.asarray(np.isfinite(table).all(axis=1))
    return table[kept], [case for case, is_kept in zip(cases, kept, strict=True) if is_kept]


def _by_patient(table: NDArray[np.float64], patients: Sequence[str]) -> NDArray[np.float64]:
    """Return an array (patients, seeds) of the same mean, whose rows vary independently.

    A patient's row is the mean plus the sum of the deviations of its cases, times the number of
    patients over the number of cases. With a case per patient it is the array itself.

    >>> _by_patient(np.array([[1.0], [1.0], [0.0], [0.0]]), ["a", "a", "b", "c"]).tolist()
    [[1.25], [0.125], [0.125]]

    Args:
        table: values (cases, seeds).
        patients: patient of each case.
    """
    names, rows = np.unique(patients, return_inverse=True)
    if len(names) == len(patients):
        return table
    means = table.mean(axis=0)
    sums = np.zeros((len(names), table.shape[1]))
    np.add.at(sums, rows, table - means)
    return np.asarray(means + sums * len(names) / len(patients), dtype=np.float64)


def _interval(table: NDArray[np.float64], level: float) -> Interval:
    """Return mean and interval of an array (cases, seeds)."""
    mean = float(table.mean())
    sides = [table.mean(axis=axis) for axis in (1, 0) if table.shape[1 - axis] > 1]
    varied = [side for side in sides if side.min() < side.max()]
    samples = resamples(tuple(map(len, varied)))
    drawn = sum(map(deviations_of_means, varied, samples), np.zeros(DRAWS))
    drawn = mean + _expansion(sides, level) * drawn
    tail = 50 * (1 - level)
    low, high = (float(value) for value in np.percentile(drawn, [tail, 100 - tail]))
    half = _half_width(sides, level)  # also keeps a constant's mean inside of its interval
    cases, seeds = table.shape
    return Interval(mean, min(low, mean - half), max(high, mean + half), cases, seeds, level)


def _half_width(sides: Sequence[NDArray[np.float64]], level: float) -> float:
    """Return half the width of the interval by Student's t for a sum of independent means.

    >>> round(_half_width([np.array([0.0, 2.0])], 0.95), 3)  # 12.706 x 1, one degree of freedom
    12.706

    Args:
        sides: as of `_expansion`.
        level: probability of the interval.
    """
    tail = (1 + level) / 2
    variances = (stdtrit(len(side) - 1, tail) ** 2 * side.var(ddof=1) / len(side) for side in sides)
    return math.sqrt(sum(variances))


def _expansion(sides: Sequence[NDArray[np.float64]], level: float) -> float:
    """Return the ratio of Student's t to the normal distribution for a sum of independent means.

    >>> round(_expansion([np.array([0.0, 1.0, 2.0])], 0.95), 3)  # 4.303 / 1.960, two degrees
    2.195

    Args:
        sides: the values whose means vary independently, such as means of cases and of seeds.
        level: probability of the interval.
    """
    variances = np.array([side.var(ddof=1) / len(side) for side in sides])
    if not variances.any():
        return 1.0
    degrees = np.array([len(side) - 1 for side in sides])
    shared = variances.sum() ** 2 / (variances**2 / degrees).sum()
    tail = (1 + level) / 2
    return float(stdtrit(shared, tail) / ndtri(tail))
