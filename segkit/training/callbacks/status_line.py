"""Status line of a training: step, loss, validation Dice and time left."""

from __future__ import annotations

from segkit.progress import StatusLine, duration
from segkit.training.optimization.schedule import Schedule
from segkit.training.validation import ValidationScore


class TrainingStatusLine:
    """Status line on standard error, rewritten on a terminal and else printed every 30 seconds."""

    def __init__(self) -> None:
        self.line = StatusLine(interval=30.0, immediate=True)

    def is_due(self) -> bool:
        """Return whether it is time to show the line again, and start the next interval if so."""
        return self.line.due()

    def show(
        self,
        schedule: Schedule,
        loss: float,
        score: ValidationScore | None,
        *,
        seconds_left: float | None,
    ) -> None:
        """Show the line; without ``seconds_left`` it is the last one and stays on the terminal."""
        text = status_text(schedule, loss, score, seconds_left=seconds_left)
        self.line.write(text, last=seconds_left is None)


def status_text(
    schedule: Schedule, loss: float, score: ValidationScore | None, *, seconds_left: float | None
) -> str:
    """Return the text of the line; without ``seconds_left`` the training is done or stopped.

    >>> score = ValidationScore({"liver": 0.8125}, 8)
    >>> status_text(Schedule(10), 0.5, score, seconds_left=None)
    'step 0 of 10, loss 0.500, validation Dice 0.812 over 8 cases, stopped'
    """
    dice = ""
    if score is not None and score.mean is not None:
        plural = "" if score.cases == 1 else "s"
        dice = f", validation Dice {score.mean:.3f} over {score.cases} case{plural}"
    ending = "stopped" if schedule.remaining else "done"
    if seconds_left is not None:
        ending = f"{duration(seconds_left)} left"
    return f"step {schedule.step} of {schedule.total}, loss {loss:.3f}{dice}, {ending}"
