"""Gradient norm of each layer over a training: a callback that writes gradients.csv."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import lightning as L
import torch
from torch import nn
from torch.optim import Optimizer

from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.plans.plan import Plan
from segkit.report.tables import csv_text
from segkit.studies.normalization.measurement import Measurement
from segkit.studies.norms.layers import layer_kernels
from segkit.training.optimization.lightning_module import SegmentationModule

GRADIENTS = "gradients.csv"
COLUMNS = ("step", "layer", "norm")
Row = tuple[int, str, float]
STEPS = 100
"""Approximate number of steps whose gradients are measured, besides the first one."""


class GradientNorms(L.Callback):
    """Measures the gradient of each kernel before it is clipped, in about STEPS training steps.

    The training is the same with and without it. A resumed training continues the table. A step
    whose gradients overflow in float16, which the optimizer skips, has no row.
    """

    def __init__(self, run_dir: str | Path, plan: Plan) -> None:
        """Write gradients.csv to ``run_dir``, with the names of the layers of ``plan``."""
        self.path, self.plan = Path(run_dir) / GRADIENTS, plan
        self.rows: list[Row] = []
        self.kernels: dict[str, nn.Parameter] = {}

    def on_train_start(self, _trainer: L.Trainer, module: L.LightningModule) -> None:
        """Find the kernels, and read the rows of an earlier process of this run."""
        training = cast(SegmentationModule, module)
        self.kernels = layer_kernels(training.network, self.plan)
        earlier = read_gradients(self.path) if self.path.is_file() else []
        self.rows = [row for row in earlier if row[0] <= training.schedule.step]

    def on_before_optimizer_step(
        self, trainer: L.Trainer, module: L.LightningModule, _optimizer: Optimizer
    ) -> None:
        """Measure the gradients if it is time to."""
        schedule = cast(SegmentationModule, module).schedule
        step = schedule.step + 1
        if step > 1 and step % max(1, schedule.total // STEPS):
            return
        norms = gradient_norms(self.kernels)
        if all(math.isfinite(norm) for norm in norms.values()):
            self.rows += [(step, layer, norm) for layer, norm in norms.items()]
            if trainer.is_global_zero:
                write_text(self.path, csv_text(COLUMNS, self.rows))


def gradient_norms(kernels: Mapping[str, nn.Parameter]) -> dict[str, float]:
    """Return the L2 norm of the gradient of each kernel that has one."""
    gradients = {name: kernel.grad for name, kernel in kernels.items() if kernel.grad is not None}
    # Together, so that a GPU is waited for once.
    norms = torch._foreach_norm(list(gradients.values())) if gradients else []
    values = torch.stack(list(norms)).tolist() if gradients else []
    return dict(zip(gradients, values, strict=True))


def gradient_measurements(run_dir: Path, samples_per_step: int) -> Iterator[Measurement]:
    """Yield the rows of gradients.csv; a run without this file has none."""
    path = run_dir / GRADIENTS
    for step, layer, norm in read_gradients(path) if path.is_file() else []:
        yield Measurement("gradient_norm", norm, layer=layer, samples=step * samples_per_step)


def read_gradients(path: Path) -> list[Row]:
    """Return the rows of a gradients.csv: step, name of the layer, norm.

    Raises:
        InputError: a file that cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                (int(row["step"]), row["layer"], float(row["norm"])) for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(
            path,
            expected=f"a table with the columns {', '.join(COLUMNS)}",
            found=f"{type(error).__name__}: {error}",
            remedy="Put the file back, or move it away: its rows are then missing.",
        ) from error
