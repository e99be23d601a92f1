"""Trainings of a search as jobs: their words, and what has to be given."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.errors import UsageError
from segkit.studies.cells import StudyCell
from segkit.studies.search.jobs import CellJob, JobCells, check_measured, words_of_jobs
from segkit.studies.search.settings import SEARCH
from segkit.studies.search.study import train_search_cell

submitit = pytest.importorskip("submitit", reason="submitit is an optional package")

MEASURED = ["trainer.precision=float32", "trainer.layout=contiguous", "trainer.max_steps=8"]


def test_a_job_has_the_folder_and_the_resources_that_it_got(tmp_path: Path) -> None:
    words = ["seed=1", "compute=slurm", "compute.cpus=4", "run_dir=elsewhere"]
    assert words_of_jobs(words, tmp_path) == ("seed=1", "compute=gpu", f"run_dir={tmp_path}")


def test_nothing_is_measured_on_the_machine_that_submits() -> None:
    def check(*words: str) -> None:
        _, settings, config = SEARCH.read_words(["dataset=scans", "compute=slurm", *words])
        check_measured(config, settings)

    check("budget.macs=1e9", *MEASURED)
    with pytest.raises(UsageError, match=r"give trainer.precision, trainer.layout and trainer.max"):
        check("budget.macs=1e9")
    with pytest.raises(UsageError, match=r"give budget.macs or budget.parameters"):
        check("budget.memory=8GB", *MEASURED)


def test_a_preempted_job_continues_as_the_same_job() -> None:
    job = CellJob(train_search_cell, ("seed=1",), {"steps": 8})
    assert job.checkpoint().function is job


def test_a_job_that_fails_is_a_result_with_its_message(tmp_path: Path) -> None:
    cell = StudyCell("a", {"steps": 8}, {}, lambda _folder: {})
    words = ("dataset=scans", "budget.macs=1e9", "study.trials=1")
    executor = submitit.LocalExecutor(tmp_path / "jobs")
    executor.update_parameters(timeout_min=30)
    (result,) = JobCells(executor, words, train_search_cell)(tmp_path, [cell])
    assert result.status == "failed"
    assert "study.trials must be a whole number from 4" in result.message
