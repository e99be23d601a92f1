"""Settings of the scaling study: budget, sizes, ways to scale, seeds.

This module imports neither torch nor Lightning: the command checks its words with it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from segkit.config.study_words import (
    list_of,
    number,
    one_of,
    setting,
    true_or_false,
    whole_number,
    whole_numbers,
    words_of,
)
from segkit.studies.scaling.budget import BudgetSettings
from segkit.studies.study_overrides import StudyKind
from segkit.units import is_number

SIZES = {"S": 3, "M": 2, "L": 1, "XL": 0}
"""Number of halvings of the cost of the largest network within the budget, by size."""
COMPOUND = "compound"
BASELINES = ("width", "depth", "patch", "flat")
"""Other ways to scale: one axis alone, or widths that are the same in all stages."""
WAYS = (COMPOUND, *BASELINES)
ALPHA, BETA = 1.2, 1.1
"""Bases of depth and width of EfficientNet; the base of the patch follows from the constraint."""

SET_BY_STUDY = {
    "seed": "study.seeds sets the seeds",
    "network.features": "the study scales the width",
    "network.convs": "the study scales the depth",
    "plan.patch": "the study scales the patch",
    "plan.file": "the study makes a plan for every size",
    "network.channels_per_group": "study.channels_per_group sets the groups of the first network",
    "network.num_groups": "study.channels_per_group sets the groups of the first network",
    "trainer.max_steps": "study.steps sets the length",
    "trainer.max_minutes": "study.steps sets the length",
    "trainer.save_memory": "costs are those of a step that keeps its activations",
    "weights": "every network starts from new weights",
    "mask": "every network starts from new weights",
    "rewind": "every network starts from new weights",
}
"""Overrides that the study sets itself, and what to give instead."""


def _is_size(item: Any) -> bool:
    return item in SIZES if isinstance(item, str) else is_number(item)


@dataclass(frozen=True)
class ScalingSettings(BudgetSettings):
    """Own settings of the study."""

    sizes: tuple[str | float, ...] = setting(
        tuple(SIZES),
        list_of(_is_size, "sizes out of S, M, L and XL, or exponents such as -1.5"),
        "sizes: XL is the largest network within the budget, and L, M and S take half as many "
        "multiply-adds each; a number is an exponent phi, with 0 for the planner's own network",
    )
    ways: tuple[str, ...] = setting(
        WAYS,
        words_of(WAYS, "[compound,width]"),
        "ways to reach the cost of a size: all axes together, one axis of the smallest size alone, "
        "or equal widths in all stages",
    )
    seeds: tuple[int, ...] = setting(
        (0, 1, 2),
        whole_numbers(0, "[0,1,2]", most=999_999_999),
        "seeds of weights and patches; every network trains with each",
    )
    steps: int = setting(1000, whole_number(1), "steps of a training")
    match: str = setting(
        "steps",
        one_of(("steps", "voxels", "macs")),
        "what all trainings have in common: their steps; or the voxels of their patches, or their "
        "multiply-adds, as many as study.steps of the planner's own network",
    )
    cases: int = setting(40, whole_number(1), "most validation cases on which Dice is measured")
    alpha: float = setting(ALPHA, number(1.0, 2.0), "base of the depth")
    beta: float = setting(
        BETA,
        number(1.0, 1.5),
        "base of the width; the base of the patch then follows, so that a step of phi doubles the "
        "cost",
    )
    channels_per_group: int = setting(
        2, whole_number(2, most=16), "channels per group at phi = 0; they grow with the width"
    )
    train: bool = setting(
        True, true_or_false(), "false measures what all networks cost, and trains none"
    )

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that all cells share; studies that differ in them have different folders."""
        names = ("steps", "match", "cases", "alpha", "beta", "channels_per_group")
        return {**asdict(self.budget), **{name: getattr(self, name) for name in names}}

    def check(self) -> None:
        """Check that there is a budget.

        Raises:
            UsageError: no limit is given.
        """
        _ = self.budget


SCALING = StudyKind("scaling", ScalingSettings, SET_BY_STUDY)
