"""The verdict of the study: questions and answers, each sentence derived from an interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from segkit.studies.intervals import verdict
from segkit.studies.tickets.curves import (
    DICE,
    MARGIN,
    ONE_SHOT,
    PRUNED,
    Arm,
    Comparison,
    Curves,
    against_controls,
    against_dense,
    losses_between_norms,
    smallest_without_loss,
)
from segkit.studies.tickets.levels import TICKET

CONTROL_NAMES = {
    "random": "random weights of the same layers",
    "reinit": "the same mask on new initial weights",
    "finetune": "the same mask on the trained weights",
}
"""Name of each control in a sentence."""


@dataclass(frozen=True)
class Answer:
    """A question and its answers, one sentence each, with the comparisons behind them."""

    question: str
    sentences: tuple[str, ...]
    comparisons: tuple[Comparison, ...] = ()


def answers(curves: Curves, norms: Sequence[str], controls: Sequence[str]) -> list[Answer]:
    """Return the answers to every question that the finished trainings can answer."""
    found = [_how_small(curves, norms), _why(curves, norms, controls)]
    found += [
        _between_norms(curves, norms, question, measure, level)
        for question, measure, level in (
            ("Do tickets lose less Dice with one norm than with another?", DICE, 0),
            ("Right after pruning one level, before training again?", PRUNED, None),
            ("Right after pruning the dense network at once?", ONE_SHOT, 0),
        )
    ]
    return [answer for answer in found if answer.sentences]


def percent(share: float) -> str:
    """Return a share of the weights in percent.

    >>> percent(0.8), percent(0.0859), percent(1.0), percent(0.004)
    ('80 %', '8.6 %', '100 %', '0.4 %')
    """
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 else f"{value:.1f} %"


def _how_small(curves: Curves, norms: Sequence[str]) -> Answer:
    """How far can the network be pruned?"""
    comparisons = {norm: against_dense(curves, norm) for norm in norms}
    sentences = [_smallest(norm, found, curves) for norm, found in comparisons.items() if found]
    return Answer(
        "How small may a ticket be?",
        tuple(sentences),
        tuple(comparison for found in comparisons.values() for comparison in found),
    )


def _smallest(norm: str, comparisons: Sequence[Comparison], curves: Curves) -> str:
    smallest = smallest_without_loss(comparisons)
    dense = curves.interval(Arm(norm, TICKET, 0))
    start = norm if dense is None else f"{norm}, dense {dense.mean:.3f}"
    if smallest is None:
        first = comparisons[0]
        return (
            f"{start}: a loss of more than {MARGIN} Dice cannot be excluded for any ticket; at "
            f"{percent(first.remaining)} of the weights the difference from the dense network is "
            f"{_range(first)}."
        )
    return (
        f"{start}: down to {percent(smallest.remaining)} of the weights no level loses more than "
        f"{MARGIN} Dice; there the difference from the dense network is {_range(smallest)}."
    )


def _why(curves: Curves, norms: Sequence[str], controls: Sequence[str]) -> Answer:
    """Is a ticket better than its controls?"""
    comparisons = [
        comparison for norm in norms for comparison in against_controls(curves, norm, controls)
    ]
    sentences = (
        f"{comparison.norm}, {percent(comparison.remaining)} of the weights: "
        f"{verdict(comparison.difference, 'the ticket', CONTROL_NAMES[comparison.b])}."
        for comparison in comparisons
    )
    return Answer("Is the ticket better than its controls?", tuple(sentences), tuple(comparisons))


def _between_norms(
    curves: Curves, norms: Sequence[str], question: str, measure: str, level: int | None
) -> Answer:
    comparisons = [
        comparison
        for pair in combinations(norms, 2)
        for comparison in losses_between_norms(curves, pair, measure, reference_level=level)
    ]
    return Answer(question, tuple(_norm_sentences(comparisons)), tuple(comparisons))


def _norm_sentences(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield a sentence per pair of norms on the sparsest level, and on levels that differ."""
    for pair in dict.fromkeys(comparison.norm for comparison in comparisons):
        of_pair = [comparison for comparison in comparisons if comparison.norm == pair]
        last = of_pair[-1]
        yield (
            f"{percent(last.remaining)} of the weights, by the Dice that is lost: "
            f"{verdict(last.difference, last.a, last.b, higher_is_better=False)}."
        )
        differ = [each for each in of_pair if each.difference.excludes_zero]
        for name, better in ((last.a, True), (last.b, False)):
            levels = [each for each in differ if (each.difference.mean < 0) is better]
            if levels:
                shares = ", ".join(percent(each.remaining) for each in levels)
                yield f"{name} loses less Dice ({pair}) at {shares} of the weights."


def _range(comparison: Comparison) -> str:
    difference = comparison.difference
    return f"{difference.low:+.3f} to {difference.high:+.3f}"
