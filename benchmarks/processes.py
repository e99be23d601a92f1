"""What a process and all that descend from it take, in CPU time and in memory (Linux). Needs no package."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path


def cpu_seconds(root: int) -> float:
    """CPU time of ``root`` and its descendants that are still alive."""
    ticks = 0
    for process in _family(root):
        fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12]) if fields else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def shared_out_memory(root: int) -> int:
    """Bytes of ``root`` and its descendants; a page that several processes share counts once (PSS, summed)."""
    kilobytes = 0
    for process in _family(root):
        for line in _read(f"/proc/{process}/smaps_rollup").splitlines():
            kilobytes += int(line.split()[1]) if line.startswith("Pss:") else 0
    return 1024 * kilobytes


def resident_memory(root: int) -> int:
    """Bytes of ``root`` and its descendants; a page that several processes share counts in each.."""
    sizes = (_read(f"/proc/{process}/statm").split() for process in _family(root))
    return sum(int(fields[1]) for fields in sizes if fields) * os.sysconf("SC_PAGE_SIZE")


class PeakMemory:
    """The most that a process tree holds while a block runs; a sample takes 20 ms of CPU time for each GiB of PSS."""

    def __init__(self, root: int, *, per_second: float, measure: Callable[[int], int] = shared_out_memory) -> None:
        self.bytes, self._measure = 0, measure
        self._interval = 1 / per_second
        self._root, self._ended = root, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(self._interval):
            self.bytes = max(self.bytes, self._measure(self._root))


def _family(root: int) -> list[int]:
    """``root`` and all that descend from it; a process stands among the children of the thread that started it."""
    threads = Path(f"/proc/{root}/task").glob("[0-9]*/children")
    children = [int(child) for file in threads for child in _read(str(file)).split()]
    return [root, *(process for child in children for process in _family(child))]


def _read(path: str) -> str:
    """The text of a file of a process; none once the process has ended."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
