"""Sentences of the symmetry study, each of which follows from intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from segkit.evaluation.intervals import Interval, extent
from segkit.studies.symmetry.plans import is_matched
from segkit.studies.symmetry.summary import POSES, Question, Results

COUNTS: Mapping[str, str] = {"multiply_adds": "multiply-adds", "parameters": "parameters"}
"""Name of what is counted, by kind of arm."""
OTHERS = {False: "the plain network", True: "the augmented, averaged one"}
"""Name of the other network in a sentence, by whether its predictions are averaged."""


def headline(results: Results) -> list[str]:
    """Return a sentence for each equivariant network and each network it is compared with."""
    questions = results.questions()
    sentences = [
        _sentence(list(part), results)
        for _, part in groupby(questions, key=lambda one: (one.arm, one.other))
    ]
    certain = any(_certain(question) for question in questions)
    if certain and len(results.settings.seeds) == 1:
        sentences.append(
            "With one seed a difference may be due to chance in two trainings: repeat it with "
            "three or more seeds."
        )
    return sentences


def _sentence(questions: Sequence[Question], results: Results) -> str:
    """Return what the questions about one pair of networks say, pose by pose."""
    first = questions[0]
    start = f"{title(first, results.plans.ratio(first.arm))}: "
    findings: dict[str, list[str]] = {}
    for question in questions:
        findings.setdefault(_finding(question), []).append(POSES[question.pose])
    if len(findings) == 1:
        return f"{start}in all kinds of poses, {next(iter(findings))}."
    parts = [f"{' and '.join(poses)}, {finding}" for finding, poses in findings.items()]
    return start + "; ".join(parts) + "."


def title(question: Question, ratio: float) -> str:
    """Return what is compared, such as "mirror with about as many parameters, against ...".

    Args:
        question: the comparison.
        ratio: the count that should be matched, relative to that of the plain network.
    """
    return (
        f"{question.arm.symmetry} with {amount(ratio)} {COUNTS[question.arm.kind]}, against "
        f"{OTHERS[question.other.averaged]}"
    )


def amount(ratio: float) -> str:
    """Return how much a count is of another one.

    >>> amount(1.05), amount(3.7), amount(0.5)
    ('about as many', '3.7 times the', '0.5 times the')
    """
    return "about as many" if is_matched(ratio) else f"{ratio:.2g} times the"


def _finding(question: Question) -> str:
    """Return for which numbers of cases the one or the other is better."""
    found = {count: one for count, one in question.differences.items() if one is not None}
    if not found:
        return "nothing can be compared yet"
    better = {count: one for count, one in found.items() if one.excludes_zero and one.low > 0}
    worse = {count: one for count, one in found.items() if one.excludes_zero and one.high < 0}
    open_ = [count for count in found if count not in {**better, **worse}]
    parts = []
    if better:
        parts.append(f"the equivariant one is better {_with(better)}")
    if worse:
        parts.append(f"{OTHERS[question.other.averaged]} is better {_with(worse)}")
    if open_:
        counts = ", ".join(map(str, open_))
        single = all(found[count].cases == 1 for count in open_)
        parts.append(
            f"no evidence of a difference with {counts} training {_cases(open_[-1])}"
            + (" (measured on one case, which cannot tell)" if single else "")
        )
    if missing := [count for count in question.differences if count not in found]:
        counts = ", ".join(map(str, missing))
        parts.append(f"nothing to compare with {counts} training {_cases(missing[-1])}")
    return ", ".join(parts)


def _with(found: dict[int, Interval]) -> str:
    return " and ".join(
        f"with {count} training {_cases(count)} {extent(one)}" for count, one in found.items()
    )


def _cases(count: int) -> str:
    return "case" if count == 1 else "cases"


def _certain(question: Question) -> bool:
    return any(one and one.excludes_zero for one in question.differences.values())
