"""How long a training lasts when it was given minutes: the steps and validations that fit, from what was timed."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from segkit.config.schema import TrainerConfig
from segkit.training.optimization.schedule import Schedule

TIMED_STEPS = 10
"""Steps after which the number of steps is decided: the first ones are slower than the rest."""
SLOWER, FASTER = 0.95, 1.2
"""Shares of the remaining steps between which that number stands; a quiet machine stays well inside."""
LATE = 0.002
"""Share of all the time that a run may be late beyond that, so that the last few steps are not counted anew.

It is taken from the validation at the end, which has little more than the cases need.
"""
INTERMEDIATE_CASES = 8
"""Validation cases that are predicted before the end of a run; the last validation takes all that time allows."""
MARGIN = 1.25
"""More time than the cases of the last validation took before: without it the last case is often one too many."""
SHARE_BETWEEN, SHARE_AT_THE_END = 0.1, 0.05
"""Of a budget of minutes, the most that validation may take: before the end, checkpoints included, and at the end."""

PREPARING, CHOOSING, STEPS = "preparing cases", "choosing precision and layout", "training steps"
VALIDATING, SAVING = "validation", "saving"
PARTS = (PREPARING, CHOOSING, STEPS, VALIDATING, SAVING)
"""What the time of a run is spent on."""


@dataclass
class Timing:
    """Seconds of the run so far, and of its parts."""

    started: float = field(default_factory=time.monotonic)
    """When this process began, by `time.monotonic`."""
    before: float = 0.0
    """Of the processes that this run was resumed from."""
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=50))
    """Of the last steps."""
    steps: int = 0
    """How many steps this process has done."""
    waiting: float = 0.0
    """For patches, in the steps of the whole run."""
    parts: dict[str, float] = field(default_factory=dict)
    """Seconds of the whole run by what they were spent on; what is left of `elapsed` went into start and planning."""
    case: float = 0.0
    """To predict one validation case; 0 before the first."""
    saving: float = 2.0
    """To write checkpoint, bundle and record."""

    def elapsed(self) -> float:
        return self.before + time.monotonic() - self.started

    def add_step(self, seconds: float) -> None:
        self.recent.append(seconds)
        self.steps += 1
        self._add(STEPS, seconds)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time of the block as ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._add(name, time.perf_counter() - start)

    def add(self, parts: Mapping[str, float], waiting: float) -> None:
        """Count what the processes before took, that this run was resumed from."""
        self.waiting += waiting
        for name, seconds in parts.items():
            self._add(name, seconds)

    def _add(self, name: str, seconds: float) -> None:
        self.parts[name] = self.parts.get(name, 0.0) + seconds

    @property
    def per_step(self) -> float:
        """The median does not mind a single slow step."""
        return median(self.recent) if self.recent else 0.0

    @property
    def data_share(self) -> float:
        """Share of the steps' time that was spent on waiting for patches."""
        stepping = self.parts.get(STEPS, 0.0)
        return self.waiting / stepping if stepping else 0.0


@dataclass
class Budget:
    """What fits into ``trainer.max_minutes``; without them everything does."""

    trainer: TrainerConfig
    timing: Timing
    cases: int
    """For validation."""
    windows: int
    """Of the sliding window, at most, in one of them."""
    batch_size: int
    """Patches of a step."""
    decided: bool = False
    """Whether the number of steps has been decided by timing."""
    settled: int = 0
    """Cases of every validation before the end, once the first has settled it."""
    stands: bool = False
    """Whether the number of steps stands whatever the time: so it does in a resumed run, once it had been decided."""

    @property
    def seconds(self) -> float:
        minutes = self.trainer.max_minutes
        return math.inf if minutes is None else 60 * minutes

    def left(self) -> float:
        """Seconds until the model must have been written, less those that writing it takes."""
        return self.seconds - self.timing.elapsed() - self.timing.saving - 0.5

    def case_seconds(self) -> float:
        """To predict one validation case: measured, or guessed from a third of a training step per patch."""
        return self.timing.case or self.timing.per_step / 3 / self.batch_size * self.windows

    def settle_cases(self) -> int:
        """Cases of the validation that is due. Later ones take as many: a curve over other cases would mean nothing."""
        self.settled = self.intermediate_cases()
        return self.settled

    def intermediate_cases(self) -> int:
        """Cases of a validation before the end, which ends with a checkpoint; 0 where time does not allow any."""
        if self.settled:
            return self.settled
        share = self.seconds * SHARE_BETWEEN / max(1, self.trainer.validations) - self.timing.saving
        fitting = max(0.0, share) / max(1e-9, self.case_seconds())
        return int(min(INTERMEDIATE_CASES, self.cases, fitting))

    def final_reserve(self) -> float:
        """Seconds kept for the validation at the end; 0 where a single case would take too much of the time."""
        one = self.case_seconds()
        if one > 2 * self.seconds * SHARE_AT_THE_END:
            return 0.0
        return min(MARGIN * self.cases * one, max(one, self.seconds * SHARE_AT_THE_END))

    def reserve(self, to_come: int) -> float:
        """Seconds kept for the validation at the end, and for ``to_come`` before it."""
        count = self.intermediate_cases()
        between = count * self.case_seconds() + self.timing.saving if count else 0.0
        return to_come * between + self.final_reserve()

    def set_length(self, schedule: Schedule, to_come: int) -> bool:
        """Turn minutes into steps once some are timed; later only where the machine became much slower or faster.

        Returns whether the number of steps was decided, for the first time or anew.
        """
        if (
            self.trainer.max_minutes is None
            or self.stands
            or schedule.remaining == 0
            or not self.timing.per_step
        ):
            return False
        possible = max(0, int((self.left() - self.reserve(to_come)) / self.timing.per_step))
        untimed = TIMED_STEPS - self.timing.steps
        if untimed > 0:
            # Steps so slow that time, or what was left of the schedule, runs out before enough of them are timed.
            if min(possible, schedule.remaining) <= untimed:
                schedule.end_after(possible)
            return False
        if self.decided and self._about_right(possible, schedule.remaining):
            return False
        schedule.end_after(possible)
        self.decided = True
        return True

    def _about_right(self, possible: int, remaining: int) -> bool:
        late = LATE * self.seconds / self.timing.per_step
        return int(SLOWER * remaining) - late <= possible <= FASTER * remaining + 2


def first_length(trainer: TrainerConfig, seconds_per_batch: float, elapsed: float) -> int:
    """Steps to begin with: those asked for; or a guess at those that fit, which the first steps replace."""
    if trainer.max_minutes is None:
        return trainer.max_steps or 1
    fitting = (60 * trainer.max_minutes - elapsed) / max(
        1e-6, seconds_per_batch * trainer.accumulate
    )
    # A guess that is too low would end the run, or decay the learning rate, before the timing can correct it.
    return max(10 * TIMED_STEPS, int(fitting))
