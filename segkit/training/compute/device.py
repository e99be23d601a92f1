"""The device of a training, its threads and its memory."""

from __future__ import annotations

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext

import torch

from segkit.config.schema import TrainConfig, TrainerConfig
from segkit.errors import UsageError
from segkit.networks.kernels.recompute import recomputing

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4  # parameters of mallopt(3)


def device_for(config: TrainConfig) -> torch.device:
    """Return the device of ``compute=``; auto is a GPU if there is one.

    Raises:
        UsageError: gpu without CUDA, or a precision that the device does not support.
    """
    device = _device(config.compute.name)
    if config.trainer.precision == "float16" and device.type == "cpu":
        raise UsageError(
            "trainer.precision=float16 needs a GPU: use bfloat16, float32 or auto here"
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
    """Set the number of threads and, on a CPU, how memory is freed.

    Args:
        trainer: its ``threads`` may be None, which leaves the number to torch.
        device: where the training runs.
    """
    if trainer.threads is not None:
        torch.set_num_threads(trainer.threads)
    if device.type == "cpu":
        if trainer.save_memory:
            give_freed_memory_back()
        else:
            keep_freed_memory()


def memory_saved(trainer: TrainerConfig) -> AbstractContextManager[None]:
    """Return the context of a forward pass in training.

    With ``save_memory`` it recomputes activations in the backward pass instead of keeping them.
    """
    return recomputing() if trainer.save_memory else nullcontext()


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors for the next ones; without glibc, do nothing.

    By default it returns tensors of more than 32 MB to the system immediately, which then clears
    every page of the next one: with patches of 64 x 64 x 64 voxels that was a quarter of a step in
    float32. The kept memory is fragmented: a process holds up to 1.6 times as much.
    """
    _mallopt(_M_MMAP_MAX, 0)
    _mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def give_freed_memory_back() -> None:
    """Let glibc return tensors of 1 MiB or more when they are freed; without it, do nothing."""
    _mallopt(_M_MMAP_MAX, 2**16)
    _mallopt(_M_MMAP_THRESHOLD, 2**20)
    _mallopt(_M_TRIM_THRESHOLD, 2**20)


def _mallopt(parameter: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:  # musl has none
            mallopt(parameter, value)
