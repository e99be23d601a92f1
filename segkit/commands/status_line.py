"""A line on standard error that says how far something is."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self


class StatusLine:
    """Rewritten on a terminal and wiped at the end, else written every ten seconds."""

    SECONDS_ON_TERMINAL = 0.2
    SECONDS_ELSEWHERE = 10.0

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.shown = time.monotonic()

    def due(self) -> bool:
        """Whether it is time to show something; from then on the time counts anew."""
        now = time.monotonic()
        if now - self.shown < (self.SECONDS_ON_TERMINAL if self.terminal else self.SECONDS_ELSEWHERE):
            return False
        self.shown = now
        return True

    def write(self, text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}" if self.terminal else f"{text}\n")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.terminal:
            sys.stderr.write("\r\x1b[K")
