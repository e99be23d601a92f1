"""A process that measures memory."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from segkit.errors import SegkitError
from segkit.studies.memory_process import Measure, MemoryProcess, _answer_of_fork


def test_the_message_says_why_the_process_ended() -> None:
    with (
        MemoryProcess("no_such_module", "a window") as process,
        pytest.raises(SegkitError, match=r"a window failed: its process has ended: .*No module"),
    ):
        process.bytes_of({})


def _end_by(number: int) -> Measure:
    def measure(_request: dict[str, Any]) -> int:
        os.kill(os.getpid(), number)
        return 0

    return measure


def test_a_killed_fork_had_too_little_memory_and_another_end_is_an_error() -> None:
    assert _answer_of_fork("{}", _end_by(signal.SIGKILL)) == {}
    assert _answer_of_fork("{}", _end_by(signal.SIGABRT)) == {}
    problem = "its fork has ended with the code -10"
    assert _answer_of_fork("{}", _end_by(signal.SIGUSR1)) == {"error": problem}
