"""Rewind file: the weights of a network after some step of its training.

Another training can start from them at that step, as iterative pruning with rewinding does (Frankle
et al. 2020, arXiv 1912.05671). They are the weights themselves, not their running average, with all
buffers; the optimizer starts anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from segkit.bundle.lookup import LATEST, resolve_model
from segkit.errors import InputError
from segkit.networks.tensor_file import TensorKind, content_hash
from segkit.training.optimization.schedule import Schedule

KIND = TensorKind("rewind file of a training", 1)
REWIND = "rewind.safetensors"
"""Name of the file in a run folder."""


@dataclass(frozen=True, eq=False)
class RewindFile:
    """Weights of a network after a step of its training."""

    path: Path
    """The file."""
    tensors: dict[str, Tensor]
    """Parameters and buffers by name."""
    step: int
    """Number of steps that the training had done."""
    progress: float
    """Progress of its schedule, from 0 to 1."""

    @property
    def hash(self) -> str:
        """Twelve hex digits over the tensors, the step and the progress."""
        return content_hash(self.tensors, self.step, self.progress)

    def fill(self, network: nn.Module) -> None:
        """Load all parameters and buffers into ``network``.

        Raises:
            InputError: a tensor that is missing, unknown or of another shape.
        """
        expected = network.state_dict()
        for name in sorted(expected.keys() | self.tensors.keys()):
            wanted, found = (_shape(tensors.get(name)) for tensors in (expected, self.tensors))
            if wanted != found:
                raise InputError(
                    self.path,
                    expected=f"{name} of the network to train: {wanted}",
                    found=found,
                    remedy="Train with the plan of the run that wrote the file: plan=RUN/plan.json"
                    ".",
                )
        network.load_state_dict(self.tensors)

    def continued(self, schedule: Schedule, *, in_steps: bool) -> Schedule:
        """Return a schedule that has arrived at the step of this file.

        Args:
            schedule: the schedule of a training from the first step on.
            in_steps: whether the number of steps is given. If so, the progress is what this
                schedule has at that step; else it is that of the file, and as many steps follow.

        Raises:
            InputError: no step would follow, or none with a learning rate above 0.
        """
        if not in_steps:
            self.check_before(None)
            total = schedule.total + self.step
            return Schedule(total, self.step, self.progress, schedule.augment_until)
        self.check_before(schedule.total)
        for _ in range(self.step):  # as the training did, so that rounding is the same
            schedule.advance()
        return schedule

    def check_before(self, steps: int | None) -> None:
        """Raise InputError unless steps follow in a training of ``steps`` steps, None for minutes.

        With minutes the learning rate goes on from that of the file, which must not be 0 already.
        """
        if steps is None and self.progress >= 1:
            raise self._too_late(
                "weights of a step before the last one of their training",
                "Give trainer.max_steps; or weights=RUN instead of rewind, whose learning rate "
                "starts anew.",
            )
        if steps is not None and self.step >= steps:
            raise self._too_late(
                f"weights of a step before the last one, {steps}",
                "Give a larger trainer.max_steps, which counts from the first step of the "
                "training that wrote the file.",
            )

    def _too_late(self, expected: str, remedy: str) -> InputError:
        return InputError(
            self.path, expected=expected, found=f"those after step {self.step}", remedy=remedy
        )


def write_rewind(path: str | Path, network: nn.Module, schedule: Schedule) -> None:
    """Write the weights and buffers of ``network``, and the step and progress of ``schedule``."""
    facts = {"step": str(schedule.step), "progress": repr(schedule.progress)}
    KIND.write(path, network.state_dict(), facts)


def read_rewind(where: str | Path) -> RewindFile:
    """Read a rewind file.

    Args:
        where: the file, the run folder that holds it, or runs/latest.

    Raises:
        InputError: no such file, another kind of file, or a damaged one.
    """
    path = Path(where)
    if path.is_file() and path.name == LATEST.name:
        path = resolve_model(path)
    path = path / REWIND if path.is_dir() else path
    if not path.is_file():
        raise InputError(
            where,
            expected=f"a run folder with {REWIND}, or such a file",
            found="none",
            remedy="Train with trainer.rewind_step=N, which writes it after step N.",
        )
    tensors, facts = KIND.read(path)
    try:
        step, progress = int(facts["step"]), float(facts["progress"])
    except (KeyError, ValueError) as error:
        raise _impossible(path, str(error)) from error
    if not (step >= 0 and 0 <= progress <= 1):
        raise _impossible(path, f"step {step}, progress {progress}")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor.float()).all():
            raise _impossible(path, f"values in {name} that are not finite")
    return RewindFile(path, tensors, step, progress)


def _shape(tensor: Tensor | None) -> str:
    return "none" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}"


def _impossible(path: Path, found: str) -> InputError:
    return InputError(
        path,
        expected="finite weights, and the step and progress at which they were written",
        found=found,
        remedy="Use the file as segkit wrote it.",
    )
