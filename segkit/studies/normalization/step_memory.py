"""Memory of real training steps of a plan, measured in a process of their own.

Run as a program, this module reads a line {"plan": ..., "trainer": ..., "device": ...} from
standard input, measures the step in a fork of itself, writes a line {"bytes": ...} to standard
output, and waits for the next line. It imports PyTorch only once, and each fork starts
with the same memory.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segkit.config.schema import TrainerConfig
from segkit.errors import SegkitError, is_out_of_memory
from segkit.networks import build_network
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.plans.plan_file import plan_from_dict, plan_text
from segkit.training.compute.device import use_machine
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.optimization.losses import build_loss

STEPS = 2
"""Number of steps: from the second one on, the optimizer holds its state."""
BATCHES = 2
"""Largest number of accumulated batches: from the second one on, a batch finds gradients."""
STATUS, PEAK_RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def is_measurable(device: str) -> bool:
    """Return whether the memory of a step can be measured: on Linux."""
    return hasattr(os, "fork") and (device == "cuda" or os.access(PEAK_RESET, os.W_OK))


class StepProcess:
    """Process that measures training steps; leaving its context ends it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # so that its fork can be ended with it
        )

    def __enter__(self) -> StepProcess:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

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
        answer = self._ask(json.dumps(request))
        if "error" in answer:
            raise SegkitError(f"a training step failed: {answer['error']}")
        return int(answer["bytes"]) if answer else None

    def _ask(self, line: str) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise ValueError("a process without pipes")
        try:
            stdin.write(f"{line}\n")
            stdin.flush()
            answer = stdout.readline()
        except BrokenPipeError:
            answer = ""
        found: dict[str, Any] = json.loads(answer or '{"error": "its process has ended"}')
        return found


def memory_here(plan: Plan, trainer: TrainerConfig, device: torch.device) -> int:
    """Run STEPS training steps in this process and return the bytes that they take."""
    use_machine(trainer, device)
    before = _memory(device, "VmRSS")
    if device.type == "cpu":
        PEAK_RESET.write_text("5")
    mode = ComputeMode(trainer.precision, trainer.layout)
    module = SegmentationModule(
        build_network(plan).to(device),
        trainer,
        loss=build_loss(trainer, plan).to(device),
        slice_axis=plan.slice_axis,
        mode=mode,
    )
    module.on_train_start()
    optimizer = module.configure_optimizers()
    for _ in range(STEPS):
        _step(module, optimizer, plan, device)
    return _memory(device, "VmHWM") - before


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


def _memory(device: torch.device, name: str) -> int:
    """Return bytes: on a CPU the line ``name`` of the process's status, on a GPU the most held."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))


def main() -> None:
    """Answer requests from standard input until it ends."""
    for line in sys.stdin:
        print(json.dumps(_answer_of_fork(line)), flush=True)  # noqa: T201, read by StepProcess


def _answer_of_fork(line: str) -> dict[str, Any]:
    """Return the answer to a request; {} if the fork was out of memory or ended for it."""
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiver)
        with os.fdopen(sender, "w") as pipe:
            pipe.write(json.dumps(_answer(line)))
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(answer or "{}")
    return found


def _answer(line: str) -> dict[str, Any]:
    request = json.loads(line)
    trainer, device = TrainerConfig(**request["trainer"]), torch.device(request["device"])
    try:
        memory = memory_here(plan_from_dict(request["plan"]), trainer, device)
    except Exception as error:  # the process goes on with the next request
        return {} if is_out_of_memory(error) else {"error": f"{type(error).__name__}: {error}"}
    return {"bytes": memory}


if __name__ == "__main__":
    main()
