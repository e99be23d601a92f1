"""Costs that are measured: a network that no machine can hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from segkit.config.schema import TrainerConfig
from segkit.errors import OutOfMemoryError
from segkit.studies.memory_process import is_measurable
from segkit.studies.scaling.candidate import Frame
from segkit.studies.scaling.measured import Meter


@pytest.mark.slow
@pytest.mark.skipif(not is_measurable("cpu"), reason="memory of a process is measured on Linux")
def test_a_step_that_does_not_fit_into_memory_says_so(frame: Frame) -> None:
    patch = (16384, 16384, 16384)  # 35 TB for a batch of images
    plan = replace(frame.plan, patch=patch, network=frame.plan.network.for_patch(patch))
    trainer = TrainerConfig(precision="float32", layout="contiguous", threads=1)
    message = "too little memory for a training step of 2 patches of 16384 x 16384 x 16384 voxels"
    with Meter() as meter, pytest.raises(OutOfMemoryError, match=message):
        meter.cost(plan, trainer, size=frame.size, device=torch.device("cpu"))
