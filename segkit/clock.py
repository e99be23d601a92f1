"""When this process began: a budget of minutes counts from there, imports and planning included."""

from __future__ import annotations

import time

STARTED = time.monotonic()


def seconds_since_start() -> float:
    """Seconds since the command line, or the first training of a Python session, began."""
    return time.monotonic() - STARTED
