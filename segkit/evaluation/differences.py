"""Mean paired difference of each label and metric, with its interval and a signed-rank test."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.correction import PlannedTest, Together, corrected
from segkit.evaluation.intervals import Interval, mean_interval
from segkit.evaluation.paired import PairedValue, is_higher_better, limits_of_difference, rounded
from segkit.evaluation.signed_rank import SignedRank, signed_rank


@dataclass(frozen=True)
class Difference:
    """Mean paired difference of one label and metric, B minus A."""

    label: str
    metric: str
    cases: int
    """Number of cases with a finite value of both."""
    mean_a: float | None
    """Mean over these cases; None without any."""
    mean_b: float | None
    interval: Interval | None
    """Mean difference with its 95 % interval; its ``cases`` are patients where they are known."""
    test: SignedRank
    """Test over the same patients or cases."""
    p: float
    """p value of the test, corrected for the tests beside it (`segkit.evaluation.correction`)."""
    tests: int
    """Number of tests that p was corrected for; 1 if it was not."""
    better: int
    """Number of cases in which B is better than A."""
    worse: int
    equal: int
    not_compared: dict[str, int]
    """Number of cases that are left out, by reason; of MEAN, of cases and labels."""
    together: Together = "main"
    """With which tests p was corrected."""

    @property
    def higher_is_better(self) -> bool:
        """True if a larger value of the metric is better."""
        return is_higher_better(self.metric)

    @property
    def units(self) -> int:
        """Number of patients, or of cases where none are known, that the interval rests on."""
        return self.interval.cases if self.interval else 0


def differences_of(
    rows: Sequence[PairedValue], patients: Mapping[str, str] | None = None
) -> list[Difference]:
    """Return the difference of every metric of every label, metric by metric.

    All p values but that of the main result are corrected; see `segkit.evaluation.correction`.

    Args:
        rows: values of both in every case.
        patients: patient of each case; a case without one counts as a patient of its own.
    """
    groups: dict[str, dict[str, list[PairedValue]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        groups[row.metric][row.label].append(row)
    found: list[Difference] = []
    for by_label in groups.values():
        labels = [label for label in by_label if label != MEAN]
        found += [_difference(by_label[label], patients or {}) for label in labels]
        if MEAN in by_label:
            left_out = _left_out([row for name in labels for row in by_label[name]])
            mean = _difference(by_label[MEAN], patients or {})
            found.append(replace(mean, not_compared=left_out))
    return _corrected(found)


def _difference(rows: Sequence[PairedValue], patients: Mapping[str, str]) -> Difference:
    """Return the difference of one label and metric, whose p value is not yet corrected."""
    first = rows[0]
    by_case = {row.case: row.difference for row in rows if row.difference is not None}
    interval = mean_interval(
        {(case, 0): value for case, value in by_case.items()},
        limits=limits_of_difference(first.metric),
        patients=patients,
    )
    changes = Counter(row.change for row in rows)
    test = signed_rank(_by_patient(by_case, patients))
    compared = [row for row in rows if row.difference is not None]
    return Difference(
        first.label,
        first.metric,
        cases=len(compared),
        mean_a=_mean([row.a for row in compared]),
        mean_b=_mean([row.b for row in compared]),
        interval=interval,
        test=test,
        p=test.p,
        tests=1,
        better=changes["better"],
        worse=changes["worse"],
        equal=changes["equal"],
        not_compared=_left_out(rows),
    )


def _left_out(rows: Sequence[PairedValue]) -> dict[str, int]:
    """Return the number of rows that are not compared, by reason."""
    return dict(Counter(row.note for row in rows if row.change == "not compared"))


def _by_patient(by_case: Mapping[str, float], patients: Mapping[str, str]) -> list[float]:
    """Return the mean difference of each patient.

    >>> _by_patient({"x1": 0.25, "x2": 0.75, "y": 1.0}, {"x1": "x", "x2": "x"})
    [0.5, 1.0]
    """
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for case, value in by_case.items():
        patient = patients.get(case)
        groups[("patient", patient) if patient else ("case", case)].append(value)
    means = [math.fsum(values) / len(values) for values in groups.values()]
    return rounded(means, max(map(abs, means), default=0.0))


def _corrected(found: Sequence[Difference]) -> list[Difference]:
    """Return differences with corrected p values; those without cases are no tests."""
    tests = [
        PlannedTest(each.label, each.metric, each.test.p if each.cases else None) for each in found
    ]
    return [
        replace(each, p=new.p, tests=new.tests, together=new.together)
        for each, new in zip(found, corrected(tests), strict=True)
    ]


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None]
    return math.fsum(finite) / len(finite) if finite else None
