"""How far a walk over many cases is, on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self


class CaseCounter:
    """A line that counts cases: rewritten on a terminal, else written every few seconds. Shows no case ids."""

    SECONDS_ON_TERMINAL = 0.1
    SECONDS_ELSEWHERE = 10.0

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.terminal = sys.stderr.isatty()
        self.shown = time.monotonic()

    def show(self, done: int, total: int, _case: str = "") -> None:
        """Show that ``done`` of ``total`` cases are done, if it is time to."""
        now = time.monotonic()
        if now - self.shown < (self.SECONDS_ON_TERMINAL if self.terminal else self.SECONDS_ELSEWHERE):
            return
        self.shown = now
        text = f"{self.verb}: {done} of {total} cases"
        sys.stderr.write(f"\r\x1b[K{text}" if self.terminal else f"{text}\n")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.terminal:
            sys.stderr.write("\r\x1b[K")
