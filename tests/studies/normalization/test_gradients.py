"""Gradient norms of the layers over a training, which is the same with and without them."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn

from segkit.bundle.bundle import read_bundle
from segkit.dataset.dataset import Dataset
from segkit.errors import InputError, Interrupted
from segkit.plans.plan import Plan
from segkit.studies.normalization.gradients import (
    GradientNorms,
    Row,
    gradient_measurements,
    gradient_norms,
    read_gradients,
)
from segkit.studies.normalization.trained_cell import TrainedCell
from segkit.training.fit import fit
from segkit.training.optimization.schedule import Schedule
from tests.training.test_fit import StopAt, config


def test_norms_computed_by_hand() -> None:
    kernel, unused = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2))
    kernel.grad = torch.tensor([3.0, 4.0])
    assert gradient_norms({"a": kernel, "b": unused}) == {"a": 5.0}
    assert gradient_norms({}) == {}


def test_every_layer_has_a_row_in_every_step_of_a_short_training(batch_cell: TrainedCell) -> None:
    rows = read_gradients(batch_cell.run_dir / "gradients.csv")
    names = [layer.name for layer in batch_cell.plan.network.layers]
    assert [(step, layer) for step, layer, _ in rows] == [
        (step, name) for step in (1, 2, 3) for name in names
    ]
    assert all(norm > 0 for _, _, norm in rows)
    found = list(gradient_measurements(batch_cell.run_dir, batch_cell.samples_per_step))
    assert [m.samples for m in found if m.layer == names[0]] == [2, 4, 6]


def test_the_training_is_the_same_without_measuring(
    batch_run: Path, train_cell: Callable[..., Path]
) -> None:
    other = train_cell("network.norm=batch", measured=False)
    one, two = read_bundle(batch_run).state("0"), read_bundle(other).state("0")
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert list(gradient_measurements(other, 2)) == []


def after(step: int, total: int, network: nn.Module) -> Any:
    """Return what the callback looks at in a module after some steps."""
    return SimpleNamespace(network=network, schedule=Schedule(total, step=step))


def test_a_resumed_training_continues_the_table(
    balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    def train(folder: str, *others: L.Callback) -> list[Row]:
        measuring = GradientNorms(tmp_path / folder, plan_for_balls)
        fit(config(), plan_for_balls, balls, tmp_path / folder, callbacks=[measuring, *others])
        return read_gradients(tmp_path / folder / "gradients.csv")

    whole = train("whole")
    with pytest.raises(Interrupted):
        train("resumed", StopAt(2, signal.SIGTERM))
    assert len(read_gradients(tmp_path / "resumed/gradients.csv")) == len(whole) / 2
    assert train("resumed") == whole


def test_rows_after_the_checkpoint_are_dropped(batch_cell: TrainedCell, tmp_path: Path) -> None:
    # A run that was killed after step 4 and resumes from step 3 does step 4 again.
    (tmp_path / "gradients.csv").write_text("step,layer,norm\n1,a,0.5\n4,a,0.25\n")
    measuring = GradientNorms(tmp_path, batch_cell.plan)
    trainer: Any = SimpleNamespace(is_global_zero=True)
    measuring.on_train_start(trainer, after(3, 400, batch_cell.network))
    assert measuring.rows == [(1, "a", 0.5)]


def test_a_step_that_overflows_has_no_row(batch_cell: TrainedCell, tmp_path: Path) -> None:
    measuring, trainer = GradientNorms(tmp_path, batch_cell.plan), SimpleNamespace(is_global_zero=1)
    kernel = nn.Parameter(torch.zeros(1))
    kernel.grad = torch.tensor([float("inf")])
    measuring.kernels = {"a": kernel}
    measuring.on_before_optimizer_step(trainer, after(0, 4, kernel), trainer)  # type: ignore[arg-type]
    assert not (tmp_path / "gradients.csv").exists()


def test_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "gradients.csv").write_text("step,layer\n1,a\n")
    with pytest.raises(InputError, match=r"gradients.csv: expected a table with the columns step"):
        read_gradients(tmp_path / "gradients.csv")
