"""Order the cases by how odd they are, and say why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from segkit.dataset_check.check import SEVERITIES, Examined
from segkit.dataset_check.outliers import deviation_text, quantities
from segkit.dataset_check.problem import Problem


@dataclass(frozen=True)
class OddCase:
    """A case with all that is odd about it."""

    case: str
    problems: Sequence[Problem]
    """Its problems, and those that it shares with other cases, the worst first."""
    farthest: str
    """Its measurement that is farthest from the other cases, in words; "" if none is known."""
    deviation: float
    """Distance of that measurement from the median, in robust standard deviations."""


def rank_cases(examined: Examined) -> list[OddCase]:
    """Return every case of a dataset, the oddest first.

    Cases with more errors come first, then those with more warnings, then those with more notes;
    among equals, the one whose farthest measurement is farther from the median.
    """
    problems = defaultdict(list)
    for problem in examined.problems:
        for case in (problem.case, *problem.cases):
            problems[case].append(problem)
    texts: dict[str, tuple[float, str]] = {}
    for quantity in quantities(examined.measured):
        for case, deviation in quantity.deviations().items():
            if abs(deviation) > texts.get(case, (0.0, ""))[0]:
                texts[case] = (abs(deviation), deviation_text(quantity, case, deviation))
    cases = [
        OddCase(
            case.id,
            problems[case.id],
            texts.get(case.id, (0.0, ""))[1],
            texts.get(case.id, (0.0, ""))[0],
        )
        for case in examined.measured.dataset.cases
    ]
    return sorted(cases, key=lambda case: (_counts(case.problems), case.deviation), reverse=True)


def _counts(problems: Sequence[Problem]) -> tuple[int, ...]:
    """Return the number of errors, warnings and notes."""
    return tuple(sum(each.severity == severity for each in problems) for severity in SEVERITIES)
