"""The status line of a training."""

from __future__ import annotations

import pytest

from segkit.training.callbacks.status_line import TrainingStatusLine
from segkit.training.optimization.schedule import Schedule


def test_the_line_is_due_immediately_and_then_after_an_interval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = TrainingStatusLine()
    assert (status.is_due(), status.is_due()) == (True, False)
    status.show(Schedule(10, step=4), 0.25, None, seconds_left=90.0)
    status.show(Schedule(10, step=10), 0.125, None, seconds_left=None)
    assert capsys.readouterr().err == (
        "step 4 of 10, loss 0.250, 1 min 30 s left\nstep 10 of 10, loss 0.125, done\n"
    )
