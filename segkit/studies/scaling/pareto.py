"""Pareto front: what no other point beats in both cost and value."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the numbers of the points on the front, by ascending cost.

    A point is beaten by one that costs no more and is worth no less, and is better in one of them.
    Of equal points all stay.

    >>> pareto_front([(1.0, 0.5), (2.0, 0.4), (3.0, 0.9)])
    [0, 2]

    Args:
        points: cost and value of each; less cost and more value are better.
    """
    order = sorted(range(len(points)), key=lambda number: (points[number][0], -points[number][1]))
    front: list[int] = []
    for number in order:
        cost, value = points[number]
        last = points[front[-1]] if front else None
        if last is None or value > last[1] or (cost, value) == last:
            front.append(number)
    return front
