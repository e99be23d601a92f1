"""When this process began, from where a budget of minutes counts, and durations in words."""

from __future__ import annotations

import time

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
