"""Jobs through submitit: their resources, and whole trainings with its local executor."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segkit.config.schema import ComputeConfig
from segkit.config.sweep import combinations
from segkit.errors import UsageError
from segkit.studies.slurm import Job, SlurmTrainer, _outcome, job_overrides, slurm_executor
from segkit.studies.sweep.study import sweep
from tests.small_training import QUICK, SMALL

submitit = pytest.importorskip("submitit", reason="submitit is an optional package")


@pytest.fixture
def srun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a SLURM command."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")


def asked_for(compute: ComputeConfig, folder: Path) -> dict[str, Any]:
    return dict(slurm_executor(compute, folder)._executor.parameters)


def test_the_resources_requested_from_slurm(srun: None, tmp_path: Path) -> None:
    compute = ComputeConfig("slurm", partition="gpu", timeout=90, gpus=1, cpus=6, memory="16GiB")
    assert asked_for(compute, tmp_path) == {
        "job_name": "segkit",
        "time": 90,
        "cpus_per_task": 6,
        "mem": "16GB",
        "gpus_per_node": 1,
        "partition": "gpu",
    }


def test_no_gpu_and_no_partition_are_not_requested(srun: None, tmp_path: Path) -> None:
    asked = asked_for(ComputeConfig("slurm", gpus=0), tmp_path)
    assert not {"gpus_per_node", "partition"} & asked.keys()


def test_no_slurm_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        UsageError,
        match=r"compute=slurm: there is no srun here. Start this on a machine with SLURM's",
    ):
        slurm_executor(ComputeConfig("slurm"), tmp_path)


def test_a_job_trains_on_the_resources_that_it_got() -> None:
    words = ["seed=1", "compute=slurm", "compute.cpus=4"]
    assert job_overrides(words) == ("seed=1", "compute=gpu")
    assert job_overrides([*words, "compute.gpus=0"]) == ("seed=1", "compute=cpu")


def test_a_preempted_job_continues_as_the_same_job() -> None:
    job = Job(("seed=1",))
    again = job.checkpoint()
    assert isinstance(again, submitit.helpers.DelayedSubmission)
    assert again.function is job


def test_trainings_as_jobs(phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        f"dataset={phantom}",
        "compute=slurm",
        "compute.gpus=0",
        "network.num_groups=1,3",
        *SMALL,
        *QUICK[:2],
    ]
    words.append("trainer.threads=1")  # the layout is left open: a job of its own measures it
    path, results = sweep(
        combinations(words), SlurmTrainer(submitit.LocalExecutor(tmp_path / "jobs"))
    )
    done, failed = results
    assert done.run_dir is not None
    assert (tmp_path / done.run_dir / "bundle" / "bundle.json").is_file()
    measured = json.loads((path.parent / "measured.json").read_text())
    assert done.figures is not None
    assert done.figures.layout == measured["layout"]
    assert "network.num_groups=3 does not divide its 4 channels" in failed.message
    assert path.is_file()


def test_a_job_that_dies_is_an_outcome(tmp_path: Path) -> None:
    outcome = _outcome(submitit.LocalExecutor(tmp_path).submit(int, "x"))
    assert outcome.run_dir is None
    assert "failed" in outcome.message
    assert outcome.message.endswith("_0_log.err may say why")
