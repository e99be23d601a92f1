"""The device of a training, its threads and its memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from segkit.config.schema import ComputeConfig, TrainConfig, TrainerConfig
from segkit.errors import UsageError
from segkit.training.compute.device import device_for, use_machine


def test_the_cpu_can_be_chosen() -> None:
    assert device_for(TrainConfig(compute=ComputeConfig("cpu"))) == torch.device("cpu")
    assert device_for(TrainConfig()).type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(
        UsageError, match=r"compute=gpu: PyTorch sees no CUDA device here. Use compute=cpu"
    ):
        device_for(TrainConfig(compute=ComputeConfig("gpu")))


def test_half_precision_is_refused_on_a_cpu() -> None:
    config = TrainConfig(compute=ComputeConfig("cpu"), trainer=TrainerConfig(precision="float16"))
    with pytest.raises(
        UsageError, match=r"trainer\.precision=float16 needs a GPU: use bfloat16, float32 or auto"
    ):
        device_for(config)


def test_threads() -> None:
    before = torch.get_num_threads()
    try:
        use_machine(TrainerConfig(threads=3), torch.device("cpu"))
        assert torch.get_num_threads() == 3
        use_machine(TrainerConfig(), torch.device("cpu"))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="about glibc")
@pytest.mark.parametrize(
    ("ways", "kept"), [("kept", True), ("given back", False), ("kept, given back", False)]
)
def test_memory_of_freed_tensors(ways: str, kept: bool) -> None:
    script = f"""
import os, torch
from pathlib import Path
from segkit.training.compute.device import give_freed_memory_back, keep_freed_memory
def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
for way in {ways.split(", ")}:
    keep_freed_memory() if way == "kept" else give_freed_memory_back()
before = resident()
x = torch.ones(16 << 20)
del x
print(resident() - before > 60 << 20)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(kept)
