"""Rewind files: what they hold, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

from segkit.config.compose import load
from segkit.errors import InputError, UsageError
from segkit.training.initialization.origin import open_origin
from segkit.training.optimization.schedule import Schedule
from segkit.training.outputs.rewind import KIND, read_rewind, write_rewind


def after(step: int, total: int = 10) -> Schedule:
    schedule = Schedule(total)
    for _ in range(step):
        schedule.advance()
    return schedule


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


@pytest.fixture
def run(network: nn.Module, tmp_path: Path) -> Path:
    write_rewind(tmp_path / "rewind.safetensors", network, after(3))
    return tmp_path


def test_parameters_and_buffers_come_back_bitwise(run: Path, network: nn.Module) -> None:
    other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    other[1].running_mean.fill_(5)
    read_rewind(run).fill(other)
    for name, value in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_the_schedule_goes_on_at_the_step(run: Path) -> None:
    rewind = read_rewind(run / "rewind.safetensors")
    assert rewind.continued(Schedule(10), in_steps=True) == after(3)
    # Of another length: 3 of 6 steps are half of it.
    assert rewind.continued(Schedule(6), in_steps=True).progress == pytest.approx(0.5)
    # With minutes the schedule is as long as the time, and the progress is that of the file.
    timed = rewind.continued(Schedule(100, augment_until=0.5), in_steps=False)
    assert (timed.step, timed.remaining, timed.progress) == (3, 100, after(3).progress)
    # Augmentation ends at progress 0.5: 0.3 + 0.7 * 29 / 100 is the first value above it.
    assert timed.plain_from == 3 + 29


def test_a_training_that_has_no_step_left_is_refused_at_once(run: Path) -> None:
    with pytest.raises(InputError, match=r"before the last one, 3, found those after step 3"):
        open_origin(load(["dataset=x", f"rewind={run}", "trainer.max_steps=3"]))
    with pytest.raises(InputError, match=r"Give a larger trainer.max_steps"):
        read_rewind(run).continued(Schedule(2), in_steps=True)


def test_minutes_do_not_continue_where_the_learning_rate_is_zero(
    network: nn.Module, tmp_path: Path
) -> None:
    write_rewind(tmp_path / "rewind.safetensors", network, after(10))
    with pytest.raises(InputError, match=r"before the last one of their training.*weights=RUN"):
        open_origin(load(["dataset=x", f"rewind={tmp_path}", "trainer.max_minutes=1"]))
    with pytest.raises(InputError, match="found those after step 10"):
        read_rewind(tmp_path).continued(Schedule(100), in_steps=False)
    # Of a longer training it is a step before the last.
    assert read_rewind(tmp_path).continued(Schedule(20), in_steps=True).progress < 1


def test_a_rewind_step_before_the_first_is_refused(run: Path) -> None:
    words = ["dataset=x", f"rewind={run}", "trainer.max_steps=9"]
    with pytest.raises(UsageError, match=r"rewind_step=2 never comes: .* after step 3"):
        open_origin(load([*words, "trainer.rewind_step=2"]))
    assert open_origin(load([*words, "trainer.rewind_step=3"])).rewind


def test_the_newest_run_is_a_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    (run / "runs/1").mkdir(parents=True)
    (run / "rewind.safetensors").rename("runs/1/rewind.safetensors")
    (run / "runs/latest").write_text("1\n")
    assert read_rewind("runs/latest").path == Path("runs/1/rewind.safetensors")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(2)), r"0.bias of the network to train"),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), r"1.bias of the network to train: none, found"),
    ],
)
def test_another_network_is_refused(run: Path, other: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_rewind(run).fill(other)


def test_the_hash_is_that_of_weights_and_step(run: Path, network: nn.Module) -> None:
    first = read_rewind(run)
    write_rewind(run / "rewind.safetensors", network, after(3))
    assert read_rewind(run).hash == first.hash
    assert dataclasses.replace(first, step=4).hash != first.hash


@pytest.mark.parametrize(
    ("value", "facts", "message"),
    [
        (1.0, {"step": "x", "progress": "0"}, "finite weights, and the step and progress"),
        (1.0, {"progress": "0"}, "found 'step'"),
        (1.0, {"step": "-1", "progress": "0.5"}, "found step -1, progress 0.5"),
        (1.0, {"step": "1", "progress": "nan"}, "found step 1, progress nan"),
        (float("inf"), {"step": "1", "progress": "0.5"}, "values in a that are not finite"),
    ],
)
def test_impossible_files_are_refused(
    value: float, facts: dict[str, str], message: str, tmp_path: Path
) -> None:
    KIND.write(tmp_path / "rewind.safetensors", {"a": torch.tensor(value)}, facts)
    with pytest.raises(InputError, match=message):
        read_rewind(tmp_path)


def test_a_run_without_the_file_says_how_to_write_it(tmp_path: Path) -> None:
    for where in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"rewind.safetensors.*trainer.rewind_step=N"):
            read_rewind(where)
