"""Progress on standard error: a status line, the time left, and the time of the program start."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from segkit.errors import printable

log = logging.getLogger(__name__)

CaseProgress = Callable[[int, int, str], None]
"""Callback after each case: number of cases done, number of cases, id of the last case."""
WindowProgress = Callable[[int, int], None]
"""Callback after each batch of windows: number of windows done, number of windows."""

STATUS_LOG = logging.getLogger("segkit.progress")
"""Logger of the status lines, for a log file; it has no handler that writes by default."""
STATUS_LOG.propagate = False
STATUS_LOG.setLevel(logging.INFO)
STATUS_LOG.addHandler(logging.NullHandler())
LOG_INTERVAL = 30.0
"""Seconds between two lines in `STATUS_LOG` while the line on a terminal is rewritten."""

WIPE = "\r\x1b[K"
"""Control sequence that empties the current line of a terminal."""


class StatusLine:
    """Status line on standard error.

    A terminal shows one line that is rewritten and wiped at the end. Anywhere else a new line is
    written every ``interval`` seconds; the first one immediately if ``immediate`` is set.
    """

    SECONDS_ON_TERMINAL = 0.2
    as_log = False
    """True sends every line through the log, for --json-log."""

    def __init__(self, *, interval: float = 10.0, immediate: bool = False) -> None:
        self.terminal = sys.stderr.isatty() and not self.as_log
        self.interval = self.SECONDS_ON_TERMINAL if self.terminal else interval
        self.shown = -math.inf if immediate else time.monotonic()
        self.logged = -math.inf

    def due(self) -> bool:
        """Return whether the interval is over and a line should be shown; if so, start the next."""
        now = time.monotonic()
        if now - self.shown < self.interval:
            return False
        self.shown = now
        return True

    def write(self, text: str, *, last: bool = False) -> None:
        """Show ``text``; a ``last`` line is not wiped."""
        text = printable(text, lines=True)
        if self.as_log:
            log.info("%s", text)
            return
        if not self.terminal or last or time.monotonic() - self.logged >= LOG_INTERVAL:
            self.logged = time.monotonic()
            STATUS_LOG.info("%s", text)
        start = WIPE if self.terminal else ""
        end = "" if self.terminal and not last else "\n"
        sys.stderr.write(f"{start}{text}{end}")
        sys.stderr.flush()

    def wipe(self) -> None:
        """Empty the line on a terminal, so that other output does not continue it."""
        if self.terminal:
            sys.stderr.write(WIPE)
            sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wipe()


class CaseCounter(StatusLine):
    """Status line that counts cases. It shows no case ids because they may name patients."""

    RECENT = 20
    """Number of last cases that the time left is estimated from: cached cases take no time."""

    def __init__(self, verb: str) -> None:
        super().__init__()
        self.verb = verb
        self.times: deque[float] = deque(maxlen=self.RECENT + 1)

    def show(self, done: int, total: int, _case: str = "") -> None:
        """Count a case and, if a line is due, show the count and the time left."""
        if done <= 1:
            self.times.clear()
        self.times.append(time.monotonic())
        if self.due():
            per_case = (self.times[-1] - self.times[0]) / max(1, len(self.times) - 1)
            left = per_case * (total - done)
            time_left = f", about {duration(left)} left" if left > 1 else ""
            self.write(f"{self.verb}: {done} of {total} cases{time_left}")


class ScanProgress(StatusLine):
    """Status line with the number of the scan and the time left for all scans."""

    def __init__(self, scans: int) -> None:
        super().__init__()
        self.scans = scans
        self.first_scan = time.monotonic()

    def of_scan(self, index: int) -> WindowProgress:
        """Return the callback for the windows of the scan with this index."""
        return lambda done, total: self._show(index, done / total)

    def _show(self, index: int, fraction: float) -> None:
        if self.due():
            finished = (index + fraction) / self.scans
            elapsed = time.monotonic() - self.first_scan
            left = duration(elapsed / finished * (1 - finished))
            self.write(f"scan {index + 1} of {self.scans}, {finished:.0%} done, about {left} left")


_process_start = time.monotonic()


def process_start() -> float:
    """Return when the program began, on the clock of `time.monotonic`.

    It is the time of this module's import, which is one of the first that the command line does.
    """
    return _process_start


def restart_clock() -> None:
    """Set `process_start` to now, for a second call of the command line in the same process."""
    global _process_start  # noqa: PLW0603
    _process_start = time.monotonic()


def duration(seconds: float) -> str:
    """Return a time span in words, rounded to the second.

    >>> duration(42.4), duration(200), duration(7500)
    ('42 s', '3 min 20 s', '2 h 5 min')
    """
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
