"""Verdicts on paired differences in words, which claim no more than interval and test allow.

One set of predictions is called better only if the 95 % interval of the mean difference leaves out
zero, the signed-rank test gives p < 0.05 after the correction for several labels, both point the
same way, and there are `FEW` patients or cases at least. Both are called equivalent only if the
whole interval lies within a margin that the user states; this is stricter than two one-sided tests
at 5 %, which use the 90 % interval.
"""

from __future__ import annotations

import math
from typing import Literal

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.differences import Difference
from segkit.evaluation.intervals import Interval
from segkit.evaluation.resamples import DRAWS

ALPHA = 0.05
"""Largest p value that counts as evidence."""
FEW = 6
"""Smallest number of differences of one sign with which the exact test can reach p < 0.05."""


Finding = Literal[
    "nothing to compare",
    "one cannot tell",
    "equal",
    "too few",
    "A better",
    "B better",
    "hint: A",
    "hint: B",
    "unclear",
    "no evidence",
]
"""Statement on a difference, in the shortest words."""


def finding(difference: Difference) -> Finding:
    """Return what the interval and the test together allow to say."""
    interval = difference.interval
    if interval is None:
        return "nothing to compare"
    if not difference.better and not difference.worse:
        return "equal"
    if difference.units < FEW:
        return "one cannot tell" if difference.units == 1 else "too few"
    is_b = (interval.mean > 0) is difference.higher_is_better
    if difference.p >= ALPHA:
        hint: Finding = "hint: B" if is_b else "hint: A"
        return hint if interval.excludes_zero else "no evidence"
    if not interval.excludes_zero or _disagree(difference, interval):
        return "unclear"
    return "B better" if is_b else "A better"


def _disagree(difference: Difference, interval: Interval) -> bool:
    """Return whether the interval lies on one side of zero, and the test points to the other.

    That is so if most cases moved one way, and a few far the other way.
    """
    return interval.excludes_zero and interval.mean * difference.test.direction < 0


def verdict(
    difference: Difference, a: str, b: str, *, unit: str = "case", margin: float | None = None
) -> str:
    """Return in words what a difference says about A and B.

    Args:
        difference: mean paired difference of a label and metric, B minus A.
        a: name of A.
        b: name of B.
        unit: what the interval rests on, "case" or "patient".
        margin: largest difference that is irrelevant, in the unit of the metric.
    """
    interval = difference.interval
    found = finding(difference)
    if interval is None:
        return "nothing to compare: no case has a finite value with both"
    counts = f"{difference.units} {unit}s" if difference.units > 1 else f"one {unit}"
    if found == "equal":
        every = "the only case" if difference.cases == 1 else f"all {difference.cases} cases"
        every += " that can be compared" if difference.not_compared else ""
        return f"no difference at all: {a} and {b} have equal values in {every}"
    if difference.units < FEW:
        few = "cannot tell" if difference.units == 1 else "are too few to tell"
        return f"{counts} {few}; the mean difference is {signed(interval.mean, interval)}"
    return _claim(difference, interval, a, b) + _equivalence(interval, margin)


def _claim(difference: Difference, interval: Interval, a: str, b: str) -> str:
    found = finding(difference)
    winner, loser = (b, a) if found in ("B better", "hint: B") else (a, b)
    mean, p = signed(interval.mean, interval), p_text(difference)
    if found in ("A better", "B better"):
        return (
            f"{winner} is better than {loser}: the mean difference {b} - {a} is {mean}"
            f" ({reach(interval)}; {p})"
        )
    if found.startswith("hint"):
        return (
            f"a hint that {winner} is better than {loser}, but not enough: the interval of the"
            f" difference leaves out zero ({reach(interval)}), and the test does not confirm it"
            f" ({p})"
        )
    if found == "unclear":
        but = "may well be zero"
        if _disagree(difference, interval):
            but = f"{b} - {a} points the other way: {mean}"
        return (
            f"no clear answer: {b} is better in {difference.better} cases and worse in"
            f" {difference.worse} ({p}), but the mean difference {but} ({reach(interval)})"
        )
    return (
        f"no evidence of a difference: the interval of the difference {b} - {a} reaches from"
        f" {signed(interval.low, interval)} to {signed(interval.high, interval)}; a difference of"
        f" more than {number(largest(interval), interval)} is unlikely"
    )


def _equivalence(interval: Interval, margin: float | None) -> str:
    if margin is None:
        return ""
    if largest(interval) < margin:
        return (
            f". By the stated margin of {margin:g} the two are equivalent: the whole interval lies"
            " within it"
        )
    return f". Equivalence is not shown: the interval reaches beyond the stated margin, {margin:g}"


def sentence_for_a_paper(
    difference: Difference, a: str, b: str, *, unit: str = "case", margin: float | None = None
) -> str:
    """Return a sentence with means, difference, interval, test and numbers of cases, to be copied.

    It is "" if there is nothing to report, or nothing that differs. The arguments are those of
    `verdict`.
    """
    interval = difference.interval
    if interval is None or interval.ends is None or finding(difference) == "equal":
        return ""
    over = " over the labels" if difference.label == MEAN else f" of {difference.label}"
    scans = "" if difference.cases == difference.units else f" ({difference.cases} scans)"
    means = [number(value, interval) for value in (difference.mean_a, difference.mean_b)]
    return (
        f"On {difference.units} {unit}s{scans}, the mean {difference.metric}{over} was {means[0]}"
        f" for {a} and {means[1]} for {b} (mean paired difference"
        f" {signed(interval.mean, interval)}, 95 % confidence interval"
        f" {signed(interval.low, interval)} to {signed(interval.high, interval)} by a bootstrap"
        f" over {unit}s with {DRAWS} resamples; {wilcoxon_text(difference)})."
        f"{_conclusion(difference, interval, a, b, margin)}"
    )


def _conclusion(
    difference: Difference, interval: Interval, a: str, b: str, margin: float | None
) -> str:
    """Return what follows from the numbers, if they alone might be misread."""
    found = finding(difference)
    if margin is not None and largest(interval) < margin and difference.units >= FEW:
        return (
            f" The interval lies within the equivalence margin of {margin:g} that was set"
            " beforehand."
        )
    if found in ("A better", "B better"):
        return ""
    if found == "unclear" and _disagree(difference, interval):
        return (
            " The mean and the test point in opposite directions, so that neither is shown to be"
            " better."
        )
    return f" This is no evidence of a difference between {a} and {b}."


# -- numbers ---------------------------------------------------------------------------------------


def wilcoxon_text(difference: Difference) -> str:
    """Return the name of the test, its method, number of differences and p value."""
    test = difference.test
    zeros = f", {test.zeros} differences of zero left out" if test.zeros else ""
    return (
        f"two-sided Wilcoxon signed-rank test, {test.method}, n = {test.n}{zeros},"
        f" {p_text(difference)}"
    )


def p_text(difference: Difference) -> str:
    """Return the p value in words, with the correction for several tests if there is one."""
    value = p_value(difference.p)
    several = f" after Holm's correction for {difference.tests} {difference.together}"
    equation = f"p {value}" if value.startswith("<") else f"p = {value}"
    return equation + (several if difference.tests > 1 else "")


def p_value(p: float) -> str:
    """Return a p value as text.

    >>> p_value(0.0004), p_value(0.0312), p_value(0.7)
    ('< 0.001', '0.031', '0.70')
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def largest(interval: Interval) -> float:
    """Return the largest difference, in either direction, inside an interval."""
    return max(abs(interval.low), abs(interval.high))


def reach(interval: Interval) -> str:
    """Return the ends of an interval in words.

    >>> reach(Interval(0.01, -0.002, 0.022, 40, 1))
    '95 % interval -0.002 to +0.022'
    """
    return f"95 % interval {signed(interval.low, interval)} to {signed(interval.high, interval)}"


def signed(value: float, interval: Interval) -> str:
    """Return a difference with its sign and with as many decimals as its interval deserves."""
    text = f"{value:+.{decimals(interval)}f}"
    return text if float(text) else text[1:]


def number(value: float | None, interval: Interval) -> str:
    """Return a value with as many decimals as `signed`, at least two; a dash without a value."""
    return "-" if value is None else f"{value:.{max(2, decimals(interval))}f}"


def decimals(interval: Interval) -> int:
    """Return the number of decimals that shows the width of an interval with two digits.

    An interval that is much narrower than its mean, as of equal differences, counts as a hundredth
    of the mean. No end that differs from zero is shown as zero, up to eight decimals.

    >>> decimals(Interval(0.0, -0.004, 0.006, 40, 1)), decimals(Interval(3.0, -20.0, 26.0, 40, 1))
    (3, 0)
    """
    width = max(interval.high - interval.low, abs(interval.mean) / 100)
    digits = max(0, 1 - math.floor(math.log10(width))) if width else 3
    ends = (interval.low, interval.high)
    while digits < 8 and any(end and not round(end, digits) for end in ends):
        digits += 1
    return min(digits, 8)
