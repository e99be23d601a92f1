"""A module between two steps, without Lightning: a network that needs no training."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.optimization.schedule import Schedule


class Threshold(nn.Module):
    """Label 1 where the image is above 0.5; label 2 nowhere."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([0.5 - x, x - 0.5, torch.full_like(x, -9)], 1)


@pytest.fixture
def module() -> Any:
    """The attributes of a SegmentationModule after step 2 of 4."""
    return SimpleNamespace(
        average=Threshold().eval(),
        mode=ComputeMode("float32", "contiguous"),
        device=torch.device("cpu"),
        schedule=Schedule(4, step=2, progress=0.5),
        learning_rate=0.25,
    )


@pytest.fixture
def plan(plan_for_balls: Plan) -> Plan:
    return dataclasses.replace(plan_for_balls, patch=(4, 1, 1))


@pytest.fixture
def cases() -> list[PreparedCase]:
    """Three lines of four voxels; the network finds label 1 in each of them."""
    image = np.array([1, 0, 0, 0], np.float32).reshape(1, 4, 1, 1)
    labels = np.array([1, 0, 0, 0], np.uint8).reshape(4, 1, 1)
    return [PreparedCase(name, image, labels, {}) for name in ("a", "b", "c")]
