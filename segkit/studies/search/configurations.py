"""Configurations of the points of a search: their names, and what they cost of the budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from segkit.errors import UsageError
from segkit.studies.scaling.budget import Budget, costs_by_term
from segkit.studies.scaling.candidate import Candidate, Frame
from segkit.studies.scaling.costs import Cost
from segkit.studies.search.space import Point


@dataclass(frozen=True)
class Configurations:
    """Functions from points to configurations and their costs."""

    frame: Frame
    cost_of: Callable[[Candidate], Cost]
    """Function that predicts the cost of a configuration."""
    budget: Budget

    def candidate(self, point: Point) -> Candidate:
        """Return the configuration of a point.

        Raises:
            UsageError: there is none, because the norms would have too few values.
        """
        values: dict[str, Any] = dict(point)
        return self.frame.candidate(**values)

    def name_of(self, point: Point) -> str:
        """Return the name of the configuration of a point, or its values if there is none."""
        try:
            return self.candidate(point).name
        except UsageError:
            return "impossible: " + ", ".join(f"{axis}={value}" for axis, value in point.items())

    def constraints_of(self, point: Point) -> dict[str, float]:
        """Return by how much of it each limit of the budget is exceeded; 0 or less fits."""
        try:
            cost = self.cost_of(self.candidate(point))
        except UsageError:
            return {"network": 1.0}
        return {term: share - 1 for term, share in self.budget.used(cost).items()}

    def cost(self, candidate: Candidate) -> float:
        """Return the cost that the study compares: the first one that the budget limits."""
        return cost_in_terms(self.cost_of(candidate), main_term(self.budget))


def main_term(budget: Budget) -> str:
    """Return the first cost that a budget limits.

    >>> main_term(Budget(parameters=1e6, macs=1e9))
    'parameters'
    """
    return next(iter(budget.limits))


def cost_in_terms(cost: Cost, term: str) -> float:
    """Return a cost that a budget can limit, by its term."""
    return float(costs_by_term(cost)[term] or 0.0)
