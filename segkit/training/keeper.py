"""What happens around the steps of a run: its length, validation, checkpoints, bundle, record and progress line."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import lightning as L
from torch import Tensor

from segkit.clock import seconds_since_start
from segkit.config import TrainerConfig
from segkit.plans import Plan
from segkit.preprocessing.store import PreparedCase
from segkit.sliding_window import window_starts
from segkit.training.checkpoint import save_checkpoint
from segkit.training.model_writer import ModelWriter
from segkit.training.module import SegmentationModule
from segkit.training.record import ProgressLine, Record, duration
from segkit.training.schedule import steps_within
from segkit.training.validation import ValidationScore, validate

ROWS = 100
"""About how many rows training.csv gets."""
TIMED_STEPS = 10
"""Steps after which a budget of minutes is turned into a number of steps, for good."""
SLOWER, FASTER = 0.95, 1.2
"""Shares of the remaining steps between which that number stands; a quiet machine stays well inside."""
INTERMEDIATE_CASES = 8
"""Validation cases that are predicted before the end of a run; the last validation takes all that time allows."""
VALIDATION_SHARE = 0.1
"""Of a budget of minutes, the most that validation may take."""


@dataclass
class Timing:
    """Seconds of the run so far, and of its parts."""

    before: float = 0.0
    """Of the processes that this run was resumed from."""
    steps: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    validation_per_case: float = 0.0

    def elapsed(self) -> float:
        return self.before + seconds_since_start()

    @property
    def per_step(self) -> float:
        return median(self.steps[-50:]) if self.steps else 0.0


class Keeper(L.Callback):
    """Keeps a run: knows when to validate, to save and to stop."""

    def __init__(
        self,
        plan: Plan,
        trainer_config: TrainerConfig,
        validation_cases: Sequence[PreparedCase],
        *,
        folder: Path,
        timing: Timing,
        writer: ModelWriter,
    ) -> None:
        self.plan = plan
        self.config = trainer_config
        self.cases = list(validation_cases)
        self.folder = folder
        self.timing = timing
        self.writer = writer
        self.interrupted = 0
        """Number of the signal that asked the run to stop."""
        self.score: ValidationScore | None = None
        self.record = Record(folder, tuple(plan.labels))
        self.line = ProgressLine()
        self.losses: list[Tensor] = []
        self.saved = time.monotonic()
        self.validated = 0
        self.length_stands = trainer_config.max_minutes is None

    def on_train_start(self, _trainer: L.Trainer, module: L.LightningModule) -> None:
        schedule = _module(module).schedule
        self.record = Record.resume(self.folder, tuple(self.plan.labels), schedule.step)
        self.validated = int(schedule.progress * self.config.validations)
        self.length_stands = self.length_stands or schedule.step >= TIMED_STEPS
        self.ended = time.perf_counter()

    def on_train_batch_start(self, _trainer: L.Trainer, _module: L.LightningModule, *_: Any) -> None:
        self.began = time.perf_counter()
        self.timing.waits.append(self.began - self.ended)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, _batch: Any, batch_index: int
    ) -> None:
        self.losses.append(outputs["loss"].detach())
        if (batch_index + 1) % self.config.accumulate == 0:
            self._after_step(trainer, _module(module))
        self.ended = time.perf_counter()

    def on_save_checkpoint(self, _trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        mode = _module(module).mode
        checkpoint["elapsed"] = self.timing.elapsed()
        checkpoint["mode"] = {"precision": mode.precision, "layout": mode.layout, "seconds": mode.seconds}

    def _after_step(self, trainer: L.Trainer, module: SegmentationModule) -> None:
        self.timing.steps.append(time.perf_counter() - self.ended)
        self._keep_to_budget(module)
        schedule = module.schedule
        last = schedule.remaining == 0 or bool(self.interrupted)
        due = int(schedule.progress * self.config.validations) > self.validated
        if last and not self.interrupted:
            self._validate(module, final=True)
        elif due and self._worth_validating(module):
            self._validate(module, final=False)
        if last or due or schedule.step % max(1, schedule.total // ROWS) == 0:
            self._add_row(module, with_score=last or due)
        if last or due or time.monotonic() - self.saved > 60 * self.config.checkpoint_minutes:
            self.save(trainer, module)
        self._show(module, last=last)
        trainer.should_stop = last

    def _keep_to_budget(self, module: SegmentationModule) -> None:
        """Turn minutes into steps once; later only where the machine became much slower or faster than that."""
        schedule = module.schedule
        if self.config.max_minutes is None or schedule.step < TIMED_STEPS or schedule.remaining == 0:
            return
        possible = steps_within(self._seconds_left(), self.timing.per_step, self._reserve(module))
        if not self.length_stands:
            schedule.end_after(possible)
            self.length_stands = True
        elif not SLOWER * schedule.remaining - 2 <= possible <= FASTER * schedule.remaining + 2:
            schedule.end_after(possible)

    def _seconds_left(self) -> float:
        return 60 * (self.config.max_minutes or 0) - self.timing.elapsed()

    def _reserve(self, module: SegmentationModule) -> float:
        """Seconds to keep for the validations to come and for writing the model."""
        to_come = max(0, self.config.validations - self.validated - 1)
        between = to_come * min(INTERMEDIATE_CASES, len(self.cases)) * self._case_seconds(module)
        if not self._worth_validating(module):
            between = 0.0
        return between + self._final_count(module) * self._case_seconds(module) + 3.0

    def _case_seconds(self, module: SegmentationModule) -> float:
        """Seconds to predict one validation case: measured, or guessed from a third of a step per patch."""
        if self.timing.validation_per_case:
            return self.timing.validation_per_case
        forward = (self.timing.per_step or module.mode.seconds) / 3 / self.config.batch_size
        return forward * max((windows(case, self.plan) for case in self.cases), default=0)

    def _worth_validating(self, module: SegmentationModule) -> bool:
        """May a validation in between be paid for out of half of the share that validation has?"""
        if not self.cases:
            return False
        if self.config.max_minutes is None:
            return True
        seconds = min(INTERMEDIATE_CASES, len(self.cases)) * self._case_seconds(module)
        return seconds * self.config.validations <= 60 * self.config.max_minutes * VALIDATION_SHARE / 2

    def _final_count(self, module: SegmentationModule) -> int:
        if self.config.max_minutes is None or not self.cases:
            return len(self.cases)
        affordable = 60 * self.config.max_minutes * VALIDATION_SHARE / 2 / max(1e-9, self._case_seconds(module))
        return max(1, min(len(self.cases), int(affordable)))

    def _validate(self, module: SegmentationModule, *, final: bool) -> None:
        if not self.cases or self.config.validations == 0:
            return
        count = self._final_count(module) if final else min(INTERMEDIATE_CASES, len(self.cases))
        start = time.perf_counter()
        self.score = validate(module.average, self.cases[:count], self.plan, mode=module.mode, device=module.device)
        self.timing.validation_per_case = (time.perf_counter() - start) / count

    def _add_row(self, module: SegmentationModule, *, with_score: bool) -> None:
        schedule = module.schedule
        row: dict[str, float | str] = {
            "step": schedule.step,
            "minutes": round(self.timing.elapsed() / 60, 3),
            "loss": round(float(sum(loss.item() for loss in self.losses)) / max(1, len(self.losses)), 5),
            "learning_rate": module.learning_rate,
            "seconds_per_step": round(self.timing.per_step, 4),
            "data_share": round(sum(self.timing.waits) / max(1e-9, sum(self.timing.steps)), 4),
        }
        if with_score and self.score:
            row["dice"] = round(self.score.mean, 5)
            row |= {f"dice_{name}": round(value, 5) for name, value in self.score.labels.items()}
        self.record.add(row)
        self.losses.clear()
        self.validated = max(self.validated, int(schedule.progress * self.config.validations))

    def save(self, trainer: L.Trainer, module: SegmentationModule) -> None:
        """Checkpoint, bundle, training.csv and progress.png, as of now."""
        save_checkpoint(trainer, self.folder / "checkpoints")
        self.writer.write(module, self._training_figures(module), self._metrics())
        self.record.write()
        self.saved = time.monotonic()

    def _training_figures(self, module: SegmentationModule) -> dict[str, Any]:
        return {
            "steps": module.schedule.step,
            "minutes": round(self.timing.elapsed() / 60, 2),
            "seconds_per_step": round(self.timing.per_step, 4),
            "precision": module.mode.precision,
            "layout": module.mode.layout,
        }

    def _metrics(self) -> dict[str, Any]:
        if self.score is None:
            return {}
        return {"dice": self.score.labels, "mean_dice": self.score.mean, "cases": self.score.cases}

    def _show(self, module: SegmentationModule, *, last: bool) -> None:
        schedule = module.schedule
        left = schedule.remaining * self.timing.per_step + self._reserve(module)
        dice = f", validation Dice {self.score.mean:.3f}" if self.score else ""
        loss = f", loss {self.losses[-1].item():.3f}" if self.losses else ""
        ending = "done" if last else f"{duration(left)} left"
        self.line.show(f"step {schedule.step} of {schedule.total}{loss}{dice}, {ending}", last=last)


def windows(case: PreparedCase, plan: Plan) -> int:
    """How many windows a sliding window takes for a case."""
    count = 1
    for size, edge in zip(case.labels.shape, plan.patch, strict=True):
        count *= len(window_starts(max(size, edge), edge, 0.5))
    return count


def _module(module: L.LightningModule) -> SegmentationModule:
    if not isinstance(module, SegmentationModule):
        raise TypeError(f"Keeper keeps a SegmentationModule, not a {type(module).__name__}")
    return module
