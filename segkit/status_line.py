"""A line on standard error that says how far something is."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections import deque
from types import TracebackType
from typing import Self

from segkit.clock import duration
from segkit.errors import printable

log = logging.getLogger(__name__)
PROGRESS = logging.getLogger("segkit.progress")
"""Gets the lines that are shown, where they are rewritten one in KEPT_EVERY seconds; nobody listens by default."""
PROGRESS.propagate = False
PROGRESS.setLevel(logging.INFO)
PROGRESS.addHandler(logging.NullHandler())
KEPT_EVERY = 30.0

WIPE = "\r\x1b[K"
"""Empties the line on a terminal."""


class StatusLine:
    """Rewritten on a terminal and wiped at the end, elsewhere written every so many seconds."""

    SECONDS_ON_TERMINAL = 0.2
    as_log = False
    """Whether the lines go through the log, as with --json-log."""

    def __init__(self, *, elsewhere: float = 10.0, at_once: bool = False) -> None:
        self.terminal = sys.stderr.isatty() and not self.as_log
        self.interval = self.SECONDS_ON_TERMINAL if self.terminal else elsewhere
        self.shown = -math.inf if at_once else time.monotonic()
        self.kept = -math.inf

    def due(self) -> bool:
        """Whether it is time to show something; from then on the time counts anew."""
        now = time.monotonic()
        if now - self.shown < self.interval:
            return False
        self.shown = now
        return True

    def write(self, text: str, *, last: bool = False) -> None:
        """Show ``text``; the ``last`` one stays."""
        text = printable(text, lines=True)
        if self.as_log:
            log.info("%s", text)
            return
        if not self.terminal or last or time.monotonic() - self.kept >= KEPT_EVERY:
            self.kept = time.monotonic()
            PROGRESS.info("%s", text)
        sys.stderr.write(f"{WIPE if self.terminal else ''}{text}{'' if self.terminal and not last else chr(10)}")
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.terminal:
            sys.stderr.write(WIPE)


class CaseCounter(StatusLine):
    """Counts cases. Shows no case ids: they may name patients."""

    RECENT = 20
    """Cases that say how long the others will take: those that are known already go by at once."""

    def __init__(self, verb: str) -> None:
        super().__init__()
        self.verb = verb
        self.times: deque[float] = deque(maxlen=self.RECENT + 1)

    def show(self, done: int, total: int, _case: str = "") -> None:
        """Show that ``done`` of ``total`` cases are done, and the time left, if it is time to."""
        if done <= 1:
            self.times.clear()
        self.times.append(time.monotonic())
        if self.due():
            per_case = (self.times[-1] - self.times[0]) / max(1, len(self.times) - 1)
            left = per_case * (total - done)
            self.write(f"{self.verb}: {done} of {total} cases{f', about {duration(left)} left' if left > 1 else ''}")
