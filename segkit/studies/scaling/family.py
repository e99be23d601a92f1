"""Family of networks by an exponent phi, its sizes S to XL, and the largest within a budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from segkit.errors import UsageError
from segkit.plans.convolutions import convolutions, multiply_adds
from segkit.studies.scaling.budget import TERMS, Budget, costs_by_term, term_text
from segkit.studies.scaling.candidate import Candidate, Frame
from segkit.studies.scaling.compound import Exponents
from segkit.studies.scaling.costs import Cost, Mode, Rates, cost_of
from segkit.studies.scaling.lattice import TOLERANCE, Lattice

SMALLEST, LARGEST = -12.0, 10.0
"""Exponents between which the largest network within a budget is looked for."""
STEP = 1 / 8
"""Precision of the exponent of the largest network."""
BEYOND = 8
"""Number of steps that do not fit after which no larger one is tried: a doubling of the cost."""
UNLIMITED = Budget()


@dataclass(frozen=True)
class Family:
    """Compound family: phi = 0 is about the network that the planner chooses by itself."""

    frame: Frame
    exponents: Exponents
    mode: Mode
    """Settings of its trainings on which their memory depends."""
    channels_per_group: float = 2.0
    """Channels per group at phi = 0; they grow with the width."""
    rates: Rates | None = None
    """Rates of the machine, for costs that depend on it."""

    @cached_property
    def lattice(self) -> Lattice:
        """All candidates."""
        return Lattice(self.frame)

    @cached_property
    def first(self) -> int:
        """Multiply-adds of the planner's own network."""
        return multiply_adds(convolutions(self.frame.plan))

    def target(self, phi: float) -> float:
        """Return the multiply-adds of a window that belong to an exponent."""
        growth: float = self.exponents.growth(len(self.frame.axes)) ** phi
        return self.first * growth

    def member(self, phi: float, budget: Budget = UNLIMITED) -> Candidate | None:
        """Return the network of an exponent; None if none of its cost is within the budget."""
        point = self.exponents.factors(phi)
        return self.lattice.nearest(
            self.target(phi),
            point,
            self.lattice.around(point),
            channels_per_group=self.channels_per_group * point.width,
            accept=lambda candidate: not budget.limits or budget.fits(self.cost(candidate)),
        )

    @cached_property
    def _costs(self) -> dict[Candidate, Cost]:
        return {}

    def cost(self, candidate: Candidate) -> Cost:
        """Return the predicted cost of a candidate."""
        if candidate not in self._costs:
            plan, size = self.frame.plan_of(candidate), self.frame.size
            self._costs[candidate] = cost_of(plan, size=size, mode=self.mode, rates=self.rates)
        return self._costs[candidate]

    @cached_property
    def smallest(self) -> float:
        """The smallest exponent that has a network.

        Raises:
            UsageError: there is none at all.
        """
        low, high = round(SMALLEST / STEP), 0
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.member(middle * STEP) else (middle + 1, high)
        if self.member(low * STEP) is None:
            raise UsageError(
                f"no network of this dataset is within {TOLERANCE:.2f} of the planner's own cost: "
                "give another plan.spacing or network.widths"
            )
        return low * STEP

    def largest(self, budget: Budget) -> float:
        """Return the largest exponent whose network is within a budget.

        It is looked for upwards from phi = 0 if that fits, else downwards. Costs other than
        multiply-adds do not rise with every step, so that some steps beyond one are tried as well.

        Raises:
            UsageError: no network is within the budget; the message names the term.
        """
        found = self._last_within(0.0, budget)
        phi = 0.0
        while found is None and phi > self.smallest:
            phi = max(self.smallest, phi - 1)
            found = self._last_within(phi, budget)
        if found is None:
            raise _nothing_fits(self, budget)
        return found

    def _last_within(self, phi: float, budget: Budget) -> float | None:
        """Return the largest exponent from ``phi`` on before several that do not fit."""
        found, missed = None, 0
        while missed < BEYOND and phi <= LARGEST:
            is_within = self.member(phi, budget) is not None
            found, missed = (phi, 0) if is_within else (found, missed + 1)
            phi += STEP
        return found

    def within(self, phi: float, budget: Budget) -> Candidate:
        """Return the network of an exponent.

        Raises:
            UsageError: none of its cost is within the budget; the message names the term, and what
                is needed.
        """
        found = self.member(phi, budget)
        if found is not None:
            return found
        without = self.member(phi)
        if without is None:
            raise UsageError(
                f"no network has phi={phi:g}: those of this dataset have {self.smallest:g} to "
                f"{LARGEST:g}. Give another budget, or other study.sizes"
            )
        raise _too_little(budget, self.cost(without), f"phi={phi:g}, which")


def _nothing_fits(family: Family, budget: Budget) -> UsageError:
    """Return the error that says what the least demanding network of a family needs."""
    phis = [family.smallest + step for step in range(math.ceil(-family.smallest) + 1)]
    costs = [family.cost(member) for member in map(family.member, phis) if member]
    least = min(costs, key=lambda cost: budget.binding(cost)[1])
    return _too_little(budget, least, "every network of the family: the least demanding one")


def _too_little(budget: Budget, needed: Cost, what: str) -> UsageError:
    """Return the error for a budget that a cost exceeds."""
    term, _ = budget.binding(needed)
    value = costs_by_term(needed)[term] or 0.0
    return UsageError(
        f"budget.{term}={term_text(term, budget.limits[term])} is too little for {what} needs "
        f"{term_text(term, value)} ({TERMS[term]})"
    )
