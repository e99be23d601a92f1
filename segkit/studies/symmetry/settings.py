"""Settings of the symmetry study, its arms, and the trainings that they make.

This module imports neither torch nor Lightning: the command checks its words with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from segkit.config.study_words import (
    setting,
    whole_number,
    whole_numbers,
    words_of,
)
from segkit.errors import UsageError
from segkit.plans.symmetry import SYMMETRIES
from segkit.studies.study_overrides import StudyKind
from segkit.units import is_whole

AUTO = "auto"
FIRST_COUNT, GROWTH = 4, 4
"""Smallest number of training cases with ``auto``, and the factor to the next one."""
Kind = Literal["plain", "augmented", "multiply_adds", "parameters"]
"""Kind of network and training: see `Arm`."""
MATCHES: tuple[Kind, ...] = ("multiply_adds", "parameters")

SET_BY_STUDY = {
    "seed": "study.seeds sets the seeds",
    "network.name": "study.symmetries sets the networks",
    "network.symmetry": "study.symmetries sets the groups",
    "network.features": "study.features sets the widths of the plain network",
    "augment.mirror": "each training mirrors and turns by its own group only",
    "plan.file": "the study plans its networks; plan.patch and plan.spacing may be given",
    "trainer.max_steps": "study.samples sets the length",
    "trainer.max_minutes": "study.samples sets the length, the same for every training",
    "mask": "every training has all weights",
    "rewind": "every training starts from new weights",
    "trainer.rewind_step": "no training of the study is rewound",
    "weights": "every training starts from new weights",
}
"""Overrides that the study sets itself, and what to give instead."""


def _or_auto(rule: Any) -> Any:
    """Return a rule that also allows ``auto``."""
    is_allowed, words = rule
    return (lambda value: value == AUTO or is_allowed(value)), f"{words}; or {AUTO}"


def _widths() -> Any:
    """Return the rule of the widths of two or more stages, some of which may be equal."""

    def is_allowed(value: Any) -> bool:
        is_list = isinstance(value, list) and len(value) > 1
        return is_list and all(is_whole(item, 1) for item in value)

    return is_allowed, "a list of two or more whole numbers of at least 1, such as [24,48,96]"


@dataclass(frozen=True)
class Arm:
    """Network and training that differ from the plain ones in one way.

    ``plain`` knows no symmetry; ``augmented`` is the same network, trained on patches that random
    elements of the group move; the other two are equivariant networks, with about as many
    multiply-adds or as many parameters as the plain one.
    """

    kind: Kind
    symmetry: str = ""
    """Group; empty for the plain network."""

    @property
    def name(self) -> str:
        """Name in folders and tables.

        >>> Arm("plain").name, Arm("parameters", "p4").name
        ('plain', 'p4_parameters')
        """
        return f"{self.symmetry}_{self.kind}" if self.symmetry else self.kind

    @property
    def is_equivariant(self) -> bool:
        """True for a network of the group."""
        return self.kind in MATCHES


@dataclass(frozen=True)
class Training:
    """Arm, number of training cases and seed, in which a training differs from the others."""

    arm: Arm
    count: int
    """Number of training cases."""
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.arm.name}-cases{self.count}-seed{self.seed}"


@dataclass(frozen=True)
class SymmetrySettings:
    """Own settings of the study."""

    symmetries: tuple[str, ...] = setting(
        ("mirror", "octahedral24"),
        words_of(tuple(SYMMETRIES), "[mirror,d4]"),
        "groups of the equivariant networks; the largest one decides on the shape of the patch",
    )
    matches: tuple[Kind, ...] = setting(
        MATCHES,
        words_of(MATCHES, "[multiply_adds]"),
        "what an equivariant network has in common with the plain one; a training for each",
    )
    training_cases: tuple[int, ...] | str = setting(
        AUTO,
        _or_auto(whole_numbers(1, "[4,16,64]")),
        "numbers of training cases; auto takes 4, 16, 64 and so on, and all of them",
    )
    seeds: tuple[int, ...] = setting(
        (0, 1, 2),
        whole_numbers(0, "[0,1,2]", most=999_999_999),
        "seeds of weights, patches and the choice of training cases",
    )
    samples: int = setting(4000, whole_number(1), "patches that every training sees")
    cases: int = setting(40, whole_number(1), "most validation cases that a cell measures")
    features: tuple[int, ...] | str = setting(
        AUTO,
        _or_auto(_widths()),
        "channels of each stage of the plain network; auto takes the planner's, rounded to the "
        "largest group",
    )

    @property
    def largest(self) -> str:
        """The group with most elements, whose order is a multiple of that of all others."""
        return max(self.symmetries, key=lambda name: SYMMETRIES[name].order)

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that all cells share; studies that differ in them have different folders."""
        names = ("symmetries", "samples", "cases", "features")
        return {name: getattr(self, name) for name in names}

    @property
    def arms(self) -> list[Arm]:
        """Every arm; the plain one comes first."""
        kinds: tuple[Kind, ...] = ("augmented", *(kind for kind in MATCHES if kind in self.matches))
        return [Arm("plain"), *(Arm(kind, name) for name in self.symmetries for kind in kinds)]

    def counts(self, available: int) -> list[int]:
        """Return the numbers of training cases in ascending order.

        >>> SymmetrySettings().counts(160), SymmetrySettings().counts(3)
        ([4, 16, 64, 160], [3])

        Args:
            available: number of training cases of the dataset.

        Raises:
            UsageError: a number that the dataset does not have.
        """
        if isinstance(self.training_cases, str):
            counts, count = [], FIRST_COUNT
            while count < available:
                counts.append(count)
                count *= GROWTH
            return [*counts, available]
        beyond = [count for count in self.training_cases if count > available]
        if beyond:
            raise UsageError(
                f"study.training_cases has {min(beyond)}; training cases in this fold: {available}."
                f" Give numbers up to {available}, or {AUTO}"
            )
        return sorted(self.training_cases)

    def trainings(self, counts: Sequence[int]) -> list[Training]:
        """Return every training; the seed changes slowest, then the number of cases."""
        return [
            Training(arm, count, seed)
            for seed in self.seeds
            for count in counts
            for arm in self.arms
        ]

    def check(self) -> None:
        """Do nothing: no two settings contradict each other before the dataset is read."""


SYMMETRY = StudyKind("symmetry", SymmetrySettings, SET_BY_STUDY, validates=False)
