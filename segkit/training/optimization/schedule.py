"""How long a training lasts, in steps or minutes, and what changes over that length: learning rate and patches."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from segkit.config.schema import TrainerConfig

NEVER = 1 << 40
"""A step that no training reaches."""
AHEAD = 32
"""Steps whose patches may have been cut already, by 8 processes that are 2 batches ahead, and some more."""


@dataclass
class Schedule:
    """Progress from 0 to 1 over ``total`` steps.

    With a budget of minutes the number of steps is found by timing and then stands, unless the machine becomes much
    slower or faster.
    """

    total: int
    step: int = 0
    progress: float = 0.0
    augment_until: float = 1.0
    """Progress at which patches are no longer changed at random; at 1 they always are."""
    plain_from: int = -1
    """The step from which on they are not; below 0: to be found from the above."""

    def __post_init__(self) -> None:
        if self.plain_from < 0:
            self.plain_from = self._plain_step()

    @property
    def remaining(self) -> int:
        return max(0, self.total - self.step)

    def advance(self) -> None:
        """One step done. What is left of the progress is spread over what is left of the steps."""
        self.progress += (1 - self.progress) / max(1, self.remaining)
        self.step += 1

    def end_after(self, remaining: int) -> None:
        """End after ``remaining`` more steps; the learning rate goes on from here without a jump.

        What was said of patches that may have been cut stays, so that a resumed run cuts them as this one did.
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
        return dataclasses.asdict(self)


def learning_rate_factor(progress: float, trainer: TrainerConfig) -> float:
    """Share of the full learning rate: linear warm-up, then polynomial decay to zero."""
    if progress < trainer.warmup:
        return (progress + 1e-3) / (trainer.warmup + 1e-3)
    return float((max(0.0, 1 - progress) / (1 - trainer.warmup)) ** trainer.decay_power)
