"""Successive fidelity: all points are trained for few steps, and the better half for twice as many.

Successive halving (Jamieson and Talwalkar 2016) over networks. A longer training starts from the
first step, because the learning rate decays over the steps of a training: the last ones are those
that ``segkit train`` would do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from segkit.studies.scaling.pareto import pareto_front


@dataclass(frozen=True)
class Scored:
    """A configuration with its result at some number of steps."""

    name: str
    dice: float
    """Mean Dice on the cases for choosing."""
    cost: float


def rung_steps(steps: int, rungs: int) -> list[int]:
    """Return the steps of each rung; the last one has all of them.

    >>> rung_steps(600, 3)
    [150, 300, 600]
    """
    return [max(1, math.ceil(steps / 2 ** (rungs - 1 - rung))) for rung in range(rungs)]


def ranked(points: Sequence[Scored], *, by_front: bool) -> list[Scored]:
    """Return points from the best to the worst.

    Args:
        points: the points.
        by_front: whether cost is an objective too: then points are ordered by Pareto front, and
            within a front by Dice; else by Dice alone. Equal ones keep the order of their names.
    """
    ordered = sorted(points, key=lambda point: (-point.dice, point.cost, point.name))
    if not by_front:
        return ordered
    groups = fronts([(point.cost, point.dice) for point in ordered])
    return [ordered[number] for group in groups for number in group]


def fronts(points: Sequence[tuple[float, float]]) -> list[list[int]]:
    """Return the numbers of all points by front: the Pareto front, that of the rest, and so on.

    >>> fronts([(1, 0.5), (2, 0.4), (3, 0.7)])
    [[0, 2], [1]]

    Args:
        points: cost and value of each.
    """
    left, found = list(range(len(points))), []
    while left:
        front = {left[number] for number in pareto_front([points[each] for each in left])}
        found.append(sorted(front))
        left = [number for number in left if number not in front]
    return found


def better_half(points: Sequence[Scored], *, by_front: bool) -> list[Scored]:
    """Return the better half of the points, the larger one of an odd number."""
    return ranked(points, by_front=by_front)[: math.ceil(len(points) / 2)]


def trainings_per_rung(points: int, rungs: int) -> list[int]:
    """Return how many points each rung trains.

    >>> trainings_per_rung(20, 3)
    [20, 10, 5]
    """
    counts = [points]
    for _ in range(rungs - 1):
        counts.append(math.ceil(counts[-1] / 2))
    return counts
