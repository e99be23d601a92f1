"""Precision and memory layout, measured: the fastest of what the machine can do.

On one CPU with bfloat16 instructions bfloat16 halves a training step, on another it makes it 1.6 times slower.
Instructions announced do not tell which; a timed step does.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

import torch
from torch import nn

from segkit.config import TrainerConfig
from segkit.networks.mode import LAYOUTS, Mode, bfloat16_share

log = logging.getLogger(__name__)


def choose_mode(
    trainer: TrainerConfig, device: torch.device, step: Callable[[Mode], None], *, limit: float = math.inf
) -> Mode:
    """Time ``step`` in every mode that ``trainer`` leaves open and return the fastest.

    A mode whose first, unwarmed step takes three times the best so far is dropped at once. After ``limit`` seconds
    no further mode is tried.
    """
    modes = _candidates(trainer, device)
    if len(modes) == 1 and trainer.max_minutes is None:
        return modes[0]
    until = time.monotonic() + limit
    best = _timed(step, modes[0], device, until=until)
    for mode in modes[1:]:
        if time.monotonic() > until:
            log.info("%s %s: no time to try it", mode.precision, mode.layout)
            continue
        timed = _timed(step, mode, device, until=until, best=best.seconds)
        best = min(best, timed, key=lambda each: each.seconds)
    return best


def _timed(
    step: Callable[[Mode], None], mode: Mode, device: torch.device, *, until: float, best: float = math.inf
) -> Mode:
    if device.type == "cuda":
        step(mode)  # compiles kernels and records the step, which says nothing of the others
    seconds = _seconds(step, mode, device)
    for _ in range(2 if device.type == "cpu" else 9):
        if seconds < 3 * best and time.monotonic() < until:
            seconds = min(seconds, _seconds(step, mode, device))
    log.info("%s %s: %.3f s a step", mode.precision, mode.layout, seconds)
    return Mode(mode.precision, mode.layout, seconds)


def _candidates(trainer: TrainerConfig, device: torch.device) -> list[Mode]:
    # float16 on a CPU has no fast kernels, and on a GPU bfloat16 needs no loss scaling: never chosen unasked.
    precisions = [trainer.precision]
    if trainer.precision == "auto":
        half = "float16" if device.type == "cuda" and not torch.cuda.is_bf16_supported() else "bfloat16"
        precisions = ["float32", half] if device.type == "cuda" or _bfloat16_keeps_up() else ["float32"]
    layouts = LAYOUTS if trainer.layout == "auto" else (trainer.layout,)
    return [Mode(precision, layout) for precision in precisions for layout in layouts]


def _bfloat16_keeps_up() -> bool:
    """Does one small convolution take no more than twice as long in bfloat16?

    Where bfloat16 is emulated a whole step would take twelve times as long, which is too long even to be timed.
    """
    return bfloat16_share(nn.Conv3d(32, 32, 3), torch.zeros(1, 32, 12, 12, 12)) <= 2


def _seconds(step: Callable[[Mode], None], mode: Mode, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    step(mode)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
