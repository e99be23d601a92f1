"""The trainings of a study: one attempted after the other, a failed one reported while the others go on."""

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
    """How one training went: its run folder, or why there is none."""

    run_dir: str | None
    message: str = ""


Trainer = Callable[[Sequence[Combination]], Iterator[Outcome]]
"""Runs trainings somewhere and yields how they went, in their order."""


def train_here(combinations: Sequence[Combination]) -> Iterator[Outcome]:
    """One training after the other, in this process."""
    seconds: list[float] = []
    for number, each in enumerate(combinations):
        left = time_left(len(combinations) - number, seconds, each.config.trainer.max_minutes)
        log.info("run %d of %d: %s%s", number + 1, len(combinations), each.described, left)
        started = time.monotonic()
        yield attempt(each.words)
        seconds.append(time.monotonic() - started)
        gc.collect()  # network, optimiser and workers of a run hang in cycles


def attempt(words: Sequence[str]) -> Outcome:
    """Train, or go on with a training; what goes wrong is reported.

    Raises:
        Interrupted: Ctrl-C or SIGTERM.
    """
    try:
        return Outcome(str(segkit.train(*words, resume="auto")))
    except Interrupted:
        raise
    except SegkitError as error:
        message = str(error)
    except Exception as error:  # whatever one run brings up, the others of a night's work go on
        log.debug("unexpected", exc_info=True)
        message = f"{type(error).__name__}: {error}"
    log.error("%s", message)
    return Outcome(None, message)


def time_left(runs: int, seconds: Sequence[float], minutes: float | None) -> str:
    """What to say about ``runs`` that are left, the one that begins included; nothing where nothing is known.

    Args:
        runs: how many are left.
        seconds: that each of the finished ones took.
        minutes: trainer.max_minutes, which holds for each run.

    >>> time_left(3, [], 20.0), time_left(2, [90.0, 110.0], None), time_left(2, [], None)
    ('; up to 1 h 0 min left for all', '; about 3 min 20 s left for all', '')
    """
    if minutes is not None:
        return f"; up to {duration(60 * minutes * runs)} left for all"
    if seconds:
        return f"; about {duration(sum(seconds) / len(seconds) * runs)} left for all"
    return ""
