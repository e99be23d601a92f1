"""Measure CPU time and memory of a process tree (Linux). Needs no package."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path


def cpu_seconds(root: int) -> float:
    """Measure CPU time and memory of a process tree (Linux). Needs no package."""
    ticks = 0
    for process in _family(root):
        fields = _read(f"/proc/{process}/stat").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12]) if fields else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def shared_out_memory(root: int) -> int:
    """Return the bytes of ``root`` and its descendants, counting shared pages once (sum of PSS)."""
    kilobytes = 0
    for process in _family(root):
        for line in _read(f"/proc/{process}/smaps_rollup").splitlines():
            kilobytes += int(line.split()[1]) if line.startswith("Pss:") else 0
    return 1024 * kilobytes


def resident_memory(root: int) -> int:
    """Return the bytes of ``root`` and its descendants, counting shared pages in each process."""
    return sum(resident for resident, _ in _pages(root)) * os.sysconf("SC_PAGE_SIZE")


def anonymous_memory(root: int) -> int:
    """Return the resident bytes that belong to no file; file pages can be dropped."""
    return sum(resident - of_files for resident, of_files in _pages(root)) * os.sysconf(
        "SC_PAGE_SIZE"
    )


def _pages(root: int) -> list[tuple[int, int]]:
    """Return the resident pages of each process, and those that belong to a file."""
    sizes = (_read(f"/proc/{process}/statm").split() for process in _family(root))
    return [(int(fields[1]), int(fields[2])) for fields in sizes if fields]


class PeakMemory:
    """Peak memory of a process tree while a block runs; a sample costs 20 ms of CPU per GiB."""

    def __init__(
        self, root: int, *, per_second: float, measure: Callable[[int], int] = shared_out_memory
    ) -> None:
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


@dataclass(frozen=True)
class Run:
    """Resources that a command took, its exit code and the last line of its stderr."""

    seconds: float
    cpu: float
    """CPU seconds of the process and of the children for which it waited."""
    peaks: tuple[int, ...]
    """Peak bytes for each measure."""
    code: int
    said: str


def run_measured(
    command: list[str], *measures: Callable[[int], int], per_second: float = 10
) -> Run:
    """Run a command to its end while sampling its memory, and return its resources."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with ExitStack() as stack:
        peaks = [
            stack.enter_context(PeakMemory(process.pid, per_second=per_second, measure=measure))
            for measure in measures
        ]
        said = process.stderr.read() if process.stderr else ""
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    last = (said.strip().splitlines() or [""])[-1]
    seconds = time.perf_counter() - started
    return Run(
        seconds,
        used.ru_utime + used.ru_stime,
        tuple(peak.bytes for peak in peaks),
        process.returncode,
        last,
    )


def _family(root: int) -> list[int]:
    """Return ``root`` and all its descendants; a thread lists the children that it started."""
    threads = Path(f"/proc/{root}/task").glob("[0-9]*/children")
    children = [int(child) for file in threads for child in _read(str(file)).split()]
    return [root, *(process for child in children for process in _family(child))]


def _read(path: str) -> str:
    """Return the text of a file of a process, or nothing once the process has ended."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
