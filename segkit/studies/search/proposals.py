"""Proposals of a search: each a pure function of the seed, its number and the results before it.

Optuna's samplers hold random numbers in memory, so that a study that is continued by another
process goes on differently. Here every proposal is made by a new sampler with a seed of its own, in
a study in memory that holds exactly the results that this proposal may depend on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from segkit.studies.search.optuna_parts import (
    Direction,
    SamplerName,
    distributions_of,
    load_optuna,
    new_study,
)
from segkit.studies.search.space import Point, Space

PATIENCE = 50
"""Number of proposals of TPE for one point, all known or over budget, until random ones follow."""
STARTUP = 10
"""Number of points with results before TPE proposes any; until then they are random."""


@dataclass(frozen=True)
class Known:
    """Point that a proposal can depend on, with its result as far as there is one."""

    point: Point
    values: tuple[float, ...] | None = None
    """Value of each objective; None if it is still to be trained, or does not fit the budget."""
    constraints: Mapping[str, float] = field(default_factory=dict)
    """How much it exceeds each limit; 0 or less where it fits."""

    @property
    def fits(self) -> bool:
        """True if no limit is exceeded."""
        return all(value <= 0 for value in self.constraints.values())


@dataclass(frozen=True)
class Proposer:
    """Makes proposals: where, for which objectives, and how."""

    space: Space
    directions: tuple[Direction, ...]
    seed: int
    sampler: SamplerName = "tpe"
    startup: int = STARTUP

    def propose(self, number: int, attempt: int, known: Sequence[Known]) -> dict[str, Any]:
        """Return a point.

        Args:
            number: number of the point, from 0.
            attempt: how many proposals for this number did not fit or were known already.
            known: all points that it depends on, in their order.
        """
        study = new_study(self.directions, self._sampler(number, attempt, known))
        distributions = distributions_of(self.space)
        study.add_trials([_trial(each, distributions) for each in known])
        point: dict[str, Any] = study.ask(distributions).params
        return point

    def _sampler(self, number: int, attempt: int, known: Sequence[Known]) -> Any:
        samplers = load_optuna().samplers
        seed = proposal_seed(self.seed, number, attempt)
        with_results = sum(each.values is not None for each in known)
        is_startup = with_results < self.startup or attempt >= PATIENCE
        if self.sampler == "random" or is_startup:
            return samplers.RandomSampler(seed)
        return samplers.TPESampler(seed=seed, n_startup_trials=1)


def proposal_seed(seed: int, number: int, attempt: int) -> int:
    """Return the seed of a proposal's sampler, different for every number and attempt.

    >>> proposal_seed(0, 1, 2) == proposal_seed(0, 1, 2) != proposal_seed(0, 2, 1)
    True
    """
    text = f"segkit search {seed} {number} {attempt}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _trial(known: Known, distributions: Mapping[str, Any]) -> Any:
    """Return a point as a trial: complete, pruned if it does not fit, or else running."""
    trial = load_optuna().trial
    state = trial.TrialState.COMPLETE
    if known.values is None:
        state = trial.TrialState.RUNNING if known.fits else trial.TrialState.PRUNED
    return trial.create_trial(
        state=state,
        values=known.values,
        params=dict(known.point),
        distributions=dict(distributions),
        constraints=dict(known.constraints) or None,
    )
