"""What a process and all that descend from it take, in CPU time and in memory (Linux). Needs no package."""

from __future__ import annotations

import os
import threading
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


class PeakMemory:
    """The most that a process tree holds while a block runs, sampled ten times a second."""

    def __init__(self, root: int) -> None:
        self.bytes = 0
        self._root, self._ended = root, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(0.1):
            self.bytes = max(self.bytes, shared_out_memory(self._root))


def _family(root: int) -> set[int]:
    parents = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        fields = _read(str(file)).rpartition(")")[2].split()
        if fields:
            parents[int(file.parent.name)] = int(fields[1])
    family, before = {root}, 0
    while len(family) > before:
        before = len(family)
        family |= {child for child, parent in parents.items() if parent in family}
    return family


def _read(path: str) -> str:
    """The text of a file of a process; none once the process has ended."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
