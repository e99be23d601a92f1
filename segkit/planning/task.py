"""Input of the planner: a measured dataset, and the settings that the user chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.dataset.dataset import Dataset
from segkit.fingerprint.fingerprint import Fingerprint

LARGEST_BATCH = 2
"""Largest batch size that the planner chooses; the user may give a larger one."""


@dataclass(frozen=True)
class Task:
    """Input of the planner's rules."""

    fingerprint: Fingerprint
    dataset: Dataset
    network: NetworkConfig
    plan: PlanConfig
    batch_asked: int | None
    """Batch size that the user gives; None leaves it to the planner."""
    slice_axis: int | None
    """Axis across which the slices of a 2D network are taken; None in 3D."""

    @property
    def batch_size(self) -> int:
        """Batch size that must fit into memory: the user's, else LARGEST_BATCH."""
        return self.batch_asked or LARGEST_BATCH

    @property
    def axes(self) -> tuple[int, ...]:
        """Axes that the network sees."""
        return tuple(axis for axis in range(3) if axis != self.slice_axis)

    @property
    def dims(self) -> Literal[2, 3]:
        """Number of spatial dimensions of the network."""
        return 3 if self.slice_axis is None else 2
