"""Budget of a study of scaling: what the largest network may cost. No torch is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segkit.config.rules import Rule
from segkit.config.study_words import number, setting
from segkit.errors import UsageError
from segkit.units import parse_size, size_text

if TYPE_CHECKING:
    from segkit.studies.scaling.costs import Cost

TERMS = {
    "memory": "memory of a training step",
    "parameters": "parameters",
    "macs": "multiply-adds of a window",
    "seconds": "seconds per scan",
}
"""Costs that a budget can limit, in words."""


@dataclass(frozen=True)
class Budget:
    """Largest cost of each kind; None is no limit."""

    memory: float | None = None
    """Bytes of a training step."""
    parameters: float | None = None
    macs: float | None = None
    """Multiply-adds of one window in prediction."""
    seconds: float | None = None
    """Seconds per scan, without reading and writing."""

    @property
    def limits(self) -> dict[str, float]:
        """Limit by term, those that are given."""
        terms = {name: getattr(self, name) for name in TERMS}
        return {name: float(limit) for name, limit in terms.items() if limit is not None}

    @property
    def exact(self) -> Budget:
        """The limits of exact counts, which hold on every machine."""
        return Budget(parameters=self.parameters, macs=self.macs)

    def used(self, cost: Cost) -> dict[str, float]:
        """Return the share of each limit that a cost takes; more than 1 does not fit.

        Raises:
            ValueError: a limited cost is not known, because the rates of the machine are not.
        """
        costs = costs_by_term(cost)
        shares: dict[str, float] = {}
        for term, limit in self.limits.items():
            value = costs[term]
            if value is None:
                raise ValueError(f"the {TERMS[term]} are not known without rates")
            shares[term] = value / limit
        return shares

    def binding(self, cost: Cost) -> tuple[str, float]:
        """Return the term that comes closest to its limit or exceeds it most, and its share."""
        return max(self.used(cost).items(), key=lambda item: item[1])

    def fits(self, cost: Cost) -> bool:
        """Return whether no limit is exceeded."""
        return self.binding(cost)[1] <= 1


def costs_by_term(cost: Cost) -> Mapping[str, float | None]:
    """Return the costs that a budget can limit, by term."""
    return {
        "memory": cost.memory,
        "parameters": cost.parameters,
        "macs": cost.multiply_adds,
        "seconds": cost.seconds,
    }


def term_text(term: str, value: float) -> str:
    """Return a cost with its unit.

    >>> term_text("memory", 8e9), term_text("macs", 2.5e9), term_text("seconds", 0.5)
    ('8.0 GB', '2.5e+09', '0.5')
    """
    return size_text(value) if term == "memory" else f"{value:.3g}"


def memory_size() -> Rule:
    """Return the rule of a size of memory, or none."""
    return _is_size, "a size such as 8GB, or null"


def _is_size(value: Any) -> bool:
    if value is None:
        return True
    try:
        return isinstance(value, str) and parse_size(value) > 0
    except UsageError:
        return False


def _or_null(rule: Rule) -> Rule:
    is_allowed, words = rule
    return (lambda value: value is None or is_allowed(value)), f"{words}; or null"


@dataclass(frozen=True)
class BudgetSettings:
    """The ``budget.KEY=VALUE`` words of a study; see `Budget`."""

    memory: str | None = setting(
        None, memory_size(), "largest memory of a training step", prefix="budget"
    )
    parameters: float | None = setting(
        None, _or_null(number(1)), "largest number of parameters", prefix="budget"
    )
    macs: float | None = setting(
        None,
        _or_null(number(1)),
        "most multiply-adds of one window in prediction",
        prefix="budget",
    )
    seconds: float | None = setting(
        None, _or_null(number(1e-6)), "most seconds per scan in prediction", prefix="budget"
    )

    @property
    def budget(self) -> Budget:
        """The budget.

        Raises:
            UsageError: no limit is given.
        """
        memory = None if self.memory is None else parse_size(self.memory)
        budget = Budget(memory, self.parameters, self.macs, self.seconds)
        if not budget.limits:
            raise UsageError(
                "no budget is given. Give what the largest network may cost: budget.memory=8GB of a"
                " training step, budget.parameters=, budget.macs= of a window, or budget.seconds="
                " per scan, or several of them"
            )
        return budget
