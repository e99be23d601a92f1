"""Measure the seconds of a step on a CPU or a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def seconds_of(step: Callable[[], None], device: torch.device, *, on_gpu: int) -> float:
    """Return the seconds of one step; on a GPU, the mean of ``on_gpu`` steps after a first one."""
    if device.type == "cpu":
        return _seconds_of(step, 1)
    step()
    torch.cuda.synchronize(device)
    return _seconds_of(lambda: _several(step, on_gpu, device), on_gpu)


def _several(step: Callable[[], None], count: int, device: torch.device) -> None:
    for _ in range(count):
        step()
    torch.cuda.synchronize(device)


def _seconds_of(run: Callable[[], None], count: int) -> float:
    start = time.perf_counter()
    run()
    return (time.perf_counter() - start) / count
