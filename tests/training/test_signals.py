"""The first signal asks for a stop, the second one stops."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any, cast

import pytest

from segkit.errors import Interrupted
from segkit.training.signals import StopRequest, StopSignals, stoppable


def test_the_first_signal_is_noted_and_the_second_one_raises(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = StopRequest()
    with stoppable(tmp_path):  # restores the handlers of the tests
        StopSignals(request, tmp_path, requeue=False).on_train_start(
            cast(Any, None), cast(Any, None)
        )
        signal.raise_signal(signal.SIGTERM)
        assert request == StopRequest(received=signal.SIGTERM)
        assert "a second Ctrl-C stops immediately" in caplog.text
        with pytest.raises(Interrupted, match="stopped immediately; nothing was saved"):
            signal.raise_signal(signal.SIGTERM)


def test_outside_of_the_steps_a_signal_stops_immediately(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped; nothing was saved"), stoppable(tmp_path):
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
