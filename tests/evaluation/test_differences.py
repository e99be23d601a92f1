"""Mean differences with interval and test, on numbers that can be worked out by hand."""

from __future__ import annotations

import pytest
from scipy import stats

from segkit.evaluation.differences import Difference, differences_of
from segkit.evaluation.measure import LabelResult
from segkit.evaluation.paired import paired_values
from segkit.evaluation.signed_rank import holm

A = (0.80, 0.70, 0.60, 0.90, 0.50, 0.75, 0.65, 0.85)
B = (0.82, 0.71, 0.66, 0.89, 0.58, 0.75, 0.70, 0.88)
"""Differences +2 +1 +6 -1 +8 0 +5 +3 hundredths: sum 24, mean 3; the ranks of the seven that are
not zero are 3 1.5 6 1.5 7 5 4, and those of negative ones have the sum 1.5."""


def differences(
    a: tuple[float, ...],
    b: tuple[float, ...],
    labels: tuple[str, ...] = ("liver",),
    patients: dict[str, str] | None = None,
) -> list[Difference]:
    parts = [
        {
            f"c{i}": {label: LabelResult("both", {"dice": value}) for label in labels}
            for i, value in enumerate(values)
        }
        for values in (a, b)
    ]
    return differences_of(paired_values(*parts), patients)


def test_by_hand_and_as_in_scipy() -> None:
    (found,) = differences(A, B)
    assert found.interval is not None
    assert found.interval.mean == pytest.approx(0.03)
    assert (found.mean_a, found.mean_b) == (pytest.approx(5.75 / 8), pytest.approx(5.99 / 8))
    assert (found.better, found.worse, found.equal, found.cases) == (6, 1, 1, 8)
    # Of the 128 assignments of signs, 3 have a negative sum of 1.5 or less: none, or one of the
    # two ranks of 1.5. Both tails together are 6.
    assert found.p == found.test.p == 6 / 128
    moved = [2, 1, 6, -1, 8, 5, 3]
    assert found.p == stats.wilcoxon(moved, method=stats.PermutationMethod()).pvalue
    assert (found.test.n, found.test.zeros, found.test.method) == (7, 1, "exact")
    # Student's t with 7 degrees of freedom is 2.365, and the variance of the hundredths is 68 / 7.
    half = 2.365 * (68 / 7) ** 0.5 / 100 / 8**0.5
    assert found.interval.low == pytest.approx(0.03 - half, abs=2e-3)
    assert found.interval.high == pytest.approx(0.03 + half, abs=2e-3)


def test_several_labels_are_corrected_and_their_mean_is_not() -> None:
    liver, spleen, mean = differences(A, B, ("liver", "spleen"))
    assert [liver.p, spleen.p] == holm([6 / 128, 6 / 128])
    assert (liver.p, liver.tests, liver.test.p) == (12 / 128, 2, 6 / 128)
    assert (mean.label, mean.p, mean.tests) == ("mean", 6 / 128, 1)


def test_a_label_without_values_is_no_test() -> None:
    rows = paired_values(
        {"c": {"x": LabelResult("both", {"dice": 0.5}), "y": LabelResult("both", {})}},
        {"c": {"x": LabelResult("both", {"dice": 0.7}), "y": LabelResult("both", {"dice": 0.0})}},
    )
    x, y, _ = differences_of(rows)
    assert (x.tests, y.tests, y.cases, y.interval) == (1, 1, 0, None)
    assert (x.not_compared, y.not_compared) == ({}, {"undefined in A": 1})


def test_scans_of_one_patient_are_one_piece_of_evidence() -> None:
    patients = {f"c{i}": f"p{i // 2}" for i in range(6)}  # c6 and c7 have no known patient
    (found,) = differences(A, B, patients=patients)
    # Patients +1.5 +2.5 +4, and the cases +5 +3: all five of one sign.
    assert (found.cases, found.units, found.test.n, found.p) == (8, 5, 5, 2 / 32)
    (alone,) = differences(A, B)
    assert found.interval is not None
    assert alone.interval is not None
    assert found.interval.mean == pytest.approx(alone.interval.mean)


def test_equal_values_are_no_evidence() -> None:
    (found,) = differences(A, A)
    assert found.interval is not None
    assert (found.interval.low, found.interval.mean, found.interval.high) == (0.0, 0.0, 0.0)
    assert (found.p, found.test.n, found.test.zeros, found.equal) == (1.0, 0, 8, 8)


def test_a_constant_difference() -> None:
    (found,) = differences(A, tuple(value + 0.1 for value in A))
    assert found.interval is not None
    assert found.interval.low == pytest.approx(0.1)
    assert found.interval.low <= found.interval.mean <= found.interval.high
    assert found.p == 2 / 2**8
