"""Length of a training with a time limit: the steps and validations that fit into the minutes."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from segkit.config.schema import TrainerConfig
from segkit.training.optimization.schedule import Schedule

TIMED_STEPS = 10
"""Steps after which the number of steps is decided: the first ones are slower than the rest."""
SLOWER, FASTER = 0.95, 1.2
"""Shares of the remaining steps between which that number stays as it is.

On a quiet machine the timing stays well within these limits.
"""
LATE = 0.002
"""Share of the whole time by which a run may be late in addition.

It keeps the last few steps from changing the number of steps. The time is taken from the validation
at the end, which has little more than its cases need.
"""
INTERMEDIATE_CASES = 8
"""Largest number of cases of a validation before the end; the last one is limited by time only."""
MARGIN = 1.25
"""Time kept for the last validation, relative to what its cases took before.

Without a margin there is often no time left for the last case.
"""
SHARE_BETWEEN, SHARE_AT_THE_END, SHARE_OF_OVERLAPS, SHARE_OF_QUALITY = 0.1, 0.05, 0.02, 0.03
"""Largest shares of the minutes for validations before the end, with their checkpoints, at the end,
and after that for measuring smaller overlaps of windows, and for the expected Dice."""

PREPARING, CHOOSING, STEPS = "preparing cases", "choosing precision and layout", "training steps"
VALIDATING, SAVING = "validation", "saving"
PARTS = (PREPARING, CHOOSING, STEPS, VALIDATING, SAVING)
"""Activities whose time is counted."""


@dataclass
class Timing:
    """Time that the run has taken so far, in seconds, in total and by activity."""

    started: float = field(default_factory=time.monotonic)
    """Start of this process, by `time.monotonic`."""
    before: float = 0.0
    """Seconds that the earlier processes of this run took, before it was resumed."""
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=50))
    """Seconds of each of the last steps."""
    steps: int = 0
    """Number of steps that this process has done."""
    waiting: float = 0.0
    """Seconds that all steps of the run waited for patches."""
    parts: dict[str, float] = field(default_factory=dict)
    """Seconds of the whole run by activity; start and planning are not counted."""
    case: float = 0.0
    """Seconds to predict one validation case; 0 before the first."""
    saving: float = 2.0
    """Seconds to write checkpoint, bundle and training log."""

    def elapsed(self) -> float:
        """Return the seconds of the whole run so far."""
        return self.before + time.monotonic() - self.started

    def add_step(self, seconds: float) -> None:
        """Count one optimizer step."""
        self.recent.append(seconds)
        self.steps += 1
        self._add(STEPS, seconds)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time of the block as the activity ``name``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._add(name, time.perf_counter() - start)

    def state_dict(self) -> dict[str, Any]:
        """Return this part of a checkpoint."""
        return {"parts": self.parts, "waiting": self.waiting}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Add the time of the earlier processes of the run that is resumed."""
        self.waiting += state["waiting"]
        for name, seconds in state["parts"].items():
            self._add(name, seconds)

    def _add(self, name: str, seconds: float) -> None:
        self.parts[name] = self.parts.get(name, 0.0) + seconds

    @property
    def per_step(self) -> float:
        """Median seconds of a recent step, which a single slow step does not change."""
        return median(self.recent) if self.recent else 0.0

    @property
    def data_share(self) -> float:
        """Share of the steps' time that was spent waiting for patches."""
        stepping = self.parts.get(STEPS, 0.0)
        return self.waiting / stepping if stepping else 0.0


@dataclass
class Budget:
    """Steps and validations that fit into ``trainer.max_minutes``; without a limit, all of them."""

    trainer: TrainerConfig
    timing: Timing
    cases: int
    """Number of validation cases of this rank."""
    windows: int
    """Largest number of sliding windows in one of them."""
    batch_size: int
    """Patches of one batch on this rank."""
    overlap_cases: float = 0.0
    """Time to measure smaller overlaps of windows, in times of a validation case."""
    quality_cases: float = 0.0  # the same, to fit the expected Dice
    decided: bool = False
    """True once the number of steps has been decided by timing."""
    settled: int = 0
    """Cases of every validation before the end; 0 until the first of them."""
    is_fixed: bool = False
    """True if the number of steps no longer changes: it was decided before the run was resumed."""

    @property
    def seconds(self) -> float:
        """Time limit of the training in seconds; infinite if there is none."""
        minutes = self.trainer.max_minutes
        return math.inf if minutes is None else 60 * minutes

    def left(self) -> float:
        """Return the seconds until the model must be written, less the time to write it."""
        return self.seconds - self.timing.elapsed() - self.timing.saving - 0.5

    def case_seconds(self) -> float:
        """Return the seconds to predict one validation case.

        Until one has been measured, a window is estimated at a third of the time that a training
        step takes per patch.
        """
        estimate = self.timing.per_step / 3 / self.batch_size * self.windows
        return self.timing.case or estimate

    def settle_cases(self) -> int:
        """Return the number of cases of the validation that is due, and keep it for later ones.

        All points of the Dice curve are then means over the same cases.
        """
        self.settled = self.intermediate_cases()
        return self.settled

    def intermediate_cases(self) -> int:
        """Return the number of cases of a validation before the end; 0 if time allows none.

        Each such validation ends with a checkpoint, whose time is counted.
        """
        if self.settled:
            return self.settled
        share = self.seconds * SHARE_BETWEEN / max(1, self.trainer.validations) - self.timing.saving
        fitting = max(0.0, share) / max(1e-9, self.case_seconds())
        return int(min(INTERMEDIATE_CASES, self.cases, fitting))

    def final_reserve(self) -> float:
        """Return the seconds kept for the last validation; 0 if one case would take too long."""
        one_case = self.case_seconds()
        if one_case > 2 * self.seconds * SHARE_AT_THE_END:
            return 0.0
        return min(MARGIN * self.cases * one_case, max(one_case, self.seconds * SHARE_AT_THE_END))

    def reserve_after(self) -> float:
        """Return the seconds kept for what is measured after the last validation."""
        if not self.final_reserve():
            return 0.0
        case = MARGIN * self.case_seconds()
        overlaps = min(case * self.overlap_cases, self.seconds * SHARE_OF_OVERLAPS)
        return overlaps + min(case * self.quality_cases, self.seconds * SHARE_OF_QUALITY)

    def reserve(self, to_come: int) -> float:
        """Return the seconds kept for ``to_come`` validations, the last one, and what follows."""
        count = self.intermediate_cases()
        between = count * self.case_seconds() + self.timing.saving if count else 0.0
        return to_come * between + self.final_reserve() + self.reserve_after()

    def set_length(self, schedule: Schedule, to_come: int) -> bool:
        """Set the number of steps of ``schedule`` from the time left, once enough steps are timed.

        Later the number changes only if the machine became much slower or faster.

        Args:
            schedule: the schedule after the current step; changed in place.
            to_come: validations still to come before the last one.

        Returns:
            True if the number of steps was decided now, for the first time or again.
        """
        has_length = self.trainer.max_minutes is None or self.is_fixed
        if has_length or schedule.remaining == 0 or not self.timing.per_step:
            return False
        possible = max(0, int((self.left() - self.reserve(to_come)) / self.timing.per_step))
        untimed = TIMED_STEPS - self.timing.steps
        if untimed > 0:
            # Slow steps: the time or the schedule ends before enough of them are timed.
            if min(possible, schedule.remaining) <= untimed:
                schedule.end_after(possible)
            return False
        if self.decided and self._is_about_right(possible, schedule.remaining):
            return False
        schedule.end_after(possible)
        self.decided = True
        return True

    def _is_about_right(self, possible: int, remaining: int) -> bool:
        late = LATE * self.seconds / self.timing.per_step
        return int(SLOWER * remaining) - late <= possible <= FASTER * remaining + 2

    def state_dict(self) -> dict[str, Any]:
        """Return this part of a checkpoint."""
        return {"settled": self.settled, "decided": self.decided}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the decisions of the run that is resumed; its number of steps stays the same."""
        self.settled = state["settled"]
        self.decided = self.is_fixed = state["decided"]


def first_length(trainer: TrainerConfig, seconds_per_batch: float, elapsed: float) -> int:
    """Return the number of steps to begin with.

    With ``max_minutes`` this is an estimate, which the timing of the first steps replaces.

    Args:
        trainer: its ``max_steps`` is the result if ``max_minutes`` is None.
        seconds_per_batch: time of a batch as measured when precision and memory format were chosen.
        elapsed: seconds that the run has taken so far.
    """
    if trainer.max_minutes is None:
        return trainer.max_steps or 1
    seconds_per_step = max(1e-6, seconds_per_batch * trainer.accumulate)
    fitting = (60 * trainer.max_minutes - elapsed) / seconds_per_step
    # Too low an estimate would end the run, or decay the learning rate, before it is corrected.
    return max(10 * TIMED_STEPS, int(fitting))
