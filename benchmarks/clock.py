"""How fast a loader delivers, by the clock and by CPU time; for feeding.py and feeding_peers.py. Needs no package."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from processes import cpu_seconds

WARM_UP = 1.5
"""Seconds until workers have started and caches are filled, with at least ten batches."""


def count_patches(batches: Iterable[object], batch: int, seconds: float) -> tuple[float, float]:
    """Patches per second, and milliseconds of CPU per patch of this process and its children."""
    source, started, done = iter(batches), time.perf_counter(), 0
    while done < 10 or time.perf_counter() < started + WARM_UP:
        next(source)
        done += 1
    started, used, done = time.perf_counter(), cpu_seconds(os.getpid()), 0
    while time.perf_counter() < started + seconds:
        next(source)
        done += batch
    return done / (time.perf_counter() - started), 1000 * (cpu_seconds(os.getpid()) - used) / done
