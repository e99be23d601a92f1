"""Where a training runs."""

from __future__ import annotations

import ctypes
import sys

import torch

from segkit.config import TrainConfig, TrainerConfig
from segkit.errors import UsageError

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
"""Of mallopt(3)."""


def device_for(config: TrainConfig) -> torch.device:
    """The device that ``compute=`` means here; auto takes a GPU where there is one.

    Raises:
        UsageError: gpu without CUDA, or a precision that the device does not have.
    """
    device = _device(config.compute.name)
    if config.trainer.precision == "float16" and device.type == "cpu":
        raise UsageError("trainer.precision=float16 is for GPUs: use bfloat16 or float32 here, or auto")
    return device


def _device(name: str) -> torch.device:
    if name == "gpu" and not torch.cuda.is_available():
        raise UsageError("compute=gpu: PyTorch sees no CUDA device here. Use compute=cpu, or look at nvidia-smi.")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def use_machine(trainer: TrainerConfig, device: torch.device) -> None:
    """Let torch use ``trainer.threads`` threads, None leaves its own choice; and, on a CPU, keep memory."""
    if trainer.threads is not None:
        torch.set_num_threads(trainer.threads)
    if device.type == "cpu":
        keep_freed_memory()


def keep_freed_memory() -> None:
    """Let glibc keep the memory of freed tensors for the next ones; elsewhere nothing happens.

    It gives tensors of more than 32 MB back to the system at once, which then clears every page of the next one: with
    patches of 64 x 64 x 64 voxels that was a quarter of a step in float32.
    """
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_MAX, 0)
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
