"""Settings of the normalization study, its norms, and the trainings that they make.

This module imports neither torch nor Lightning: the command checks its words with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from segkit.config.study_words import (
    one_of,
    setting,
    whole_number,
    whole_numbers,
    words_of,
)
from segkit.errors import SegkitError, UsageError
from segkit.studies.norms.choices import NORMS, SET_BY_NORMS
from segkit.studies.study_overrides import StudyKind
from segkit.units import parse_size

REFERENCE = "group"
"""Norm with which the others are compared, if it is part of the study."""
NO_MEMORY = "none"

SET_BY_STUDY = {
    "seed": "study.seeds sets the seeds",
    **SET_BY_NORMS,
    "trainer.batch_size": "study.batch_sizes sets the batches",
    "trainer.accumulate": "study.match sets how many batches are accumulated",
    "trainer.max_steps": "study.samples sets the length",
    "trainer.max_minutes": "study.samples sets the length, the same for every training",
    "mask": "every training has all weights",
    "rewind": "every training starts from new weights",
    "trainer.rewind_step": "no training of the study is rewound",
    "weights": "every training starts from new weights, since a model has one of the norms",
}
"""Overrides that the study sets itself, and what to give instead."""


def _is_memory(value: Any) -> bool:
    try:
        return value == NO_MEMORY or (isinstance(value, str) and parse_size(value) >= 1 << 20)
    except SegkitError:
        return False


@dataclass(frozen=True)
class Training:
    """Norm, batch size and seed, in which a training differs from the others."""

    norm: str
    batch_size: int
    seed: int

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.norm}-batch{self.batch_size}-seed{self.seed}"


@dataclass(frozen=True)
class NormalizationSettings:
    """Own settings of the study."""

    norms: tuple[str, ...] = setting(
        ("group", "instance", "batch", "batch_renorm", "group_ws"),
        words_of(tuple(NORMS), "[group,batch]"),
        "norms to compare; group has the groups of the planner's rule, group_8 has 8 channels in "
        "each group",
    )
    batch_sizes: tuple[int, ...] = setting(
        (1, 2, 4, 8),
        whole_numbers(1, "[1,8]"),
        "patches over which batch norms compute their statistics",
    )
    seeds: tuple[int, ...] = setting(
        (0, 1, 2),
        whole_numbers(0, "[0,1,2]", most=999_999_999),
        "seeds of weights and patches; every norm trains with each",
    )
    samples: int = setting(4000, whole_number(1), "patches that every training sees")
    match: str = setting(
        "steps",
        one_of(("steps", "samples")),
        "steps accumulates small batches up to the largest, so that all trainings take the same "
        "optimizer steps; with samples, small batches take more steps",
    )
    cases: int = setting(40, whole_number(1), "most validation cases that a cell measures")
    memory: str = setting(
        "4GB",
        (_is_memory, f"a size such as 4GB, of at least 1MiB, or {NO_MEMORY}"),
        "memory of a training step for which the largest patch and width are searched; with none, "
        "no memory is measured",
    )

    @property
    def largest_batch(self) -> int:
        """Number of patches in the largest batch."""
        return max(self.batch_sizes)

    @property
    def reference(self) -> str:
        """Norm with which the others are compared."""
        return REFERENCE if REFERENCE in self.norms else self.norms[0]

    @property
    def identity(self) -> dict[str, Any]:
        """The settings that all cells share; studies that differ in them have different folders."""
        shared: dict[str, Any] = {"match": self.match, "cases": self.cases}
        # Each cell then measures the memory of its step.
        return shared if self.memory == NO_MEMORY else {**shared, "memory": True}

    def steps(self, batch_size: int) -> int:
        """Return the number of optimizer steps of a training with ``batch_size``."""
        return self.samples // (batch_size * self.accumulate(batch_size))

    def accumulate(self, batch_size: int) -> int:
        """Return the number of batches of an optimizer step."""
        return self.largest_batch // batch_size if self.match == "steps" else 1

    def trainings(self) -> list[Training]:
        """Return every training; the seed changes slowest."""
        return [
            Training(norm, batch_size, seed)
            for seed in self.seeds
            for batch_size in self.batch_sizes
            for norm in self.norms
        ]

    def check(self) -> None:
        """Check that all trainings can see the same number of patches.

        Raises:
            UsageError: numbers that do not divide.
        """
        largest = self.largest_batch
        uneven = [size for size in self.batch_sizes if self.samples % size]
        if self.match == "steps":
            uneven += [size for size in self.batch_sizes if largest % size]
            uneven += [largest] * (self.samples % largest > 0)
        if not uneven:
            return
        raise UsageError(
            f"study.samples={self.samples} and the batch sizes "
            f"{', '.join(map(str, self.batch_sizes))} do not fit: all trainings see the same "
            f"patches only if study.samples is a multiple of every batch size"
            + (f", and {largest} of every other" if self.match == "steps" else "")
            + f". {sorted(set(uneven))[0]} does not fit."
        )


NORMALIZATION = StudyKind("normalization", NormalizationSettings, SET_BY_STUDY)
