"""Several processes that train one network: real ones on the CPU, connected by gloo."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning.fabric.plugins.environments.lightning import find_free_network_port

from segkit.bundle.bundle import read_bundle
from segkit.cli import main
from segkit.config.schema import ComputeConfig
from segkit.dataset.phantom import write_phantom
from segkit.errors import UsageError
from segkit.training.compute.distributed import ALONE, Ranks, start_ranks
from segkit.training.compute.slurm import in_job, requeue, was_requeued
from segkit.training.data.patches import PatchNumbers

WORDS = [
    "network.features=[4,8]",
    "plan.patch=[16,16,16]",
    "plan.spacing=[4,4,4]",
    "trainer.validations=2",
]
SMALL = [
    *WORDS,
    "trainer.precision=float32",
    "trainer.layout=contiguous",
    "trainer.threads=1",
    "trainer.batch_size=2",
]
TWO = ["compute=ddp", "compute.devices=2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six cases in ``data``, of which two validate."""
    folder = tmp_path_factory.mktemp("ranks")
    write_phantom(folder / "data", 6)
    return folder


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are gone when the test is over."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def segkit(folder: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    """`segkit train` in a process of its own, with a group of its own."""
    command = [sys.executable, "-m", "segkit", "train", "dataset=data", *SMALL, *words]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", **environment}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def until(process: subprocess.Popen[str], words: str) -> str:
    """What ``process`` says up to a line with ``words``."""
    lines: list[str] = []
    while not lines or words not in lines[-1]:
        line = process.stderr.readline()  # type: ignore[union-attr]
        assert line, "".join(lines)
        lines.append(line)
    return "".join(lines)


def all_ended(group: int) -> bool:
    """Return whether all processes of the group have ended after a while."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def difference(one: Path, other: Path) -> float:
    """Return the largest difference of weights, relative to the largest weight of the tensor."""
    states = [read_bundle(run).state("0") for run in (one, other)]
    return max(
        float((states[0][name] - value).abs().max() / value.abs().max())
        for name, value in states[1].items()
    )


def test_two_processes_train_what_one_trains(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = segkit(folder, *TWO, "trainer.max_steps=6", "run_dir=two")
    out, err = run.communicate()
    assert run.returncode == 0, err
    monkeypatch.chdir(folder)
    assert (
        main(["train", "dataset=data", *SMALL, "compute=cpu", "trainer.max_steps=6", "run_dir=one"])
        == 0
    )
    # Rounding only: gradients of halves are summed in another order. 1e-6 was seen.
    assert difference(folder / "two", folder / "one") < 1e-4
    metrics = [read_bundle(run).card["metrics"] for run in ("one", "two")]
    assert metrics[0]["cases"] == metrics[1]["cases"] == 2
    assert metrics[0]["dice"] == pytest.approx(metrics[1]["dice"], abs=1e-3)
    overlaps = [read_bundle(run).card["overlap"] for run in ("one", "two")]
    assert overlaps[0] == overlaps[1] == {"cases": 0, "same_windows": 2, "dice": {}}
    assert [err.count("the run is in two"), out.count("Training is done"), err.count("INFO")] == [
        1,
        1,
        0,
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("norm", "equal"), [("group_ws", True), ("batch_renorm", False)])
def test_two_processes_with_other_norms(folder: Path, norm: str, equal: bool) -> None:
    words = [f"network.norm={norm}", "trainer.max_steps=6", "trainer.accumulate=2"]
    runs = [
        segkit(folder, *words, *place, f"run_dir={norm}_{count}")
        for count, place in ((1, ["compute=cpu"]), (2, TWO))
    ]
    for run in runs:
        _, err = run.communicate()
        assert run.returncode == 0, err
    # Statistics of a batch are those of the samples of one process.
    apart = difference(folder / f"{norm}_1", folder / f"{norm}_2")
    assert apart < 1e-4 if equal else apart > 1e-3
    state = read_bundle(folder / f"{norm}_2").state("0")
    counters = [int(value) for name, value in state.items() if name.endswith("norm.batches")]
    assert set(counters) == (set() if equal else {12})


def test_a_signal_to_one_process_ends_all(
    folder: Path, processes: list[subprocess.Popen[str]]
) -> None:
    run = segkit(folder, *TWO, "trainer.max_steps=100000", "run_dir=stopped")
    processes.append(run)
    until(run, "step 1 of 100000")
    run.terminate()
    _, err = run.communicate()
    assert run.returncode == 128 + signal.SIGTERM, err
    assert err.count("is usable, and the same command with --resume continues") == 1
    assert all_ended(run.pid)
    assert (folder / "stopped/checkpoints/last.ckpt").is_file()


@pytest.mark.slow
def test_when_one_process_is_killed_all_end(
    folder: Path, processes: list[subprocess.Popen[str]]
) -> None:
    run = segkit(folder, *TWO, "trainer.max_steps=100000", "run_dir=killed")
    processes.append(run)
    until(run, "step 1 of 100000")
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    if not children.is_file():
        pytest.skip("no list of children here")
    os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
    _, err = run.communicate()
    # Either the broken connection is noticed first, or Lightning's check of its child processes
    # every five seconds.
    assert run.returncode in (1, -signal.SIGKILL)
    assert run.returncode != 1 or "segkit: error: another process of this training has ended" in err
    assert all_ended(run.pid)


def test_an_error_of_the_first_process_is_reported_once_and_ends_all(
    folder: Path, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    shutil.copytree(folder / "data", tmp_path / "data")
    for label in (tmp_path / "data/labelsTr").iterdir():
        label.write_bytes(label.read_bytes()[:500])
    run = segkit(tmp_path, *TWO, "run_dir=broken")
    processes.append(run)
    _, err = run.communicate()
    assert run.returncode == 3, err
    assert err.count("segkit: error: ") == 1
    assert all_ended(run.pid)
    assert not (tmp_path / "broken").exists()


def test_a_slurm_job_goes_back_to_the_queue_and_resumes(
    folder: Path, tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\necho "$@" >> calls\n')
    scontrol.chmod(0o755)
    slurm = {
        **{
            "SLURM_JOB_ID": "77",
            "SLURM_JOB_NAME": "train",
            "SLURM_NTASKS": "2",
            "SLURM_NTASKS_PER_NODE": "2",
        },
        **{"SLURM_NNODES": "1", "SLURM_NODEID": "0", "SLURM_NODELIST": "localhost"},
        **{"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "MASTER_ADDR": "127.0.0.1"},
    }
    words = ["compute=slurm", "trainer.max_steps=100000", "run_dir=queued"]

    def start(**more: str) -> list[subprocess.Popen[str]]:
        more["MASTER_PORT"] = str(
            find_free_network_port()
        )  # the one that goes by the job's number may be taken here
        ranks = [
            segkit(folder, *words, **slurm, **more, SLURM_PROCID=str(n), SLURM_LOCALID=str(n))
            for n in (0, 1)
        ]
        processes.extend(ranks)
        return ranks

    first, second = start()
    until(first, "step 1 of 100000")
    second.send_signal(signal.SIGUSR1)
    _, err = first.communicate()
    assert first.returncode == 128 + signal.SIGUSR1, err
    assert (
        "of 100000; queued/bundle is usable, and job 77 goes back to the queue and then continues"
        in err
    )
    assert second.wait() == 0
    assert (folder / "calls").read_text() == "requeue 77\n"
    steps = read_bundle(folder / "queued").card["training"]["steps"]
    first, second = start(SLURM_RESTART_COUNT="1")
    assert f"step {steps + 1} of 100000" in until(first, "step ")
    first.terminate()
    assert (first.wait(), second.wait()) == (128 + signal.SIGTERM, 0)


def test_a_batch_of_all_processes_is_that_of_one() -> None:
    alone = list(itertools.islice(PatchNumbers(5), 12))
    ranks = [
        list(itertools.islice(PatchNumbers(5, rank=rank, world_size=3), 4)) for rank in range(3)
    ]
    for batch in range(2):  # of six patches, two for each
        own = [number for rank in ranks for number in rank[2 * batch : 2 * batch + 2]]
        assert sorted(own) == alone[6 * batch : 6 * batch + 6]


def test_a_batch_must_divide() -> None:
    assert Ranks(count=4).part_of(8) == 2
    with pytest.raises(
        UsageError, match=r"batch of 6 does not divide .* 4 processes: give trainer\.batch_size=8"
    ):
        Ranks(count=4).part_of(6)


def test_one_process_decides_alone() -> None:
    assert start_ranks(ComputeConfig("cpu")) is ALONE
    assert start_ranks(ComputeConfig("ddp", devices=1)).count == 1
    assert (ALONE.share(lambda: 3), ALONE.in_turn(lambda: 4), ALONE.agree([5, True], 6)) == (
        3,
        4,
        [5, 1, 6],
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_number_of_processes_on_a_cpu_must_be_given() -> None:
    with pytest.raises(
        UsageError, match=r"compute=ddp: PyTorch sees no GPU here. Give compute.devices=N"
    ):
        start_ranks(ComputeConfig("ddp"))


def test_compute_slurm_needs_a_slurm_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(
        UsageError, match=r"compute=slurm: this is not a SLURM job. Start it with srun"
    ):
        start_ranks(ComputeConfig("slurm"))
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    assert start_ranks(ComputeConfig("slurm")).slurm
    monkeypatch.setenv("SLURM_NTASKS", "3")
    monkeypatch.setenv("SLURM_NNODES", "2")
    with pytest.raises(UsageError, match=r"3 tasks on 2 nodes. Give --ntasks-per-node"):
        start_ranks(ComputeConfig("slurm"))


def test_the_variables_of_a_slurm_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    assert not in_job()
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    assert (in_job(), was_requeued()) == (True, False)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert was_requeued()
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "8")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert requeue().startswith("job 8_3 could not be put back into the queue (")
