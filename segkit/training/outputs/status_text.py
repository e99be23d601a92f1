"""The line that says how far a training is."""

from __future__ import annotations

from segkit.progress import duration
from segkit.training.optimization.schedule import Schedule
from segkit.training.validation import ValidationScore


def progress_text(
    schedule: Schedule, loss: float, score: ValidationScore | None, *, seconds_left: float | None
) -> str:
    """Return the line; without ``seconds_left`` it is the last one, of a training that is done or stopped.

    >>> progress_text(Schedule(10), 0.5, ValidationScore({"liver": 0.8125}, 8), seconds_left=None)
    'step 0 of 10, loss 0.500, validation Dice 0.812 over 8 cases, stopped'
    """
    dice = ""
    if score is not None and score.mean is not None:
        dice = f", validation Dice {score.mean:.3f} over {score.cases} case{'' if score.cases == 1 else 's'}"
    ending = "stopped" if schedule.remaining else "done"
    if seconds_left is not None:
        ending = f"{duration(seconds_left)} left"
    return f"step {schedule.step} of {schedule.total}, loss {loss:.3f}{dice}, {ending}"
