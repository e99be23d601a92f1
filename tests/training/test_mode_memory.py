"""The choice of precision and layout stands for later runs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from segkit.config import TrainConfig
from segkit.dataset import Dataset
from segkit.plans import Plan
from segkit.training.calibrate import Mode
from segkit.training.fit import fit
from segkit.training.mode_memory import mode_key, recall_mode, remember_mode

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_remembered_is_recalled(here: Path) -> None:
    assert recall_mode("a") is None
    for key, mode in (("a", Mode("float32", "contiguous", 0.5)), ("b", Mode("bfloat16", "channels_last", 0.25))):
        remember_mode(key, mode)
    assert recall_mode("a") == Mode("float32", "contiguous", 0.5)
    assert recall_mode("b") == Mode("bfloat16", "channels_last", 0.25)


@pytest.mark.parametrize("content", ["", "[]", '{"a": {}}', '{"a": {"speed": 1}}'])
def test_a_file_of_others_is_not_believed(content: str, here: Path) -> None:
    (here / "runs").mkdir()
    (here / "runs/modes.json").write_text(content)
    assert recall_mode("a") is None
    remember_mode("a", Mode("float32", "contiguous"))
    assert recall_mode("a") == Mode("float32", "contiguous")


def test_a_folder_that_cannot_be_written_is_a_warning(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    (here / "runs").touch()
    remember_mode("a", Mode("float32", "contiguous"))
    assert "the choice of precision and layout is not remembered: " in caplog.text


def test_the_key_is_of_the_step(plan_for_balls: Plan) -> None:
    trainer = TrainConfig().trainer
    other_plan = dataclasses.replace(plan_for_balls, batch_size=1)
    keys = [
        mode_key(trainer, plan_for_balls, CPU),
        mode_key(trainer, other_plan, CPU),
        mode_key(dataclasses.replace(trainer, optimizer="sgd"), plan_for_balls, CPU),
    ]
    assert len(set(keys)) == 3
    assert mode_key(dataclasses.replace(trainer, learning_rate=1.0), plan_for_balls, CPU) == keys[0]


def test_a_second_run_computes_as_the_first(balls: Dataset, plan_for_balls: Plan, here: Path) -> None:
    config = TrainConfig()
    config.compute.name, config.trainer.precision = "cpu", "float32"
    config.trainer.max_steps, config.trainer.validations = 1, 0
    fit(config, plan_for_balls, balls, here / "first")
    modes = json.loads((here / "runs/modes.json").read_text())
    other = {"contiguous": "channels_last", "channels_last": "contiguous"}
    slower = {key: {**mode, "layout": other[mode["layout"]]} for key, mode in modes.items()}
    (here / "runs/modes.json").write_text(json.dumps(slower))
    fit(config, plan_for_balls, balls, here / "second")
    layouts = [
        json.loads((here / name / "bundle/bundle.json").read_text())["training"]["layout"]
        for name in ("first", "second")
    ]
    assert layouts[1] == other[layouts[0]]
