"""The whole study on a few real scans: killed, continued, and shared by two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segkit.studies.search.study import study_scaling_search

pytestmark = pytest.mark.slow

WORDS = [
    "plan.spacing=[2.5,2.5,2.5]",
    "budget.macs=2e8",
    "study.trials=4",
    "study.rungs=2",
    "study.batch=2",
    "study.top=1",
    "study.seeds=[0,1]",
    "study.baselines=[random,flat]",
    "trainer.max_steps=8",
    "trainer.precision=float32",
    "trainer.layout=contiguous",
    "trainer.batch_size=1",
]


@pytest.fixture(scope="module")
def table(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of ten scans of the hippocampus."""
    root = data_root / "Task04_Hippocampus"
    scans = sorted(path for path in (root / "imagesTr").glob("hippocampus*.nii.gz"))[:10]
    rows = [f"{path.name[:-7]},{path},{root / 'labelsTr' / path.name}" for path in scans]
    path = tmp_path_factory.mktemp("table") / "hippocampus.csv"
    path.write_text("\n".join(["case,image,label", *rows]) + "\n")
    return path


def started(table: Path, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "segkit", "study", "scaling_search", str(table)]
    return subprocess.Popen([*command, f"run_dir={folder}", *WORDS])


def results(folder: Path) -> tuple[object, str]:
    summary = json.loads((folder / "summary.json").read_text())
    return [summary[key] for key in ("chosen", "finalists", "pareto", "points")], (
        folder / "results.csv"
    ).read_text()


@pytest.fixture(scope="module")
def through(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that ran through."""
    folder = tmp_path_factory.mktemp("through") / "run"
    assert started(table, folder).wait(1800) == 0
    return folder


def test_the_overrides_are_those_of_the_chosen_training(through: Path) -> None:
    summary = json.loads((through / "summary.json").read_text())
    name = summary["chosen"]["name"]
    config = (through / f"{name}_steps8_seed0" / "config.yaml").read_text()
    assert "patch=[" in "".join(summary["overrides"])
    widths = next(word for word in summary["overrides"] if word.startswith("network.features="))
    listed = [f"  - {width}\n" for width in json.loads(widths.partition("=")[2])]
    assert f"  features:\n{''.join(listed)}" in config
    assert "plan.spacing=[2.5,2.5,2.5]" in summary["overrides"]


def test_killed_and_continued_it_equals_one_that_ran_through(
    table: Path, through: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    process = started(table, folder)
    until = time.monotonic() + 900
    while len(list((folder / "cells").glob("*seed0.json"))) < 3 and time.monotonic() < until:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert started(table, folder).wait(1800) == 0
    assert results(folder) == results(through)


def test_two_processes_share_the_trainings(table: Path, through: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = started(table, folder)
    until = time.monotonic() + 900
    while not (folder / "search.db").is_file() and time.monotonic() < until:
        time.sleep(0.2)
    second = started(table, folder)
    assert [first.wait(1800), second.wait(1800)] == [0, 0]
    assert results(folder) == results(through)


def test_trainings_as_jobs(
    table: Path, through: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitit = pytest.importorskip("submitit", reason="submitit is an optional package")
    folder = tmp_path / "run"
    executor = submitit.LocalExecutor(tmp_path / "jobs")
    executor.update_parameters(timeout_min=60)
    monkeypatch.setattr("segkit.studies.search.study.slurm_executor", lambda *_: executor)
    words = [f"dataset={table}", f"run_dir={folder}", "compute=slurm", "compute.gpus=0", *WORDS]
    study_scaling_search(*words)
    assert results(folder) == results(through)
