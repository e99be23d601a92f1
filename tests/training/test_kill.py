"""A run that is killed (-9) and resumed ends with bitwise the same weights and the same rows."""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from segkit.bundle.bundle import read_bundle
from segkit.cli import main

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills are POSIX")

SMALL = [
    "network.features=[4,8]",
    "plan.patch=[16,16,16]",
    "plan.spacing=[4,4,4]",
    "trainer.threads=1",
]
FIXED = [
    "trainer.precision=float32",
    "trainer.layout=contiguous",
]  # timing could choose otherwise in another run
OFTEN = [
    "trainer.max_steps=30",
    "trainer.accumulate=2",
    "trainer.validations=2",
    "trainer.checkpoint_steps=7",
]
TIMING = ("minutes", "seconds_per_step", "data_share")
TIMEOUT = 300
"""Seconds."""

Moment = Callable[[Path], bool]
"""Whether the moment has come to kill the training in a run folder."""


def words(phantom: Path, run: Path, length: list[str] = OFTEN) -> list[str]:
    return ["train", f"dataset={phantom}", f"run_dir={run}", *SMALL, *FIXED, *length]


def killed(arguments: list[str], run: Path, moment: Moment, delay: float = 0.0) -> bool:
    """Start a training, kill it ``delay`` seconds after ``moment``; False where it ended before."""
    resume = ["--resume"] if (run / "config.yaml").is_file() else []
    command = [sys.executable, "-m", "segkit", *arguments, *resume]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + TIMEOUT
    while process.poll() is None and not moment(run) and time.monotonic() < until:
        time.sleep(0.002)
    time.sleep(delay)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode in (0, -9), errors
    return process.returncode != 0


def same_rows(one: Path, other: Path) -> bool:
    """Return whether two files training.csv agree in everything that does not depend on time."""

    def rows(run: Path) -> list[dict[str, str]]:
        with (run / "training.csv").open() as file:
            return [
                {key: cell for key, cell in row.items() if key not in TIMING}
                for row in csv.DictReader(file)
            ]

    return rows(one) == rows(other)


def same_weights(one: Path, other: Path) -> bool:
    first, second = (read_bundle(run / "bundle").state("0") for run in (one, other))
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kill")


@pytest.fixture(scope="module")
def uninterrupted(phantom: Path, place: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(words(phantom, place / "whole")) == 0
    return place / "whole"


def check_finished(run: Path, uninterrupted: Path) -> None:
    assert (run / "finished.json").is_file()
    assert same_weights(run, uninterrupted)
    assert same_rows(run, uninterrupted)
    assert (run / "report.html").is_file()
    assert not list(run.rglob(".*"))  # what was being written when the process was killed


def test_killed_before_and_after_the_first_checkpoint(
    phantom: Path, place: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    run = place / "killed"
    assert killed(words(phantom, run), run, lambda run: (run / "config.yaml").is_file())
    assert main(words(phantom, run)) == 2  # needs --resume
    assert not (run / "checkpoints/last.ckpt").exists()
    assert killed(
        words(phantom, run), run, lambda run: (run / "checkpoints/last.ckpt").is_file(), delay=0.2
    )
    assert not (run / "finished.json").exists()
    assert main([*words(phantom, run), "--resume"]) == 0
    check_finished(run, uninterrupted)


def test_a_signal_before_the_first_step_leaves_nothing(
    phantom: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    run = place / "stopped"

    def stop() -> None:
        while not (run / "config.yaml").is_file():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop)
    stopper.start()
    assert main(words(phantom, run)) == 128 + signal.SIGTERM
    stopper.join()
    assert (
        "stopped; nothing was saved, and the same command starts from scratch"
        in capsys.readouterr().err
    )
    assert not run.exists()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.slow
def test_killed_at_twenty_random_moments(
    phantom: Path, place: Path, uninterrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    draw, kills, number = random.Random(4), 0, 0
    while kills < 20:
        number += 1
        run = place / f"random {number}"
        while not (run / "finished.json").is_file():
            # Some while Python starts, some after the first file of the run, some after the next
            # checkpoint.
            moment = draw.choice(
                [lambda _run: True, _has_plan, _renewed(run / "checkpoints/last.ckpt")]
            )
            kills += killed(words(phantom, run), run, moment, delay=draw.uniform(0, 2))
        check_finished(run, uninterrupted)


@pytest.mark.slow
def test_minutes_after_the_checkpoint_with_the_number_of_steps(
    phantom: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    # Long enough that on a busy machine, too, there is something left to do after the second kill.
    length = ["trainer.max_minutes=1", "trainer.validations=1", "trainer.checkpoint_minutes=0.05"]
    first, other = place / "minutes", place / "minutes killed"
    assert killed(words(phantom, first, length), first, _renewed(first / "checkpoints/last.ckpt"))
    shutil.copytree(first, other)
    assert main([*words(phantom, first, length), "--resume"]) == 0
    assert killed(
        words(phantom, other, length), other, _renewed(other / "checkpoints/last.ckpt"), delay=0.5
    )
    assert main([*words(phantom, other, length), "--resume"]) == 0
    assert same_weights(first, other)


def _has_plan(run: Path) -> bool:
    return (run / "plan.json").is_file()


def _renewed(path: Path) -> Moment:
    def time_of() -> int:
        return path.stat().st_mtime_ns if path.is_file() else 0

    before = time_of()
    return lambda _run: time_of() != before
