"""Rows of training.csv in TensorBoard and MLflow."""

from __future__ import annotations

import os
import sqlite3
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest

from segkit.config.compose import load
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import UsageError
from segkit.plans.plan import Plan
from segkit.training.fit import fit
from segkit.training.outputs.trackers import TRACKERS, check_tracker, log_row, open_tracker

ROW: dict[str, float | str] = {
    "step": 4,
    "loss": 0.5,
    "dice": 0.75,
    "dice_liver": 0.5,
    "ci95_dice_liver": 0.25,
}


def test_none_by_default(tmp_path: Path) -> None:
    check_tracker("none")
    assert open_tracker(load([]), tmp_path, 0) is None


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if any(distributions(name=name)):
        pytest.skip(f"{name} is there")
    (tmp_path / name).mkdir()  # Python would import a folder as a package
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UsageError,
        match=rf"logger={name} needs the package {name}. Type: pip install 'segkit\[{name}\]'",
    ):
        check_tracker(name)


def config(name: str) -> TrainConfig:
    return load(["dataset=/home/jane doe", f"logger={name}", "seed=3"])


def test_tensorboard_drops_the_steps_that_a_resumed_run_repeats(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for step, losses in ((0, {1: 9.0, 2: 8.0, 3: 7.0}), (2, {3: 6.0, 4: 5.0})):
        logger: Any = open_tracker(config("tensorboard"), tmp_path, step)
        for at, loss in losses.items():
            log_row(logger, {**ROW, "step": at, "loss": loss}, {"liver": 1})
        logger.finalize("success")
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [
        (1, 9.0),
        (2, 8.0),
        (3, 6.0),
        (4, 5.0),
    ]
    assert {"dice", "dice/liver", "ci95_dice/liver"} <= set(events.Tags()["scalars"])
    settings = (tmp_path / "tensorboard/hparams.yaml").read_text()
    assert "seed: '3'" in settings
    assert "jane" not in settings


def test_a_run_logs_its_rows(balls: Dataset, plan_for_balls: Plan, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    words = [
        "compute=cpu",
        "trainer.precision=float32",
        "trainer.layout=contiguous",
        "trainer.max_steps=3",
    ]
    fit(load([*words, "logger=tensorboard"]), plan_for_balls, balls, tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [1, 2, 3]


class Kept:
    """A logger that keeps what is logged."""

    def log_metrics(self, numbers: dict[str, float], step: int) -> None:
        self.numbers, self.step = numbers, step


def test_labels_that_trackers_do_not_accept_get_unique_names() -> None:
    kept: Any = Kept()
    row: dict[str, float | str] = {"step": 1, "dice": "", "dice_肝臓": 0.5, "dice_脾臓": 0.25}
    del row["dice"]
    log_row(kept, row, {"肝臓": 1, "脾臓": 2})
    assert kept.numbers == {"dice/label_1": 0.5, "dice/label_2": 0.25}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_continues_in_a_local_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for step in (0, 4):
        logger: Any = open_tracker(config("mlflow"), tmp_path / "run", step)
        log_row(logger, {**ROW, "step": step + 1}, {"liver": 1})
        logger.finalize("success")
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    with sqlite3.connect(tmp_path / "runs/mlflow.db") as base:
        assert base.execute("select step, value from metrics where key = 'loss'").fetchall() == [
            (1, 0.5),
            (5, 0.5),
        ]
        assert base.execute("select count(*) from runs").fetchone() == (1,)
