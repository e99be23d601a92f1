"""Whether other processes take so many cores that a training on the CPU would be faster with fewer threads: measured.

All threads of a step wait for the slowest one. Where another process holds a core, one of them is slow, and the others
wait: as many threads as there are free cores do the step sooner.

How it is measured: over a stretch of the training, the time in which the cores were busy (/proc/stat of Linux, of the
cores that this process may use; what a hypervisor took away counts as well), less the CPU time of this process.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch

log = logging.getLogger(__name__)

STAT = Path("/proc/stat")
STRETCH = 20.0
"""Seconds over which is measured: the system counts in hundredths of a second."""
BUSY = (1, 2, 3, 6, 7, 8)
"""Columns of a core in /proc/stat: user, nice, system, irq, softirq, steal. The others are idle, or counted twice."""


@dataclass(frozen=True)
class CpuTimes:
    """Seconds up to one moment: by the clock, of this process on all cores, and of all processes on ``cores``."""

    wall: float
    own: float
    all: float
    cores: int

    def taken_by_others(self, before: CpuTimes) -> float:
        """Return how many cores other processes have had since ``before``, in the mean.

        >>> CpuTimes(10.0, 12.0, 19.0, 2).taken_by_others(CpuTimes(0.0, 0.0, 0.0, 2))
        0.7
        """
        others = (self.all - before.all) - (self.own - before.own)
        return max(0.0, others) / (self.wall - before.wall)


def cpu_times(stat: Path = STAT) -> CpuTimes | None:
    """Return the times up to now; None where the system does not tell (only Linux does)."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    try:
        rows = [line.split() for line in stat.read_text(encoding="ascii").splitlines()]
        ticks = [sum(int(row[column]) for column in BUSY) for row in rows if row[0] in allowed]
    except (OSError, ValueError, IndexError):
        return None
    return CpuTimes(
        time.monotonic(), time.process_time(), sum(ticks) / os.sysconf("SC_CLK_TCK"), len(allowed)
    )


def better_threads(threads: int, cores: int, others: float) -> int | None:
    """Return with how many threads a step would be faster, if fewer; None where the cores that are free suffice.

    >>> better_threads(2, 2, 0.9), better_threads(8, 8, 3.2), better_threads(2, 2, 0.3), better_threads(1, 2, 1.9)
    (1, 5, None, None)
    """
    free = max(1, round(cores - others))
    return free if free < threads else None


class BusyMachine(L.Callback):
    """Says once, in the log of a training on the CPU, that fewer threads would be faster."""

    def __init__(self) -> None:
        self.before: CpuTimes | None = None

    def on_train_start(self, _trainer: L.Trainer, module: L.LightningModule) -> None:
        self.before = cpu_times() if module.device.type == "cpu" else None

    def on_train_batch_end(self, *_: Any) -> None:
        if self.before is None or time.monotonic() - self.before.wall < STRETCH:
            return
        now = cpu_times()
        if now is not None and warn_if_busy(self.before, now, torch.get_num_threads()):
            now = None  # once is enough
        self.before = now


def warn_if_busy(before: CpuTimes, now: CpuTimes, threads: int) -> bool:
    """Log that other processes hold back a step of so many ``threads``, if they do; returns whether they do."""
    others = now.taken_by_others(before)
    better = better_threads(threads, now.cores, others)
    if better is None:
        return False
    log.warning(
        "other processes take %.1f of the %d cores, so the %d threads of a step wait for each other: trainer.threads=%d"
        " would be faster (measured over %.0f s: busy time of the cores less that of this training)",
        others,
        now.cores,
        threads,
        better,
        now.wall - before.wall,
    )
    return True
