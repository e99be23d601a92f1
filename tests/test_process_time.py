"""When the program began, and durations in words."""

from __future__ import annotations

import time

import pytest

from segkit.progress import duration, restart, started


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (7500, "2 h 5 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_program_can_begin_anew() -> None:
    before = time.monotonic()
    assert started() <= before
    restart()
    assert before <= started() <= time.monotonic()
