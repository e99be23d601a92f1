"""Time and steps of a pruning: how long each round may train, also after an interruption."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segkit.config.schema import TrainerConfig
from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.studies.pruning.settings import Budget

ROUNDS = "rounds.json"
"""File with the facts of every finished round."""
RESERVE, MOST_RESERVE = 0.12, 0.3
"""Smallest and largest share of trainer.max_minutes that is kept for the comparison at the end."""
STARTUPS = 2.0
"""Time of a comparison in times of the start of a process."""
TIMING_SHARE, TRIES_SHARE = 0.05, 0.15
"""Shares of trainer.max_minutes after which no further convolution is timed, in each round, and no
further choice of channels, in all rounds together."""
LEAST_MINUTES = 0.05
"""Length of a round for which no time is left."""


class Clock:
    """Seconds that a pruning has taken, its finished rounds, and the length of those to come."""

    def __init__(
        self,
        folder: Path,
        trainer: TrainerConfig,
        budget: Budget,
        started: float,
        *,
        startup: float = 0.0,
    ) -> None:
        """
        Args:
            folder: folder of the pruning; its rounds.json holds the finished rounds.
            trainer: max_steps or max_minutes hold for all rounds together.
            budget: the number of rounds.
            started: start of this process by `time.monotonic`.
            startup: seconds that it took to import everything. STARTUPS times as much is kept for
                the comparison, if that is more than RESERVE: on a busy machine all takes longer.
        """
        self._startup = startup
        self._file, self._trainer, self._budget = folder / ROUNDS, trainer, budget
        self.rounds = _read(self._file)
        self._before = sum(float(facts["seconds"]) for facts in self.rounds)
        self._started = self._mark = started

    def elapsed(self) -> float:
        """Return the seconds of all finished rounds and of this process so far."""
        return self._before + time.monotonic() - self._started

    def left(self) -> float:
        """Return the seconds that are left of trainer.max_minutes; infinite without it."""
        minutes = self._trainer.max_minutes
        return math.inf if minutes is None else 60 * minutes - self.elapsed()

    def window(self, share: float) -> Callable[[], float]:
        """Return a function that returns what is left of a time that begins now.

        Args:
            share: the time as a share of trainer.max_minutes; it is infinite without these.
        """
        minutes = self._trainer.max_minutes
        end = math.inf if minutes is None else time.monotonic() + 60 * minutes * share
        return lambda: end - time.monotonic()

    def trainer(self, number: int) -> TrainerConfig:
        """Return the settings of the training of round ``number``, which begins now."""
        if self._trainer.max_minutes is None:
            return dataclasses.replace(self._trainer, max_steps=self._steps(number))
        shares = [self._budget.training_share(n) for n in range(number, self._budget.rounds + 1)]
        left = self.left() / 60 - self._reserve(self._trainer.max_minutes)
        minutes = max(LEAST_MINUTES, left * shares[0] / sum(shares))
        return dataclasses.replace(self._trainer, max_minutes=minutes)

    def _reserve(self, minutes: float) -> float:
        """Return the minutes of ``minutes`` that are kept for the comparison."""
        return max(RESERVE * minutes, min(MOST_RESERVE * minutes, STARTUPS * self._startup / 60))

    def finish_round(self, facts: dict[str, Any]) -> None:
        """Keep the facts of a round that ends now, and its seconds."""
        now = time.monotonic()
        self.rounds.append({**facts, "seconds": round(now - self._mark, 1)})
        self._mark = now
        write_text(self._file, json.dumps(self.rounds, indent=2) + "\n")

    def _steps(self, number: int) -> int:
        """Return the steps of a round, which add up to trainer.max_steps over all rounds."""
        total = self._trainer.max_steps or 1
        shares = [self._budget.training_share(n) for n in range(1, number + 1)]
        return max(1, round(total * sum(shares)) - round(total * sum(shares[:-1])))


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        rounds = json.loads(path.read_text(encoding="utf-8"))
        return [{**facts, "seconds": float(facts["seconds"])} for facts in rounds]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            path,
            expected="the finished rounds of a pruning as segkit wrote them",
            found=f"{type(error).__name__}: {error}",
            remedy="Give another run_dir; finished trainings in this one stay as they are.",
        ) from error
