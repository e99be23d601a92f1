"""One step of SegmentationModule."""

from __future__ import annotations

import pytest
import torch

from segkit.config.schema import TrainerConfig
from segkit.networks import build_network
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.optimization.losses import RareLabelCrossEntropy, build_loss
from segkit.training.optimization.schedule import Schedule


@pytest.mark.parametrize("progress", [0.0, 0.3])
def test_a_step_tells_its_loss_how_far_the_training_is(
    plan_for_balls: Plan, progress: float
) -> None:
    mode = ComputeMode("float32", "contiguous")
    loss = build_loss(TrainerConfig(), plan_for_balls)
    module = SegmentationModule(
        build_network(plan_for_balls), TrainerConfig(), loss=loss, slice_axis=None, mode=mode
    )
    module.schedule = Schedule(total=10, step=3, progress=progress)
    labels = torch.zeros(1, *plan_for_balls.patch, dtype=torch.long)
    batch = {"image": torch.randn(1, 1, *plan_for_balls.patch), "labels": labels, "case": ["a"]}
    assert torch.isfinite(module.training_step(batch, 0))
    parts = [part for part in module.loss.modules() if isinstance(part, RareLabelCrossEntropy)]
    assert [float(part.get_buffer("progress")) for part in parts] == [pytest.approx(progress)]
