"""Warn if other processes take so many cores that fewer threads would train faster on a CPU.

All threads of a step wait for the slowest one. If another process holds a core, one thread is slow
and the others wait: as many threads as there are free cores finish the step sooner.

The time that other processes take is measured over an interval of the training: the time in which
the cores were busy (/proc/stat of Linux, for the cores that this process may use, including time
that a hypervisor took away), less the CPU time of this process.
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
INTERVAL = 20.0
"""Seconds of one measurement; the system counts in hundredths of a second."""
BUSY = (1, 2, 3, 6, 7, 8)
"""Columns of a core in /proc/stat: user, nice, system, irq, softirq, steal.

The other columns are idle time, or are counted twice.
"""


@dataclass(frozen=True)
class CpuTimes:
    """Times up to one moment, in seconds."""

    wall: float
    """Time by the clock."""
    own: float
    """CPU time of this process, over all cores."""
    all: float
    """Busy time of the allowed cores, over all processes."""
    cores: int
    """Number of cores that this process may use."""

    def taken_by_others(self, before: CpuTimes) -> float:
        """Return how many cores other processes have taken since ``before``, on average.

        >>> CpuTimes(10.0, 12.0, 19.0, 2).taken_by_others(CpuTimes(0.0, 0.0, 0.0, 2))
        0.7
        """
        others = (self.all - before.all) - (self.own - before.own)
        return max(0.0, others) / (self.wall - before.wall)


def cpu_times(stat: Path = STAT) -> CpuTimes | None:
    """Return the times up to now, or None if the system is not Linux or does not report them."""
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
    """Return the number of threads that would be faster, or None if there are enough free cores.

    Args:
        threads: number of threads of a step.
        cores: number of cores that this process may use.
        others: number of cores that other processes take.

    >>> better_threads(2, 2, 0.9), better_threads(8, 8, 3.2)
    (1, 5)
    >>> better_threads(2, 2, 0.3), better_threads(1, 2, 1.9)
    (None, None)
    """
    free = max(1, round(cores - others))
    return free if free < threads else None


class BusyMachine(L.Callback):
    """Warns once, in a training on the CPU, that fewer threads would be faster."""

    def __init__(self) -> None:
        self.before: CpuTimes | None = None

    def on_train_start(self, _trainer: L.Trainer, module: L.LightningModule) -> None:
        self.before = cpu_times() if module.device.type == "cpu" else None

    def on_train_batch_end(self, *_: Any) -> None:
        if self.before is None or time.monotonic() - self.before.wall < INTERVAL:
            return
        now = cpu_times()
        has_warned = now is not None and warn_if_busy(self.before, now, torch.get_num_threads())
        self.before = None if has_warned else now


def warn_if_busy(before: CpuTimes, now: CpuTimes, threads: int) -> bool:
    """Warn if other processes slow down a step of ``threads`` threads; return whether they do."""
    others = now.taken_by_others(before)
    better = better_threads(threads, now.cores, others)
    if better is None:
        return False
    log.warning(
        "other processes take %.1f of the %d cores, so the %d threads of a step wait for each "
        "other: trainer.threads=%d would be faster "
        "(measured over %.0f s: busy time of the cores less that of this training)",
        others,
        now.cores,
        threads,
        better,
        now.wall - before.wall,
    )
    return True
