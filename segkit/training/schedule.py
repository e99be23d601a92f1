"""How long a training lasts, in steps or minutes, and the learning rate over that length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from segkit.config import TrainerConfig


@dataclass
class Schedule:
    """Progress from 0 to 1 over ``total`` steps.

    With a budget of minutes the number of steps is found by timing and then stands, unless the machine becomes much
    slower or faster.
    """

    total: int
    step: int = 0
    progress: float = 0.0

    @property
    def remaining(self) -> int:
        return max(0, self.total - self.step)

    def advance(self) -> None:
        """One step done. What is left of the progress is spread over what is left of the steps."""
        self.progress += (1 - self.progress) / max(1, self.remaining)
        self.step += 1

    def end_after(self, remaining: int) -> None:
        """End after ``remaining`` more steps; the learning rate goes on from here without a jump."""
        self.total = self.step + remaining

    def state(self) -> dict[str, Any]:
        return {"total": self.total, "step": self.step, "progress": self.progress}


def learning_rate_factor(progress: float, trainer: TrainerConfig) -> float:
    """Share of the full learning rate: linear warm-up, then polynomial decay to zero."""
    if progress < trainer.warmup:
        return (progress + 1e-3) / (trainer.warmup + 1e-3)
    return float((max(0.0, 1 - progress) / (1 - trainer.warmup)) ** trainer.decay_power)
