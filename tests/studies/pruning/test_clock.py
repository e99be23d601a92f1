"""Length of the rounds of a pruning; the clock is set by hand."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest

from segkit.config.schema import TrainerConfig
from segkit.errors import InputError
from segkit.studies.pruning.clock import Clock
from segkit.studies.pruning.settings import Budget

BUDGET = Budget(macs=0.5, rounds=3)


def clock(folder: Path, trainer: TrainerConfig, elapsed: float = 0.0) -> Clock:
    return Clock(folder, trainer, BUDGET, time.monotonic() - elapsed)


@pytest.mark.parametrize("steps", [1000, 1001, 7])
def test_the_steps_of_all_rounds_add_up(tmp_path: Path, steps: int) -> None:
    times = clock(tmp_path, TrainerConfig(max_steps=steps))
    lengths = [times.trainer(number).max_steps for number in (1, 2, 3)]
    assert sum(length or 0 for length in lengths) == steps
    assert lengths[2] == pytest.approx(0.75 * steps, abs=1)


def test_a_round_gets_its_share_of_the_minutes_that_are_left(tmp_path: Path) -> None:
    times = clock(tmp_path, TrainerConfig(max_minutes=10.0), elapsed=72.0)
    # 10 minutes less 12 % for the comparison and less 72 seconds are 7.6 minutes; rounds 1 : 1 : 6.
    assert times.trainer(1).max_minutes == pytest.approx(0.95, abs=0.02)
    assert times.trainer(3).max_minutes == pytest.approx(7.6, abs=0.02)
    assert times.left() == pytest.approx(528, abs=2)


@pytest.mark.parametrize(("startup", "minutes"), [(3.0, 8.8), (60.0, 8.0), (600.0, 7.0)])
def test_on_a_busy_machine_more_is_kept_for_the_comparison(
    tmp_path: Path, startup: float, minutes: float
) -> None:
    trainer, now = TrainerConfig(max_minutes=10.0), time.monotonic()
    times = Clock(tmp_path, trainer, BUDGET, now, startup=startup)
    assert times.trainer(3).max_minutes == pytest.approx(minutes, abs=0.02)


def test_a_window_begins_now(tmp_path: Path) -> None:
    minutes = clock(tmp_path, TrainerConfig(max_minutes=10.0), elapsed=300.0)
    assert minutes.window(0.05)() == pytest.approx(30, abs=2)
    assert clock(tmp_path, TrainerConfig(max_steps=5)).window(0.05)() == math.inf


def test_an_interrupted_pruning_counts_its_finished_rounds(tmp_path: Path) -> None:
    first = clock(tmp_path, TrainerConfig(max_minutes=10.0), elapsed=120.0)
    first.finish_round({"share": 0.8})
    again = clock(tmp_path, TrainerConfig(max_minutes=10.0))
    assert again.rounds == [{"share": 0.8, "seconds": pytest.approx(120.0, abs=2)}]
    assert again.left() == pytest.approx(480, abs=3)


def test_without_time_left_a_round_is_short(tmp_path: Path) -> None:
    times = clock(tmp_path, TrainerConfig(max_minutes=1.0), elapsed=600.0)
    assert times.trainer(2).max_minutes == 0.05


@pytest.mark.parametrize("content", ["", "[1]", json.dumps([{"share": 0.5}])])
def test_a_damaged_file_of_rounds(tmp_path: Path, content: str) -> None:
    (tmp_path / "rounds.json").write_text(content)
    with pytest.raises(InputError, match=r"rounds.json: expected the finished rounds of a pruning"):
        clock(tmp_path, TrainerConfig())
