"""Results of a search: the chosen configuration, its comparison with the baselines, in words.

Choosing uses the cases for choosing, everything quoted the other ones (`choice`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from scipy.stats import spearmanr

from segkit.evaluation.intervals import (
    SHARE,
    SHARE_DIFFERENCE,
    Interval,
    Values,
    mean_interval,
    paired_difference,
    shared_level,
    verdict,
)
from segkit.studies.cells import CellResult
from segkit.studies.scaling.candidate import Candidate
from segkit.studies.scaling.pareto import pareto_front
from segkit.studies.search.choice import QUOTE
from segkit.studies.search.importance import Importance, importances
from segkit.studies.search.phases import Arm, Outcome
from segkit.studies.search.points import SEARCH, case_dice, chosen_dice
from segkit.studies.search.space import Space

ARM_NAMES = {
    SEARCH: "the search",
    "random": "random search",
    "uniform": "uniform scaling",
    "flat": "flat widths",
}
"""Each arm as it is called in sentences."""


@dataclass(frozen=True)
class Finalist:
    """A configuration that was trained with all seeds."""

    name: str
    arm: str
    """The arm that found it."""
    choose: float
    """Mean Dice over seeds on the cases for choosing."""
    quoted: Interval
    """Mean Dice on the cases for quoting."""
    values: Values
    """The same by case and seed."""

    @property
    def seed_means(self) -> list[float]:
        """Mean quoted Dice of each seed."""
        by_seed: dict[int, list[float]] = {}
        for (_, seed), value in self.values.items():
            by_seed.setdefault(seed, []).append(value)
        return [float(np.mean(values)) for values in by_seed.values()]


@dataclass(frozen=True)
class Trained:
    """A configuration that was trained for all steps with the first seed."""

    name: str
    arm: str
    cost: float
    choose: float
    quoted: float


@dataclass(frozen=True)
class Summary:
    """Results of a study."""

    outcome: Outcome
    costs: Mapping[str, float]
    """Compared cost of each configuration by name."""
    space: Space

    @cached_property
    def finalists(self) -> list[Finalist]:
        """Finalists with a result for some seed, the best on the cases for choosing first."""
        found = [self._finalist(name, arm) for name, arm in self.outcome.finalists.items()]
        kept = [each for each in found if each is not None]
        return sorted(kept, key=lambda each: (-each.choose, each.name))

    @property
    def chosen(self) -> Finalist | None:
        """The best finalist of the search on the cases for choosing."""
        return next((each for each in self.finalists if each.arm == SEARCH), None)

    @property
    def chosen_candidate(self) -> Candidate | None:
        """Its configuration."""
        return None if self.chosen is None else self.outcome.candidates[self.chosen.name]

    def best_of(self, arm: Arm) -> Finalist | None:
        """Return the finalist that is the best of an arm; it may be one of the search, too."""
        own = [each for each in self.finalists if each.name in arm.rungs[-1].results]
        return next(iter(own), None)

    @property
    def comparisons(self) -> list[tuple[Arm, Interval | None]]:
        """The quoted Dice of the chosen configuration minus that of the best of each other arm."""
        if self.chosen is None:
            return []
        others = [arm for arm in self.outcome.arms if arm.name != SEARCH]
        level = shared_level(len(others))
        found = []
        for arm in others:
            best = self.best_of(arm)
            values = best.values if best else {}
            difference = paired_difference(
                self.chosen.values, values, level=level, limits=SHARE_DIFFERENCE
            )
            found.append((arm, difference))
        return found

    def verdicts(self) -> list[str]:
        """Return what follows from the intervals, in sentences."""
        if self.chosen is None:
            return ["No configuration of the search has a result: nothing can be chosen."]
        sentences = []
        for arm, difference in self.comparisons:
            best, name = self.best_of(arm), ARM_NAMES[arm.name]
            if best is None:
                sentences.append(f"No network of {name} has a result.")
            elif best.name == self.chosen.name:
                sentences.append(f"The best network of {name} is the chosen one.")
            else:
                text = verdict(difference, "the chosen network", f"the best of {name}")
                sentences.append(f"{text[0].upper()}{text[1:]}.")
        return sentences

    @cached_property
    def trained(self) -> list[Trained]:
        """Every configuration that was trained for all steps, once for each arm that has it."""
        rows = []
        for arm in self.outcome.arms:
            for name, result in arm.rungs[-1].results.items():
                choose, quoted = chosen_dice(result), _mean(case_dice(result, QUOTE))
                if choose is not None and quoted is not None:
                    rows.append(Trained(name, arm.name, self.costs[name], choose, quoted))
        return rows

    @cached_property
    def pareto(self) -> list[Trained]:
        """The Pareto set of all of them, by quoted Dice and cost."""
        unique = list({row.name: row for row in reversed(self.trained)}.values())
        kept = pareto_front([(row.cost, row.quoted) for row in unique])
        return [unique[position] for position in kept]

    def _finalist(self, name: str, arm: str) -> Finalist | None:
        results: dict[int, CellResult] = {
            seed: result for (own, seed), result in self.outcome.seeds.items() if own == name
        }
        choose = [dice for result in results.values() if (dice := chosen_dice(result)) is not None]
        values = {
            (case, seed): dice
            for seed, result in results.items()
            for case, dice in case_dice(result, QUOTE).items()
        }
        quoted = mean_interval(values, limits=SHARE)
        if not choose or quoted is None:
            return None
        return Finalist(name, arm, float(np.mean(choose)), quoted, values)


def importance_of_axes(summary: Summary) -> list[Importance] | str:
    """Return the importance of the axes for the Dice of the first rung, or why not."""
    arms = [arm for arm in summary.outcome.arms if arm.records]
    by_name = {}
    for arm in arms:
        for record in arm.records:
            if record.state == "done" and record.values:
                by_name[record.name] = (record.point, record.values[0])
    points, dice = [point for point, _ in by_name.values()], [d for _, d in by_name.values()]
    return importances(summary.space, points, dice)


def rank_agreement(summary: Summary) -> list[tuple[int, int, int, float | None]]:
    """Return steps, more steps, configurations, and the rank correlation of their Dice.

    The correlation (Spearman) is None for fewer than three configurations, or without any
    difference between them.
    """
    arm = summary.outcome.arm(SEARCH)
    rungs = arm.rungs if arm else ()
    found = []
    for fewer, more in pairwise(rungs):
        pairs = [
            (first, second)
            for name, result in more.results.items()
            if (second := chosen_dice(result)) is not None
            and (first := chosen_dice(fewer.results[name])) is not None
        ]
        found.append((fewer.steps, more.steps, len(pairs), _spearman(pairs)))
    return found


def _mean(values: Mapping[str, float]) -> float | None:
    return float(np.mean(list(values.values()))) if values else None


def _spearman(pairs: Sequence[tuple[float, float]]) -> float | None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    if len(pairs) < 3 or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(spearmanr(first, second).statistic)


def best_so_far(arm: Arm) -> list[float]:
    """Return the best Dice on the cases for choosing after each point of a search, in its order."""
    dice = [
        record.values[0] if record.values else -np.inf
        for record in arm.records
        if record.state != "over budget"
    ]
    return [float(value) for value in np.maximum.accumulate(dice)] if dice else []
