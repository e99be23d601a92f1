"""Settings of the tickets study: norms, seeds, levels, controls.

This module imports neither torch nor Lightning: the command checks its words with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from segkit.config.study_words import (
    number,
    setting,
    whole_number,
    whole_numbers,
    words_of,
)
from segkit.errors import UsageError
from segkit.plans.norm_catalogue import uses_batch_statistics
from segkit.studies.norms.choices import NORMS, SET_BY_NORMS
from segkit.studies.study_overrides import StudyKind
from segkit.studies.tickets.levels import CONTROLS, Training, default_control_levels, trainings

MOST_LEVELS = 40
"""Largest number of levels; with the default fraction 0.01 % of the weights are left there."""
# Weight standardization would give pruned weights values again.
PRUNABLE_NORMS = tuple(name for name in NORMS if name != "group_ws")
NONE, AUTO = "none", "auto"

SET_BY_STUDY = {
    "seed": "study.seeds sets the seeds",
    **SET_BY_NORMS,
    "weights": "every dense network starts from new weights",
    "mask": "the study makes the masks",
    "rewind": "the study rewinds the tickets",
    "trainer.rewind_step": "study.rewind sets the step",
}
"""Overrides that the study sets itself, and what to give instead."""


def _or_word(rule: tuple[Callable[[Any], bool], str], word: str) -> Any:
    """Return a rule that also allows one word."""
    is_allowed, words = rule
    return (lambda value: value == word or is_allowed(value)), f"{words}; or {word}"


@dataclass(frozen=True)
class TicketSettings:
    """Own settings of the study."""

    norms: tuple[str, ...] = setting(
        ("group", "batch", "instance"),
        words_of(PRUNABLE_NORMS, "[group,batch]"),
        "norms to compare, as in a normalization study",
    )
    seeds: tuple[int, ...] = setting(
        (0, 1, 2),
        whole_numbers(0, "[0,1,2]", most=999_999),
        "seeds of weights, patches and random masks",
    )
    levels: int = setting(
        11, whole_number(1, most=MOST_LEVELS), "times that the network is pruned and trained again"
    )
    fraction: float = setting(
        0.2, number(0.01, 0.9), "share of the remaining weights that each level prunes"
    )
    rewind: float = setting(
        0.05, number(0.0, 0.9), "share of the steps to which a ticket is rewound"
    )
    controls: tuple[str, ...] | str = setting(
        CONTROLS,
        _or_word(words_of(CONTROLS, "[random]"), NONE),
        "networks with as many weights in every layer, to compare the tickets with",
    )
    control_levels: tuple[int, ...] | str = setting(
        AUTO,
        _or_word(whole_numbers(1, "[3,7,11]", most=MOST_LEVELS), AUTO),
        "levels with controls; auto takes those near 80, 50 and 20 % of the weights and the last",
    )
    pruned_cases: int = setting(
        16, whole_number(1), "most held-out cases on which Dice is measured right after pruning"
    )

    @property
    def chosen_controls(self) -> tuple[str, ...]:
        """Kinds of controls."""
        return () if isinstance(self.controls, str) else self.controls

    @property
    def chosen_control_levels(self) -> tuple[int, ...]:
        """Levels at which controls are trained."""
        if isinstance(self.control_levels, str):
            return default_control_levels(self.fraction, self.levels)
        return tuple(sorted(self.control_levels))

    @property
    def trainings(self) -> list[Training]:
        """Every training of the study, in order."""
        return list(
            trainings(
                self.norms,
                self.seeds,
                levels=self.levels,
                controls=self.chosen_controls,
                control_levels=self.chosen_control_levels,
            )
        )

    @property
    def planned_norm(self) -> str:
        """Norm with which the study is planned: one with statistics of the batch, if there is any.

        The planner gives it more than one patch in a batch, and all norms then get this batch.
        """
        of_batch = [name for name in self.norms if uses_batch_statistics(NORMS[name]["norm"])]
        return [*of_batch, *self.norms][0]

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that all cells share; studies that differ in them have different folders."""
        return {name: getattr(self, name) for name in ("fraction", "rewind", "pruned_cases")}

    def check(self) -> None:
        """Check that the levels of the controls are levels of the study.

        Raises:
            UsageError: a level beyond the last one.
        """
        beyond = [level for level in self.chosen_control_levels if level > self.levels]
        if beyond:
            raise UsageError(
                f"study.control_levels has {beyond[0]}, but there are only levels up to "
                f"study.levels={self.levels}"
            )


TICKETS = StudyKind("tickets", TicketSettings, SET_BY_STUDY, validates=False)
