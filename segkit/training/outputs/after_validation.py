"""Measurements on validation cases after the last step, as far as there is time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.compute.distributed import Ranks
from segkit.training.signals import StopRequest
from segkit.training.time_budget import VALIDATING, Budget

T = TypeVar("T")


class AfterValidation:
    """Measures validation cases, which ranks share, until time is out or a signal arrives."""

    def __init__(
        self,
        plan: Plan,
        cases: Sequence[PreparedCase],
        *,
        budget: Budget,
        stop: StopRequest,
        ranks: Ranks,
    ) -> None:
        """Prepare to measure ``cases``.

        Args:
            plan: the plan of the network.
            cases: validation cases of all ranks.
            budget: the time that there is.
            stop: a signal to this process ends the measurement after the current case.
            ranks: processes that share the cases.
        """
        self.plan, self.budget, self.stop, self.ranks = plan, budget, stop, ranks
        self.own_cases = cases[ranks.number :: ranks.count]

    def measure_each(
        self,
        cases: Iterable[PreparedCase],
        measure: Callable[[PreparedCase], T],
        *,
        relative_time: Callable[[PreparedCase], float],
        left: Callable[[], float],
    ) -> dict[str, T]:
        """Measure cases of this rank until time is out, and return those of all ranks by id.

        All ranks call this together.

        Args:
            cases: cases of this rank.
            measure: measures one case.
            relative_time: time to measure a case, in times of a validation case.
            left: returns the seconds that are left.
        """
        found: dict[str, T] = {}
        with self.budget.timing.part(VALIDATING):
            for case in cases:
                seconds = relative_time(case) * self.budget.case_seconds()
                if self.stop.received or left() < seconds:
                    break
                found[case.id] = measure(case)
        return self.ranks.merged(found)
