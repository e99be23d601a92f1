"""Precision and memory format of a training: chosen by timing, and kept for later runs."""

from __future__ import annotations

import dataclasses
import logging
import time
from pathlib import Path

import pytest
import torch

from segkit.config.schema import TrainerConfig
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.training.precision import choose_mode, mode_file, read_mode, write_mode

CPU = torch.device("cpu")


def test_the_fastest_layout_wins_and_its_time_is_kept() -> None:
    def step(mode: ComputeMode) -> None:
        time.sleep(0.02 if mode.layout == "contiguous" else 0.06)

    mode = choose_mode(TrainerConfig(precision="float32"), CPU, step)
    assert (mode.precision, mode.layout) == ("float32", "contiguous")
    assert 0.02 <= mode.seconds < 0.06


def test_a_mode_much_slower_than_the_best_is_timed_once() -> None:
    calls: list[str] = []

    def step(mode: ComputeMode) -> None:
        calls.append(mode.layout)
        time.sleep(0.01 if mode.layout == "channels_last" else 0.1)

    assert choose_mode(TrainerConfig(precision="float32"), CPU, step).layout == "channels_last"
    assert calls.count("contiguous") == 1


def test_given_settings_are_timed_only_to_plan_minutes() -> None:
    seen: list[ComputeMode] = []
    trainer = TrainerConfig(precision="bfloat16", layout="contiguous", max_minutes=1)
    mode = choose_mode(trainer, CPU, seen.append)
    assert (mode.precision, mode.layout) == ("bfloat16", "contiguous")
    assert {(each.precision, each.layout) for each in seen} == {("bfloat16", "contiguous")}
    seen.clear()
    choose_mode(
        TrainerConfig(precision="bfloat16", layout="contiguous", max_steps=1), CPU, seen.append
    )
    assert not seen


def test_timing_ends_when_its_share_of_the_minutes_is_spent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    seen: list[ComputeMode] = []

    def step(mode: ComputeMode) -> None:
        seen.append(mode)
        time.sleep(0.01)

    mode = choose_mode(TrainerConfig(precision="float32"), CPU, step, limit=0.005)
    assert (mode.layout, len(seen)) == ("channels_last", 1)
    assert "float32 contiguous: no time to try it" in caplog.text


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_modes_are_timed_on_a_gpu() -> None:
    x = torch.ones(64, 64, device="cuda")
    mode = choose_mode(TrainerConfig(), torch.device("cuda"), lambda _: (x @ x).sum().item())
    assert mode.precision in {"float32", "bfloat16", "float16"}


def test_a_timed_mode_comes_back(plan_for_balls: Plan, tmp_path: Path) -> None:
    path = mode_file(tmp_path, plan_for_balls, TrainerConfig(), CPU)
    assert read_mode(path) is None
    write_mode(path, ComputeMode("bfloat16", "contiguous", 0.25))
    assert read_mode(path) == ComputeMode("bfloat16", "contiguous", 0.25)


def test_a_mode_that_was_not_timed_is_not_kept(tmp_path: Path) -> None:
    write_mode(tmp_path / "mode.json", ComputeMode("bfloat16", "contiguous"))
    assert not list(tmp_path.iterdir())


def test_network_settings_and_threads_count(plan_for_balls: Plan, tmp_path: Path) -> None:
    larger = dataclasses.replace(plan_for_balls, batch_size=3)
    settings = [
        (plan_for_balls, TrainerConfig()),
        (larger, TrainerConfig()),
        (plan_for_balls, TrainerConfig(loss="ce")),
    ]
    threads = torch.get_num_threads()
    files = {mode_file(tmp_path, plan, trainer, CPU) for plan, trainer in settings}
    try:
        torch.set_num_threads(threads + 1)
        files.add(mode_file(tmp_path, plan_for_balls, TrainerConfig(), CPU))
    finally:
        torch.set_num_threads(threads)
    assert len(files) == 4


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"precision": "int8", "layout": "contiguous", "seconds": 1}', '{"other": 1}'],
)
def test_a_damaged_file_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "mode.json").write_text(text)
    assert read_mode(tmp_path / "mode.json") is None
