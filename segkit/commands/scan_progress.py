"""How far a prediction is and how long it still takes, on standard error. No file names: they may name patients."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from segkit.inference.predictor import Progress


class ScanProgress:
    """One line, rewritten on a terminal, else written every ten seconds."""

    SECONDS_ON_TERMINAL = 0.2
    SECONDS_ELSEWHERE = 10.0

    def __init__(self, scans: int) -> None:
        self.scans = scans
        self.terminal = sys.stderr.isatty()
        self.started = self.shown = time.monotonic()

    def of_scan(self, index: int) -> Progress:
        """What to call with windows done and windows in all of the scan with this index."""
        return lambda done, total: self._show(index, done / total)

    def _show(self, index: int, share: float) -> None:
        now = time.monotonic()
        if now - self.shown < (self.SECONDS_ON_TERMINAL if self.terminal else self.SECONDS_ELSEWHERE):
            return
        self.shown = now
        whole = (index + share) / self.scans
        left = duration((now - self.started) / whole * (1 - whole))
        text = f"scan {index + 1} of {self.scans}, {whole:.0%} done, about {left} left"
        sys.stderr.write(f"\r\x1b[K{text}" if self.terminal else f"{text}\n")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.terminal:
            sys.stderr.write("\r\x1b[K")


def duration(seconds: float) -> str:
    """
    >>> duration(42.4), duration(135), duration(7260)
    ('42 s', '2 min 15 s', '2 h 1 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
