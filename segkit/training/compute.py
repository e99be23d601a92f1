"""Where a training runs."""

from __future__ import annotations

import torch

from segkit.config import TrainerConfig
from segkit.errors import UsageError


def device_for(name: str) -> torch.device:
    """The device of ``compute=name``; auto takes a GPU where there is one.

    Raises:
        UsageError: gpu without CUDA.
    """
    if name == "gpu" and not torch.cuda.is_available():
        raise UsageError("compute=gpu: PyTorch sees no CUDA device here. Use compute=cpu, or look at nvidia-smi.")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def set_threads(trainer: TrainerConfig) -> None:
    """Let torch use ``trainer.threads`` threads; None leaves its own choice."""
    if trainer.threads is not None:
        torch.set_num_threads(trainer.threads)
