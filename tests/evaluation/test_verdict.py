"""Verdicts claim no more than interval, test and number of cases allow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from segkit.evaluation.differences import Difference, differences_of
from segkit.evaluation.intervals import Interval
from segkit.evaluation.paired import PairedValue
from segkit.evaluation.signed_rank import SignedRank
from segkit.evaluation.verdict import (
    FEW,
    decimals,
    finding,
    p_value,
    sentence_for_a_paper,
    signed,
    verdict,
)


def difference(
    low: float, high: float, *, p: float = 0.001, n: int = 40, metric: str = "dice"
) -> Difference:
    mean = (low + high) / 2
    return Difference(
        "liver",
        metric,
        cases=n,
        mean_a=0.8,
        mean_b=0.8 + mean,
        interval=Interval(mean, low, high, n, 1),
        test=SignedRank(p, n, 0, "exact"),
        p=p,
        tests=1,
        better=n - 1 if mean >= 0 else 1,
        worse=1 if mean >= 0 else n - 1,
        equal=0,
        not_compared={},
    )


def test_a_test_that_points_the_other_way_confirms_nothing() -> None:
    values = [-0.01] * 90 + [0.3] * 10  # B is worse in 90 of 100 cases, and better on average
    rows = [
        PairedValue(str(n), "liver", "dice", 0.5, 0.5 + d, d, "better" if d > 0 else "worse")
        for n, d in enumerate(values)
    ]
    (found,) = differences_of(rows)
    assert found.p < 0.001
    assert found.interval is not None
    assert found.interval.low > 0
    assert (finding(found), found.test.direction) == ("unclear", -1)
    assert verdict(found, "old", "new").startswith(
        "no clear answer: new is better in 10 cases and worse in 90 (p < 0.001), but the mean"
        " difference new - old points the other way: +0.021 (95 % interval"
    )
    assert sentence_for_a_paper(found, "old", "new").endswith(
        "so that neither is shown to be better."
    )


def test_no_evidence_says_how_far_the_interval_reaches() -> None:
    found = difference(-0.004, 0.006, p=0.4)
    assert verdict(found, "old", "new") == (
        "no evidence of a difference: the interval of the difference new - old reaches from -0.004"
        " to +0.006; a difference of more than 0.006 is unlikely"
    )


@pytest.mark.parametrize(
    ("found", "short"),
    [
        (difference(0.01, 0.03), "B better"),
        (difference(-0.03, -0.01), "A better"),
        (difference(0.01, 0.03, metric="hd95_mm"), "A better"),
        (difference(-0.03, -0.01, metric="hd95_mm"), "B better"),
        (difference(0.01, 0.03, p=0.05), "hint: B"),
        (difference(-0.03, -0.01, p=0.2), "hint: A"),
        (difference(-0.001, 0.03, p=0.01), "unclear"),
        (difference(-0.001, 0.03, p=0.3), "no evidence"),
        (difference(0.0, 0.03, p=0.3), "no evidence"),
        (difference(0.01, 0.03, n=FEW - 1), "too few"),
        (difference(0.01, 0.03, n=1), "one cannot tell"),
        (replace(difference(0, 0), better=0, worse=0, equal=40), "equal"),
        (replace(difference(0, 0), interval=None), "nothing to compare"),
    ],
)
def test_findings(found: Difference, short: str) -> None:
    assert finding(found) == short


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (difference(0.01, 0.03), "new is better than old: the mean difference new - old is +0.020"),
        (difference(-0.03, -0.01), "old is better than new: the mean difference"),
        (difference(0.01, 0.03, p=0.2), "a hint that new is better than old, but not enough:"),
        (difference(-0.001, 0.03), "no clear answer: new is better in 39 cases and worse in 1"),
        (difference(0.01, 0.03, n=3), "3 cases are too few to tell; the mean difference is +0.020"),
        (difference(0.01, 0.03, n=1), "one case cannot tell; the mean difference is +0.020"),
        (
            replace(difference(0, 0), better=0, worse=0, equal=40),
            "no difference at all: old and new have equal values in all 40 cases",
        ),
        (replace(difference(0, 0), interval=None), "nothing to compare: no case has a finite"),
    ],
)
def test_words(found: Difference, text: str) -> None:
    assert verdict(found, "old", "new").startswith(text)


def test_equivalence_only_within_a_stated_margin() -> None:
    found = difference(-0.004, 0.006, p=0.4)
    assert "equivalent" not in verdict(found, "A", "B")
    assert verdict(found, "A", "B", margin=0.01).endswith(
        "By the stated margin of 0.01 the two are equivalent: the whole interval lies within it"
    )
    for margin in (0.006, 0.005):
        assert "Equivalence is not shown" in verdict(found, "A", "B", margin=margin)


def test_few_cases_show_no_equivalence() -> None:
    found = difference(0.001, 0.001, n=2)  # a constant difference: the interval is a point
    assert "equivalent" not in verdict(found, "A", "B", margin=0.01)
    assert "equivalence" not in sentence_for_a_paper(found, "A", "B", margin=0.01)


def test_sentence_for_a_paper() -> None:
    found = replace(
        difference(0.01, 0.03, p=0.004),
        tests=3,
        cases=52,
        test=SignedRank(0.001, 38, 2, "exact"),
        together="labels",
    )
    assert sentence_for_a_paper(found, "old", "new", unit="patient") == (
        "On 40 patients (52 scans), the mean dice of liver was 0.800 for old and 0.820 for new"
        " (mean paired difference +0.020, 95 % confidence interval +0.010 to +0.030 by a bootstrap"
        " over patients with 10000 resamples; two-sided Wilcoxon signed-rank test, exact, n = 38,"
        " 2 differences of zero left out, p = 0.004 after Holm's correction for 3 labels)."
    )
    weak = difference(-0.004, 0.006, p=0.4)
    assert sentence_for_a_paper(weak, "old", "new").endswith(
        "p = 0.40). This is no evidence of a difference between old and new."
    )
    assert sentence_for_a_paper(replace(weak, interval=None), "old", "new") == ""


def test_no_end_of_an_interval_is_rounded_to_zero() -> None:
    assert decimals(Interval(0.1, 0.0004, 0.2, 9, 1)) == 4
    assert signed(0.0, Interval(0.0, 0.0, 0.0, 9, 1)) == "0.000"


def test_equal_differences_do_not_get_eight_decimals() -> None:
    found = difference(-0.039855000001, -0.039854999999)
    assert "the mean difference new - old is -0.03986 (" in verdict(found, "old", "new")
    assert decimals(Interval(-0.04, -0.04, -0.04, 40, 1)) == 5
    assert decimals(Interval(0.0, 0.0, 0.0, 40, 1)) == 3


def test_a_p_value_is_never_zero() -> None:
    assert p_value(1e-12) == "< 0.001"
