"""Costs of a network as this machine measures them: memory and seconds of a step, and of a scan."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import torch

from segkit.config.schema import TrainerConfig
from segkit.errors import OutOfMemoryError
from segkit.machine.processor import processor_name
from segkit.networks import build_network
from segkit.networks.precision import ComputeMode, network_to_memory_format
from segkit.plans.plan import Plan
from segkit.sliding_window.rows import Windows
from segkit.sliding_window.scores import predict_scores
from segkit.studies.memory_process import is_measurable
from segkit.studies.normalization.step_memory import StepProcess, step_on_noise
from segkit.studies.scaling.costs import OVERLAP
from segkit.training.compute.device import use_machine
from segkit.volume import Shape

REPEATS = 3
"""Number of timed runs, after one that is not timed; the median counts."""


@dataclass(frozen=True)
class MeasuredCost:
    """Costs of a network on this machine."""

    memory: int | None
    """Bytes of a training step; None where they cannot be measured."""
    step_seconds: float
    """Seconds of a training step."""
    seconds: float
    """Seconds of a scan without reading and writing."""


def machine_text(trainer: TrainerConfig, device: torch.device) -> str:
    """Return the processor that measures and, on a CPU, its number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = trainer.threads or torch.get_num_threads()
    return f"{processor_name()}, {threads} thread{'' if threads == 1 else 's'}"


class Meter:
    """Measures what networks cost; leaving its context ends the process that measures memory.

    That process is started when it is first needed.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._process: StepProcess | None = None

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def cost(
        self, plan: Plan, trainer: TrainerConfig, *, size: Shape, device: torch.device
    ) -> MeasuredCost:
        """Return memory and seconds of a network with random weights, on noise.

        Args:
            plan: the network, its patch and batch.
            trainer: optimizer, precision and memory format, not "auto".
            size: size of the scan (X, Y, Z) in voxels.
            device: where to compute.

        Raises:
            OutOfMemoryError: the machine has too little memory for a step.
            SegkitError: a step failed for another reason.
        """
        use_machine(trainer, device)
        memory = self._memory(plan, trainer, device)  # first: its process may run out of it
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            step = _median_seconds(step_on_noise(plan, trainer, device), device)
            scan = _median_seconds(_scan_of_noise(plan, trainer, size, device), device)
        return MeasuredCost(memory, step, scan)

    def _memory(self, plan: Plan, trainer: TrainerConfig, device: torch.device) -> int | None:
        if not is_measurable(device.type):
            return None
        if self._process is None:
            self._process = self._stack.enter_context(StepProcess())
        found = self._process.memory(plan, trainer, device.type)
        if found is None:
            patch = " x ".join(map(str, plan.patch))
            raise OutOfMemoryError(
                f"this machine has too little memory for a training step of {plan.batch_size} "
                f"patches of {patch} voxels: give a smaller budget"
            )
        return found


def _scan_of_noise(
    plan: Plan, trainer: TrainerConfig, size: Shape, device: torch.device
) -> Callable[[], object]:
    """Return a function that predicts a scan, in the precision of the trainings."""
    mode = ComputeMode(trainer.precision, trainer.layout)
    network = network_to_memory_format(build_network(plan).to(device).eval(), mode.layout)
    windows = Windows(plan.patch, OVERLAP, slice_axis=plan.slice_axis)
    image = torch.randn(len(plan.channels), *size, device=device)

    @torch.inference_mode()
    def predict() -> object:
        with mode.autocast(device):
            return predict_scores(mode.wrap(network), image, windows)

    return predict


def _median_seconds(run: Callable[[], object], device: torch.device) -> float:
    """Return the median seconds of REPEATS runs, on a GPU until it has computed."""
    seconds = []
    for _ in range(1 + REPEATS):
        started = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])
