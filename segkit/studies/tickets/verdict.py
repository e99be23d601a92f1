"""The verdict of the study: questions and answers, each sentence derived from an interval."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from segkit.studies.tickets.curves import (
    DICE,
    MARGIN,
    ONE_SHOT,
    ONE_SHOT_RECALIBRATED,
    PRUNED,
    PRUNED_RECALIBRATED,
    Arm,
    Comparison,
    Curves,
    Rows,
    against_controls,
    against_dense,
    losses_between_norms,
    recalibrated,
    smallest_without_loss,
    spread_left,
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


def answers(
    curves: Curves, norms: Sequence[str], controls: Sequence[str], activations: Rows = ()
) -> list[Answer]:
    """Return the answers to every question that the finished trainings can answer.

    Args:
        curves: Dice of the study.
        norms: norms of the study, in order.
        controls: kinds of controls.
        activations: rows of activations.csv.
    """
    found = [_how_small(curves, norms), _why(curves, norms, controls)]
    found += [
        _between_norms(curves, norms, question, measure, level)
        for question, measure, level in (
            ("Do tickets lose less Dice with one norm than with another?", DICE, 0),
            ("Right after pruning one level, before training again?", PRUNED, None),
            ("Right after pruning the dense network at once?", ONE_SHOT, 0),
        )
    ]
    found += [_recalibrated(curves, norms), _spread(activations, norms, curves)]
    found.append(_of_one_seed(found))
    return [answer for answer in found if answer.sentences]


def _of_one_seed(found: Sequence[Answer]) -> Answer:
    """Return a reservation if the answers rest on one seed."""
    seeds = {each.difference.seeds for answer in found for each in answer.comparisons}
    text = (
        "With one seed a difference, or its absence, may be due to chance in two trainings: repeat "
        "it with three or more seeds."
    )
    return Answer("What do these answers leave out?", (text,) if seeds == {1} else ())


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
    short = (
        " The dense network is worse than its ticket: longer trainings may turn this around."
        if smallest.difference.low > MARGIN
        else ""
    )
    return (
        f"{start}: down to {percent(smallest.remaining)} of the weights no level loses more than "
        f"{MARGIN} Dice; there the difference from the dense network is {_range(smallest)}.{short}"
    )


def _why(curves: Curves, norms: Sequence[str], controls: Sequence[str]) -> Answer:
    """Is a ticket better than its controls?"""
    comparisons = [
        comparison for norm in norms for comparison in against_controls(curves, norm, controls)
    ]
    sentences = [
        f"{norm}: {_by_outcome(found, 'the ticket', CONTROL_NAMES[kind])}"
        for norm in norms
        for kind in controls
        if (found := [each for each in comparisons if (each.norm, each.b) == (norm, kind)])
    ]
    return Answer("Is the ticket better than its controls?", tuple(sentences), tuple(comparisons))


def _between_norms(
    curves: Curves, norms: Sequence[str], question: str, measure: str, level: int | None
) -> Answer:
    pairs = {
        pair: losses_between_norms(curves, pair, measure, reference_level=level)
        for pair in combinations(norms, 2)
    }
    return Answer(
        question,
        tuple(_by_outcome(found, *pair, is_loss=True) for pair, found in pairs.items() if found),
        tuple(comparison for found in pairs.values() for comparison in found),
    )


def _recalibrated(curves: Curves, norms: Sequence[str]) -> Answer:
    """Is it the running statistics that pruning breaks?"""
    kinds = (
        ("one level pruned", PRUNED_RECALIBRATED, PRUNED),
        ("the dense network pruned at once", ONE_SHOT_RECALIBRATED, ONE_SHOT),
    )
    sentences, comparisons = [], []
    for norm in norms:
        for name, measure, stored in kinds:
            found = recalibrated(curves, norm, measure, stored)
            comparisons += found
            if found:
                text = _by_outcome(
                    found, "the network with new statistics", "that with the stored ones"
                )
                sentences.append(f"{norm}, {name}: {text}")
    question = "Right after pruning, does measuring the running statistics anew help?"
    return Answer(question, tuple(sentences), tuple(comparisons))


def _spread(rows: Rows, norms: Sequence[str], curves: Curves) -> Answer:
    """How much of the activations' spread do the norms bring back, at the sparsest level?"""
    sentences = []
    for norm in norms:
        before, after = (
            spread_left(rows, norm, f"{side} the norm", "one_shot") for side in ("before", "after")
        )
        level = max(before, default=0)
        if level in after and level in curves.remaining:
            share = percent(curves.remaining[level])
            sentences.append(
                f"{norm}: at {share} of the weights {_times(before[level].values())} of the "
                f"standard deviation is left before the norms, {_times(after[level].values())} "
                "after them (geometric mean over layers)."
            )
    question = "What does pruning the dense network at once do to its activations?"
    return Answer(question, tuple(sentences))


def _times(seeds: Collection[float]) -> str:
    """Return the mean over seeds of a ratio, with its range.

    >>> _times([0.5]), _times([0.25, 0.5])
    ('0.50', '0.38 (0.25 to 0.50)')
    """
    mean = f"{fmean(seeds):.2f}"
    return mean if len(seeds) == 1 else f"{mean} ({min(seeds):.2f} to {max(seeds):.2f})"


def _by_outcome(comparisons: Sequence[Comparison], a: str, b: str, *, is_loss: bool = False) -> str:
    """Return one sentence on all levels: where ``a`` is better, where ``b``, and where neither.

    Args:
        comparisons: comparisons of a and b, from dense to sparse.
        a: name of the first.
        b: name of the second.
        is_loss: whether the values are losses of Dice instead of Dice.
    """
    better = "loses less Dice than" if is_loss else "is better than"
    parts = []
    for name, other, sign in ((a, b, -1 if is_loss else 1), (b, a, 1 if is_loss else -1)):
        won = [
            each
            for each in comparisons
            if each.difference.excludes_zero and sign * each.difference.mean > 0
        ]
        if won:
            where = ", ".join(f"{percent(each.remaining)} {_extent(each)}" for each in won)
            parts.append(f"{name} {better} {other} at {where} of the weights")
    open_ = [each for each in comparisons if not each.difference.excludes_zero]
    if open_:
        where = ", ".join(f"{percent(each.remaining)} {_extent(each)}" for each in open_)
        parts.append(f"no evidence of a difference between {a} and {b} at {where} of the weights")
    cases, seeds = (
        _span([getattr(each.difference, name) for each in comparisons])
        for name in ("cases", "seeds")
    )
    return f"{'; '.join(parts)}. Cases: {cases}, seeds: {seeds}."


def _span(numbers: Sequence[int]) -> str:
    """Return a number, or the range of several: a training may have failed at one level.

    >>> _span([3, 3]), _span([3, 2])
    ('3', '2 to 3')
    """
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _extent(comparison: Comparison) -> str:
    """Return how large a difference is, in parentheses."""
    difference = comparison.difference
    if difference.cases == 1:
        return f"({difference.mean:+.3f} in one case, which cannot tell)"
    if not difference.excludes_zero:
        return f"({_range(comparison)})"
    least, most = sorted((abs(difference.low), abs(difference.high)))
    return f"(by {least:.3f} to {most:.3f})"


def _range(comparison: Comparison) -> str:
    difference = comparison.difference
    return f"{difference.low:+.3f} to {difference.high:+.3f}"
