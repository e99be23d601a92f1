"""Memory of real training steps of a plan, measured in a process of their own.

Run as a program, this module answers requests {"plan": ..., "trainer": ..., "device": ...}
(`segkit.studies.memory_process`).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from segkit.config.schema import TrainerConfig
from segkit.networks import build_network
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.plans.plan_file import plan_from_dict, plan_text
from segkit.studies.memory_process import MemoryProcess, peak_bytes, serve
from segkit.training.compute.device import use_machine
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.optimization.losses import build_loss

STEPS = 2
"""Number of steps: from the second one on, the optimizer holds its state."""
BATCHES = 2
"""Largest number of accumulated batches: from the second one on, a batch finds gradients."""


class StepProcess(MemoryProcess):
    """Process that measures training steps; leaving its context ends it."""

    def __init__(self) -> None:
        super().__init__(__name__, "a training step")

    def __enter__(self) -> StepProcess:
        return self

    def memory(self, plan: Plan, trainer: TrainerConfig, device: str = "cpu") -> int | None:
        """Return the bytes that a step with random images takes, or None if there are too few.

        On a CPU it is the largest memory above that of the process before the network was built, on
        a GPU the memory that PyTorch reserved there.

        The step is that of a training, with optimizer and running average, except that of more
        than BATCHES accumulated batches only so many are computed: more take no more memory.

        Args:
            plan: network, patch and batch size.
            trainer: its precision and layout must not be "auto".
            device: "cpu" or "cuda".

        Raises:
            SegkitError: the step failed for another reason.
        """
        request = {
            "plan": json.loads(plan_text(plan)),
            "trainer": dataclasses.asdict(trainer),
            "device": device,
        }
        return self.bytes_of(request)


def memory_here(request: dict[str, Any]) -> int:
    """Run STEPS training steps in this process and return the bytes that they take."""
    trainer, device = TrainerConfig(**request["trainer"]), torch.device(request["device"])
    plan = plan_from_dict(request["plan"])
    use_machine(trainer, device)
    return peak_bytes(lambda: _train(plan, trainer, device), device)


def _train(plan: Plan, trainer: TrainerConfig, device: torch.device) -> None:
    step = step_on_noise(plan, trainer, device)
    for _ in range(STEPS):
        step()


def step_on_noise(plan: Plan, trainer: TrainerConfig, device: torch.device) -> Callable[[], None]:
    """Build the network of a plan and return a function that does a training step of it.

    Args:
        plan: network, patch and batch size.
        trainer: its precision and layout must not be "auto".
        device: where the step runs.
    """
    mode = ComputeMode(trainer.precision, trainer.layout)
    module = SegmentationModule(
        build_network(plan).to(device),
        trainer,
        loss=build_loss(trainer, plan).to(device),
        slice_axis=plan.slice_axis,
        mode=mode,
    )
    module.on_train_start()
    return partial(_step, module, module.configure_optimizers(), plan, device)


def _step(
    module: SegmentationModule, optimizer: torch.optim.Optimizer, plan: Plan, device: torch.device
) -> None:
    optimizer.zero_grad()
    for _ in range(min(BATCHES, module.trainer_config.accumulate)):
        loss = module.training_step(_batch(plan, device), 0)
        loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    module.running_average.update(module.trainer_config.ema, module.schedule.step)
    module.schedule.advance()
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _batch(plan: Plan, device: torch.device) -> dict[str, Any]:
    """Return a batch of noise in which every label occurs."""
    shape = (plan.batch_size, *plan.patch)
    images: Tensor = torch.randn(plan.batch_size, len(plan.channels), *plan.patch)
    dtype = torch.uint8 if len(plan.targets) < 256 else torch.int32
    labels = torch.randint(0, len(plan.targets) + 1, shape, dtype=dtype)
    return {"image": images.to(device), "labels": labels.to(device), "case": ["noise"]}


if __name__ == "__main__":
    serve(memory_here)
