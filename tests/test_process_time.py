"""When the program began, and durations in words."""

from __future__ import annotations

import time

import pytest

from segkit.progress import duration, process_start, restart_clock


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_clock_can_be_restarted() -> None:
    before = time.monotonic()
    assert process_start() <= before
    restart_clock()
    assert before <= process_start() <= time.monotonic()
