"""The trainings of a study, one after the other; if one fails, the others continue."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import segkit
from segkit.config.sweep import Combination
from segkit.errors import Interrupted, SegkitError
from segkit.progress import duration

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """Result of one training: its run folder, or the reason why there is none."""

    run_dir: str | None
    message: str = ""


Trainer = Callable[[Sequence[Combination]], Iterator[Outcome]]
"""Function that runs trainings, here or on a cluster, and yields their outcomes in order."""


def train_here(combinations: Sequence[Combination]) -> Iterator[Outcome]:
    """Run one training after the other in this process."""
    seconds: list[float] = []
    for number, combination in enumerate(combinations):
        minutes = combination.config.trainer.max_minutes
        left = time_left(len(combinations) - number, seconds, minutes)
        log.info("run %d of %d: %s%s", number + 1, len(combinations), combination.described, left)
        started = time.monotonic()
        yield attempt(combination.overrides)
        seconds.append(time.monotonic() - started)
        gc.collect()  # network, optimizer and workers of a run are in reference cycles


def attempt(overrides: Sequence[str]) -> Outcome:
    """Start or resume a training; return an error as the outcome.

    Raises:
        Interrupted: Ctrl-C or SIGTERM.
    """
    try:
        return Outcome(str(segkit.train(*overrides, resume="auto")))
    except Interrupted:
        raise
    except SegkitError as error:
        message = str(error)
    except Exception as error:  # an unexpected error in one run must not stop the others
        log.debug("unexpected", exc_info=True)
        message = f"{type(error).__name__}: {error}"
    log.error("%s", message)
    return Outcome(None, message)


def time_left(runs: int, seconds: Sequence[float], minutes: float | None) -> str:
    """Return a phrase on the time left for all runs; empty if nothing is known.

    Args:
        runs: number of runs that are left, including the one that starts now.
        seconds: seconds that each of the finished ones took.
        minutes: trainer.max_minutes, which holds for each run.

    >>> time_left(3, [], 20.0), time_left(2, [90.0, 110.0], None), time_left(2, [], None)
    ('; up to 1 h 0 min left for all', '; about 3 min 20 s left for all', '')
    """
    if minutes is not None:
        return f"; up to {duration(60 * minutes * runs)} left for all"
    if seconds:
        return f"; about {duration(sum(seconds) / len(seconds) * runs)} left for all"
    return ""
