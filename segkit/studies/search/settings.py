"""Settings of the search: budget, axes, number of points, rungs, seeds and what to compare with.

This module imports neither torch nor Optuna: the command checks its words with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segkit.config.rules import Rule
from segkit.config.study_words import (
    list_of,
    one_of,
    setting,
    whole_number,
    whole_numbers,
    words_of,
)
from segkit.errors import UsageError
from segkit.studies.scaling.budget import BudgetSettings
from segkit.studies.scaling.candidate import GROUP_SIZES
from segkit.studies.search.fidelity import trainings_per_rung
from segkit.studies.search.space import Axis, Space
from segkit.studies.study_overrides import StudyKind
from segkit.units import is_number

WIDTH, DEPTH, PATCH, GROUPS, SHAPE = "width", "depth", "patch", "channels_per_group", "shape"
"""Names of the axes."""
DICE, PARETO = "dice", "pareto"
RANDOM, UNIFORM, FLAT = "random", "uniform", "flat"
BASELINES = {
    RANDOM: "random search with as many trainings",
    UNIFORM: "uniform scaling: width, depth and patch together",
    FLAT: "flat widths: all stages as wide as the first",
}
"""Baselines of the search."""
NONE = "none"
MOST_FACTOR = 16.0

SET_BY_STUDY = {
    "seed": "study.seeds sets the seeds",
    "network.features": "the search chooses the width",
    "network.convs": "the search chooses the depth",
    "plan.patch": "the search chooses the patch",
    "plan.file": "the study makes a plan for every network",
    "network.channels_per_group": "study.channels_per_group says what can be chosen",
    "network.num_groups": "study.channels_per_group says what can be chosen",
    "trainer.save_memory": "costs are those of a step that keeps its activations",
    "weights": "every network starts from new weights",
    "mask": "every network starts from new weights",
    "rewind": "every network starts from new weights",
}
"""Overrides that the study sets itself, and what to give instead."""


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(is_number(end) and 1 / MOST_FACTOR <= end <= MOST_FACTOR for end in value)
        and value[0] <= value[1]
    )


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values))


RANGE: Rule = (
    _is_range,
    f"a list of two numbers from {1 / MOST_FACTOR:g} to {MOST_FACTOR:g}, the smaller first, such "
    "as [0.5,2]",
)
_is_baselines, _baselines_text = words_of(tuple(BASELINES), "[random]")


@dataclass(frozen=True)
class SearchSettings(BudgetSettings):
    """Own settings of the study."""

    trials: int = setting(20, whole_number(4, most=10_000), "configurations that are trained")
    batch: int = setting(
        4,
        whole_number(1, most=1000),
        "configurations proposed at a time, which as many processes can train",
    )
    objective: str = setting(
        DICE,
        one_of((DICE, PARETO)),
        "the highest Dice within the budget, or all trade-offs of Dice and cost within it",
    )
    rungs: int = setting(
        3,
        whole_number(1, most=8),
        "rungs of 1, 2, 4 ... parts of the steps; each trains the better half of the one before",
    )
    top: int = setting(3, whole_number(1, most=50), "best configurations that are trained again")
    seeds: tuple[int, ...] = setting(
        (0, 1, 2),
        whole_numbers(0, "[0,1,2]", most=999_999),
        "seeds; the search uses the first, and the best configurations all of them",
    )
    baselines: tuple[str, ...] | str = setting(
        tuple(BASELINES),
        (lambda value: value == NONE or _is_baselines(value), f"{_baselines_text}; or {NONE}"),
        "what the search is compared with",
    )
    width: tuple[float, float] = setting(
        (0.5, 4.0), RANGE, "range of the channels, as a factor of the planner's"
    )
    depth: tuple[float, float] = setting(
        (0.5, 2.0), RANGE, "range of the convolutions in a stage, as a factor of the planner's"
    )
    patch: tuple[float, float] = setting(
        (0.5, 2.0), RANGE, "range of the edges of the patch, as a factor of the planner's"
    )
    channels_per_group: tuple[int, ...] = setting(
        GROUP_SIZES,
        list_of(lambda item: item in GROUP_SIZES, f"numbers out of {_listed(GROUP_SIZES)}"),
        "channels in each group of a norm, to choose from",
    )
    shapes: tuple[str, ...] = setting(
        ("doubling", "flat"),
        words_of(("doubling", "flat"), "[doubling]"),
        "whether deeper stages are wider, to choose from",
    )

    @property
    def space(self) -> Space:
        """The axes with their ranges."""
        return Space(
            (
                *(
                    Axis(name, float(low), float(high))
                    for name, (low, high) in (
                        (WIDTH, self.width),
                        (DEPTH, self.depth),
                        (PATCH, self.patch),
                    )
                ),
                Axis(GROUPS, choices=tuple(sorted(self.channels_per_group))),
                Axis(SHAPE, choices=tuple(sorted(self.shapes))),
            )
        )

    @property
    def chosen_baselines(self) -> tuple[str, ...]:
        """Chosen baselines of the search."""
        return () if isinstance(self.baselines, str) else self.baselines

    @property
    def needs_rates(self) -> bool:
        """True if the budget limits something that depends on the machine."""
        return self.budget.memory is not None or self.budget.seconds is not None

    @property
    def identity(self) -> dict[str, Any]:
        """All settings but those that add trainings; others have another folder."""
        kept = dataclasses.asdict(self)
        for name in ("top", "baselines"):
            kept.pop(name)
        return {**kept, "seeds": self.seeds[0]}

    @property
    def size(self) -> str:
        """How many trainings there are, in words."""
        per_rung = trainings_per_rung(self.trials, self.rungs)
        counts = " + ".join(map(str, per_rung))
        searches = 2 if RANDOM in self.chosen_baselines else 1
        times = "twice, the second time at random, " if searches == 2 else ""
        each = " of both" if searches == 2 else ""
        return (
            f"{counts} trainings of 1, 2, 4 ... parts of the steps, {times}and "
            f"{self.top} configurations{each} and the best of each baseline with {len(self.seeds)} "
            "seeds"
        )

    def check(self) -> None:
        """Check that there is a budget and something to choose.

        Raises:
            UsageError: no budget, or a space of one point.
        """
        _ = self.budget
        if all(len(axis.choices) == 1 or axis.low == axis.high for axis in self.space.axes):
            raise UsageError(
                "every axis has only one value: give one of study.width, study.depth, study.patch, "
                "study.channels_per_group and study.shapes more than one"
            )


SEARCH = StudyKind("scaling_search", SearchSettings, SET_BY_STUDY, jobs=True, validates=False)
