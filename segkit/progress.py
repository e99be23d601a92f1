"""Progress on standard error: a status line, the time left, and the time since the process started."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Self

from segkit.errors import printable

if TYPE_CHECKING:
    from segkit.inference.scoring.timing import Progress

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
        sys.stderr.write(
            f"{WIPE if self.terminal else ''}{text}{'' if self.terminal and not last else chr(10)}"
        )
        sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
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
            self.write(
                f"{self.verb}: {done} of {total} cases{f', about {duration(left)} left' if left > 1 else ''}"
            )


_started = time.monotonic()


def started() -> float:
    """When the program began, by `time.monotonic`: the command line imports this module first."""
    return _started


def restart() -> None:
    """The program is called once more within the same process, as tests do: its time begins anew."""
    global _started  # noqa: PLW0603
    _started = time.monotonic()


def duration(seconds: float) -> str:
    """
    >>> duration(42.4), duration(200), duration(7500)
    ('42 s', '3 min 20 s', '2 h 5 min')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class ScanProgress(StatusLine):
    """Which scan of how many, and the time left for all of them."""

    def __init__(self, scans: int) -> None:
        super().__init__()
        self.scans = scans
        self.started = time.monotonic()

    def of_scan(self, index: int) -> Progress:
        """What to call with windows done and windows in all of the scan with this index."""
        return lambda done, total: self._show(index, done / total)

    def _show(self, index: int, share: float) -> None:
        if self.due():
            whole = (index + share) / self.scans
            left = duration((time.monotonic() - self.started) / whole * (1 - whole))
            self.write(f"scan {index + 1} of {self.scans}, {whole:.0%} done, about {left} left")
