"""Where a training runs."""

from __future__ import annotations

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext

import torch

from segkit.config.schema import TrainConfig, TrainerConfig
from segkit.errors import UsageError
from segkit.networks.kernels.recompute import recomputing

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
"""Of mallopt(3)."""


def device_for(config: TrainConfig) -> torch.device:
    """The device that ``compute=`` means here; auto takes a GPU where there is one.

    Raises:
        UsageError: gpu without CUDA, or a precision that the device does not have.
    """
    device = _device(config.compute.name)
    if config.trainer.precision == "float16" and device.type == "cpu":
        raise UsageError(
            "trainer.precision=float16 is for GPUs: use bfloat16 or float32 here, or auto"
        )
    return device


def _device(name: str) -> torch.device:
    if name == "gpu" and not torch.cuda.is_available():
        raise UsageError(
            "compute=gpu: PyTorch sees no CUDA device here. Use compute=cpu, or look at nvidia-smi."
        )
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def use_machine(trainer: TrainerConfig, device: torch.device) -> None:
    """Let torch use ``trainer.threads`` threads, None leaves its own choice; on a CPU, say what becomes of memory."""
    if trainer.threads is not None:
        torch.set_num_threads(trainer.threads)
    if device.type == "cpu":
        if trainer.save_memory:
            give_freed_memory_back()
        else:
            keep_freed_memory()


def memory_saved(trainer: TrainerConfig) -> AbstractContextManager[None]:
    """The context for a network's forward pass in training: with ``save_memory`` less is kept for the backward pass."""
    return recomputing() if trainer.save_memory else nullcontext()


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors for the next ones; elsewhere nothing happens.

    It gives tensors of more than 32 MB back to the system at once, which then clears every page of the next one: with
    patches of 64 x 64 x 64 voxels that was a quarter of a step in float32. What is kept lies in pieces: a process holds
    up to 1.6 times as much.
    """
    _mallopt(_M_MMAP_MAX, 0)
    _mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def give_freed_memory_back() -> None:
    """Let glibc return tensors of 1 MiB or more to the system as soon as they are freed; elsewhere nothing happens."""
    _mallopt(_M_MMAP_MAX, 2**16)
    _mallopt(_M_MMAP_THRESHOLD, 2**20)
    _mallopt(_M_TRIM_THRESHOLD, 2**20)


def _mallopt(parameter: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(parameter, value)
