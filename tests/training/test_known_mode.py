"""A mode that was timed before is taken again for the same network on the same machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from segkit.config.schema import TrainerConfig
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.training.precision import mode_file, read_mode, write_mode

CPU = torch.device("cpu")


def test_a_timed_mode_comes_back(plan_for_balls: Plan, tmp_path: Path) -> None:
    place = mode_file(tmp_path, plan_for_balls, TrainerConfig(), CPU)
    assert read_mode(place) is None
    write_mode(place, ComputeMode("bfloat16", "contiguous", 0.25))
    assert read_mode(place) == ComputeMode("bfloat16", "contiguous", 0.25)


def test_a_mode_that_was_not_timed_is_not_kept(tmp_path: Path) -> None:
    write_mode(tmp_path / "mode.json", ComputeMode("bfloat16", "contiguous"))
    assert not list(tmp_path.iterdir())


def test_network_wishes_and_threads_count(plan_for_balls: Plan, tmp_path: Path) -> None:
    larger = dataclasses.replace(plan_for_balls, batch_size=3)
    asked = [
        (plan_for_balls, TrainerConfig()),
        (larger, TrainerConfig()),
        (plan_for_balls, TrainerConfig(loss="ce")),
    ]
    threads = torch.get_num_threads()
    found = {mode_file(tmp_path, plan, trainer, CPU) for plan, trainer in asked}
    try:
        torch.set_num_threads(threads + 1)
        found.add(mode_file(tmp_path, plan_for_balls, TrainerConfig(), CPU))
    finally:
        torch.set_num_threads(threads)
    assert len(found) == 4


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"precision": "int8", "layout": "contiguous", "seconds": 1}', '{"other": 1}'],
)
def test_a_damaged_file_counts_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "mode.json").write_text(text)
    assert read_mode(tmp_path / "mode.json") is None
