"""Pareto sets: networks that no other one beats in cost and Dice at once."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_set(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Return the positions of the points that no other one dominates, by cost.

    A point dominates another if it costs no more, scores no less, and differs in one of the two.
    Of points that are equal in both, all are returned.

    >>> pareto_set([1, 2, 3, 3], [0.5, 0.4, 0.7, 0.6])
    [0, 2]
    """
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -scores[i], i))
    kept: list[int] = []
    for position in order:
        best = kept[-1] if kept else None
        is_equal = best is not None and (costs[best], scores[best]) == (
            costs[position],
            scores[position],
        )
        if best is None or is_equal or scores[position] > scores[best]:
            kept.append(position)
    return kept


def fronts(costs: Sequence[float], scores: Sequence[float]) -> list[list[int]]:
    """Return all positions by front: the Pareto set, that of the rest, and so on.

    >>> fronts([1, 2, 3], [0.5, 0.4, 0.7])
    [[0, 2], [1]]
    """
    left, found = list(range(len(costs))), []
    while left:
        front = pareto_set([costs[i] for i in left], [scores[i] for i in left])
        found.append([left[i] for i in front])
        left = [i for i in left if i not in set(found[-1])]
    return found
