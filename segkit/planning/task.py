"""What the steps of planning share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.dataset.dataset import Dataset
from segkit.fingerprint.fingerprint import Fingerprint

LARGEST_BATCH = 2
"""That is planned unasked."""


@dataclass(frozen=True)
class Task:
    """A measured dataset and what was asked for."""

    fingerprint: Fingerprint
    dataset: Dataset
    network: NetworkConfig
    plan: PlanConfig
    batch_asked: int | None
    """Patches of a step; None leaves it to the planner."""
    slice_axis: int | None

    @property
    def batch_size(self) -> int:
        """Patches that the memory must hold."""
        return self.batch_asked or LARGEST_BATCH

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes that the network sees."""
        return tuple(axis for axis in range(3) if axis != self.slice_axis)

    @property
    def dims(self) -> Literal[2, 3]:
        return 3 if self.slice_axis is None else 2
