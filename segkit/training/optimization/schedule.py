"""Progress of a training, and what depends on it: the learning rate and the end of augmentation."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from segkit.config.schema import TrainerConfig

NEVER = 1 << 40
"""Step that no training reaches."""
AHEAD = 32
"""Steps whose patches may already exist: 8 processes work 2 batches ahead, with a margin."""


@dataclass
class Schedule:
    """Progress from 0 to 1 over ``total`` steps.

    With a budget of minutes the number of steps is determined by timing. It changes later only if
    the machine becomes much slower or faster.
    """

    total: int
    step: int = 0
    progress: float = 0.0
    augment_until: float = 1.0
    """Progress at which augmentation ends; at 1 it never ends."""
    plain_from: int = -1
    """First step without augmentation; if negative, it is computed from ``augment_until``."""

    def __post_init__(self) -> None:
        if self.plain_from < 0:
            self.plain_from = self._plain_step()

    @property
    def remaining(self) -> int:
        """Number of steps that are left."""
        return max(0, self.total - self.step)

    def advance(self) -> None:
        """Count one step. The remaining progress is divided evenly among the remaining steps."""
        self.progress += (1 - self.progress) / max(1, self.remaining)
        self.step += 1

    def end_after(self, remaining: int) -> None:
        """Change the length to ``remaining`` more steps; the learning rate does not jump.

        For patches that may already exist, ``plain_from`` stays as it was, so that a resumed run
        cuts the same patches.
        """
        self.total = self.step + remaining
        if self.plain_from > self.step + AHEAD:
            self.plain_from = max(self.step + AHEAD, self._plain_step())

    def _plain_step(self) -> int:
        if self.augment_until >= 1:
            return NEVER
        share = (
            (self.augment_until - self.progress) / (1 - self.progress) if self.progress < 1 else 0.0
        )
        return self.step + max(0, math.ceil(share * self.remaining - 1e-9))

    def state(self) -> dict[str, Any]:
        """Return the fields in JSON types, for a checkpoint."""
        return dataclasses.asdict(self)


def learning_rate_factor(progress: float, trainer: TrainerConfig) -> float:
    """Return the learning rate as a fraction: linear warm-up, then polynomial decay to 0.

    >>> learning_rate_factor(0.5, TrainerConfig(warmup=0.0, decay_power=1.0))
    0.5
    """
    if progress < trainer.warmup:
        return (progress + 1e-3) / (trainer.warmup + 1e-3)
    return float((max(0.0, 1 - progress) / (1 - trainer.warmup)) ** trainer.decay_power)
