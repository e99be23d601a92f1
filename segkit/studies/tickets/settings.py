"""Settings of the tickets study: norms, seeds, levels, controls. No torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from segkit.config.study_words import number, setting, whole_number, whole_numbers, words_of
from segkit.plans.norm_catalogue import NORMS
from segkit.studies.tickets.levels import CONTROLS, Training, default_control_levels, trainings

MOST_LEVELS = 40
"""Largest number of levels; with the default fraction 0.01 % of the weights are left there."""
# Weight standardization would give pruned weights values again.
PRUNABLE_NORMS = tuple(name for name in NORMS if name != "group_ws")


def _or_word(rule: tuple[Callable[[Any], bool], str], word: str, meaning: str) -> Any:
    """Return a rule that also allows one word."""
    is_allowed, words = rule
    return (lambda value: value == word or is_allowed(value)), f"{words}; or {word}, {meaning}"


@dataclass(frozen=True)
class TicketSettings:
    """Which networks are pruned how far, and with what they are compared."""

    norms: tuple[str, ...] = setting(
        ("group", "batch", "instance"), words_of(PRUNABLE_NORMS, "[group,batch]")
    )
    seeds: tuple[int, ...] = setting((0, 1, 2), whole_numbers(0, "[0,1,2]"))
    levels: int = setting(11, whole_number(1, most=MOST_LEVELS))
    fraction: float = setting(0.2, number(0.01, 0.9))
    """Share of the remaining weights that each level prunes."""
    rewind: float = setting(0.05, number(0.0, 0.9))
    """Share of the steps after which the dense network's weights are kept for rewinding."""
    controls: tuple[str, ...] | str = setting(
        CONTROLS, _or_word(words_of(CONTROLS, "[random]"), "none", "no control")
    )
    control_levels: tuple[int, ...] | str = setting(
        "auto",
        _or_word(
            whole_numbers(1, "[3,7,11]", most=MOST_LEVELS),
            "auto",
            "near 80, 50 and 20 % of the weights, and the last level",
        ),
    )
    pruned_cases: int = setting(16, whole_number(1))
    """Largest number of held-out cases on which Dice is measured right after pruning."""

    @property
    def chosen_controls(self) -> tuple[str, ...]:
        """Kinds of controls; none if ``controls`` is the word none."""
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
