"""Measure wall and CPU time for the benchmarks and their peers. Needs no package."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from processes import cpu_seconds

WARM_UP = 1.5
"""Seconds of warm-up, with at least ten batches, until workers run and caches are filled."""


class Clock:
    """Clock that starts when it is created."""

    def __init__(self) -> None:
        self._started, self._used = time.perf_counter(), _used()

    def read(self) -> tuple[float, float]:
        """Return wall seconds, and CPU seconds of this process and of children that have ended."""
        return time.perf_counter() - self._started, _used() - self._used


def _used() -> float:
    return sum(os.times()[:4])


def count_patches(batches: Iterable[object], batch: int, seconds: float) -> tuple[float, float]:
    """Return patches per second, and CPU milliseconds per patch with all child processes."""
    source, started, done = iter(batches), time.perf_counter(), 0
    while done < 10 or time.perf_counter() < started + WARM_UP:
        next(source)
        done += 1
    started, used, done = time.perf_counter(), cpu_seconds(os.getpid()), 0
    while time.perf_counter() < started + seconds:
        next(source)
        done += batch
    return done / (time.perf_counter() - started), 1000 * (cpu_seconds(os.getpid()) - used) / done
