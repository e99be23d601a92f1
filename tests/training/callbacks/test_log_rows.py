"""Rows of training.csv: when one is due and what it holds."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch

from segkit.plans.plan import Plan
from segkit.training.callbacks.log_rows import LogRows
from segkit.training.optimization.schedule import Schedule
from segkit.training.time_budget import Timing
from segkit.training.validation import ValidationScore


def log_rows(folder: Path, plan: Plan) -> LogRows:
    return LogRows(folder, plan, Timing(), tracker=None)


def test_a_training_of_200_steps_has_a_row_every_second_step(tmp_path: Path, plan: Plan) -> None:
    rows = log_rows(tmp_path, plan)
    assert [rows.is_due(Schedule(200, step=step)) for step in (1, 2, 3)] == [False, True, False]
    assert rows.is_due(Schedule(201, step=201))


def test_a_row_holds_the_mean_loss_and_the_score(tmp_path: Path, plan: Plan, module: Any) -> None:
    rows = log_rows(tmp_path, plan)
    rows.batch_losses = [torch.tensor(1.0), torch.tensor(2.0)]
    assert rows.latest_loss() == 2.0
    rows.add(module, ValidationScore({"low": 0.5}, cases=1))
    assert (rows.latest_loss(), rows.batch_losses) == (1.5, [])
    rows.write()
    with (tmp_path / "training.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["step"], row["loss"], row["learning_rate"]) == ("2", "1.5", "0.25")
    assert (row["dice"], row["cases"]) == ("0.5", "1")
    assert (tmp_path / "progress.png").is_file()


def test_the_state_of_a_checkpoint_comes_back(tmp_path: Path, plan: Plan) -> None:
    rows, resumed = log_rows(tmp_path, plan), log_rows(tmp_path, plan)
    rows.batch_losses, rows.mean_loss = [torch.tensor(1.0)], 3.0
    resumed.load_state_dict(rows.state_dict())
    assert (resumed.latest_loss(), resumed.mean_loss) == (1.0, 3.0)
