"""Batches of worker processes where shared memory is small, full or missing."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, default_collate

from segkit.config.schema import AugmentConfig
from segkit.dataset.dataset import Dataset
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import prepare_cases
from segkit.training.data.loader import Batches
from segkit.training.data.patches import PatchDataset, PatchRules
from segkit.training.data.shared_memory import (
    as_arrays,
    as_tensors,
    memory_error,
    possible_workers,
    uses_pipes,
    waiting_bytes,
)


@pytest.fixture(scope="module")
def patches(
    balls: Dataset, plan_for_balls: Plan, tmp_path_factory: pytest.TempPathFactory
) -> PatchDataset:
    folder = tmp_path_factory.mktemp("prepared")
    cases = prepare_cases(balls.cases, balls, plan_for_balls, folder)
    return PatchDataset(cases, PatchRules(plan_for_balls, AugmentConfig(), 0, 0.5))


def test_bytes_that_wait(plan_for_balls: Plan) -> None:
    x, y, z = plan_for_balls.patch
    # 2 processes with 2 batches each, and one in use; 2 patches of a channel and labels.
    assert waiting_bytes(plan_for_balls, 2, 2) == 5 * 2 * (4 + 8) * x * y * z


def test_pipes_are_used_where_shared_memory_is_too_small(
    plan_for_balls: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert not uses_pipes(plan_for_balls, 2, 0, shared=tmp_path)
    assert not uses_pipes(plan_for_balls, 2, 1, shared=tmp_path)
    assert caplog.messages == []
    assert uses_pipes(plan_for_balls, 10**9, 8, shared=tmp_path)
    assert "the batches of 8 processes would take " in caplog.text
    assert "through pipes instead, which is slower" in caplog.text
    (tmp_path / "file").write_text("")
    assert uses_pipes(plan_for_balls, 2, 1, shared=tmp_path / "file" / "gone")
    assert "shared memory (/dev/shm) has 0 bytes free" in caplog.text


def test_batches_through_pipes_are_the_same(patches: PatchDataset) -> None:
    direct = default_collate([patches[0], patches[1]])
    piped = DataLoader(patches, sampler=[0, 1], batch_size=2, num_workers=1, collate_fn=as_arrays)
    with Batches(piped, partial(as_tensors, pinned=False)) as batches:
        (batch,) = batches
    assert batch.keys() == direct.keys()
    assert batch["case"] == direct["case"]
    for name in ("image", "labels"):
        assert batch[name].dtype == direct[name].dtype
        assert torch.equal(batch[name], direct[name])


def test_without_any_shared_memory_the_training_cuts_patches(
    patches: PatchDataset, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert patches.is_shared
    assert possible_workers(3, is_shared=True) == 3
    assert possible_workers(0, is_shared=False) == 0
    assert caplog.messages == []
    assert possible_workers(3, is_shared=False) == 0
    assert "there is no shared memory (/dev/shm) to write to" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unable to allocate shared memory(shm) for file </torch_1>: No space left", "--shm-size"),
        ("DataLoader worker (pid 7) is killed by signal: Bus error. ", "trainer.workers=0"),
        ("DataLoader worker (pid 7) is killed by signal: Killed. ", "Use fewer trainer.workers"),
    ],
)
def test_what_errors_of_processes_mean(text: str, expected: str) -> None:
    assert expected in str(memory_error(RuntimeError(text)))
    assert memory_error(RuntimeError("size mismatch")) is None


FULL = """
import torch
from segkit.errors import OutOfMemoryError
from segkit.training.data.loader import Batches

class Large(torch.utils.data.Dataset):
    def __getitem__(self, number):
        return torch.zeros(4 << 20)

try:
    with Batches(torch.utils.data.DataLoader(Large(), sampler=[0], num_workers=1)) as batches:
        next(iter(batches))
except OutOfMemoryError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or os.getuid() != 0 or shutil.which("unshare") is None,
    reason="only root of Linux can mount a small /dev/shm",
)
def test_shared_memory_that_is_full() -> None:
    mount = "mount -t tmpfs -o size=1m tmpfs /dev/shm"
    words = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$0" -c "$1"', sys.executable, FULL]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("this container may not mount a small /dev/shm")
    assert done.stdout == (
        "the shared memory (/dev/shm) is full, with which the processes that cut patches pass on"
        " their batches. Give it more (docker run --shm-size 2g), or use trainer.workers=0, also"
        " with --resume.\n"
    ), done.stderr
