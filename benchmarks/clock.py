"""How fast a loader delivers, by the clock and by CPU time; for feeding.py and feeding_peers.py. Needs no package."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

WARM_UP = 1.5
"""Seconds until workers have started and caches are filled, with at least ten batches."""


def count_patches(batches: Iterable[object], batch: int, seconds: float) -> tuple[float, float]:
    """Patches per second, and milliseconds of CPU per patch of this process and its children."""
    source, started, done = iter(batches), time.perf_counter(), 0
    while done < 10 or time.perf_counter() < started + WARM_UP:
        next(source)
        done += 1
    started, used, done = time.perf_counter(), _cpu_seconds(), 0
    while time.perf_counter() < started + seconds:
        next(source)
        done += batch
    return done / (time.perf_counter() - started), 1000 * (_cpu_seconds() - used) / done


def _cpu_seconds() -> float:
    """Of this process and of all that descend from it (Linux)."""
    parents, ticks = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[int(file.parent.name)], ticks[int(file.parent.name)] = int(fields[1]), int(fields[11]) + int(fields[12])
    family, before = {os.getpid()}, 0
    while len(family) > before:
        before = len(family)
        family |= {child for child, parent in parents.items() if parent in family}
    return sum(ticks.get(process, 0) for process in family) / os.sysconf("SC_CLK_TCK")
