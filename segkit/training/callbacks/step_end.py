"""The end of each step: set the length, validate, add a row, save, show the status, stop."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning as L
from lightning.pytorch.loggers import Logger
from torch import Tensor

from segkit.config.schema import TrainerConfig
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.callbacks.log_rows import LogRows
from segkit.training.callbacks.save_run import RunSaver
from segkit.training.callbacks.scheduled_validation import ScheduledValidation
from segkit.training.callbacks.status_line import TrainingStatusLine
from segkit.training.compute.distributed import ALONE, Ranks
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.outputs.bundle_writer import BundleWriter
from segkit.training.outputs.checkpoint import random_state, restore_random_state
from segkit.training.outputs.overlap_dice import CasesToMeasure
from segkit.training.outputs.quality import relative_time, spread_cases
from segkit.training.signals import StopRequest
from segkit.training.time_budget import Budget, Timing
from segkit.training.validation import window_count


@dataclass(frozen=True)
class StepEndParts:
    """The objects that act after each step, made for one run by `step_end_parts`."""

    stop: StopRequest
    budget: Budget
    validation: ScheduledValidation
    rows: LogRows
    saver: RunSaver
    ranks: Ranks


def step_end_parts(
    plan: Plan,
    config: TrainerConfig,
    validation_cases: Sequence[PreparedCase],
    *,
    folder: Path,
    timing: Timing,
    bundle_writer: BundleWriter,
    tracker: Logger | None = None,
    ranks: Ranks = ALONE,
) -> StepEndParts:
    """Return the parts of `StepEnd` for the run in ``folder``.

    Args:
        plan: the plan of the network.
        config: length, validations and checkpoints of the training.
        validation_cases: cases of all ranks.
        folder: the run folder.
        timing: the time spent so far.
        bundle_writer: writes the bundle with every checkpoint.
        tracker: logger of TensorBoard or MLflow, or None.
        ranks: the processes of the training.
    """
    cases = list(validation_cases) if config.validations else []
    stop, rows = StopRequest(), LogRows(folder, plan, timing, tracker)
    own_cases = cases[ranks.number :: ranks.count]
    budget = Budget(
        config,
        timing,
        cases=math.ceil(len(cases) / ranks.count),
        windows=max((window_count(case, plan) for case in cases), default=0),
        batch_size=ranks.part_of(plan.batch_size),
        overlap_cases=CasesToMeasure.among(own_cases, plan).relative_times,
        quality_cases=relative_time() * len(spread_cases(own_cases)),
    )
    validation = ScheduledValidation(
        plan, cases, count=config.validations, budget=budget, stop=stop, ranks=ranks
    )
    patients = {case.id: case.patient for case in bundle_writer.split.validation}
    validation.quality.patients, validation.quality.folder = patients, folder
    saver = RunSaver(
        folder,
        config,
        bundle_writer=bundle_writer,
        rows=rows,
        validation=validation,
        timing=timing,
        ranks=ranks,
    )
    return StepEndParts(stop, budget, validation, rows, saver, ranks)


class StepEnd(L.Callback):
    """Callback that runs budget, validation, rows, saver and status line, in order, per step."""

    state_key = "Keeper"
    """Key of the state in a checkpoint, as in the checkpoints of earlier versions."""

    def __init__(self, plan: Plan, config: TrainerConfig, parts: StepEndParts) -> None:
        """Call ``parts`` in a training that follows ``plan`` and ``config``."""
        self.plan, self.config = plan, config
        self.stop, self.ranks = parts.stop, parts.ranks
        self.budget, self.timing = parts.budget, parts.budget.timing
        self.validation, self.rows, self.saver = parts.validation, parts.rows, parts.saver
        self.status = TrainingStatusLine()
        self.is_step_complete = True
        """False while validation and row of the current step are still to do: after a signal, the
        resumed run does them."""
        self.resumed_random_state: dict[str, list[Tensor]] | None = None
        """State of torch's random generators in the checkpoint that this run resumes from."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs besides weights, optimizer and schedule."""
        return {
            **self.rows.state_dict(),
            **self.validation.state_dict(),
            **self.budget.state_dict(),
            **self.timing.state_dict(),
            "looked_at": self.is_step_complete,
            "random": random_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for part in (self.rows, self.validation, self.budget, self.timing):
            part.load_state_dict(state_dict)
        self.is_step_complete = state_dict["looked_at"]
        self.resumed_random_state = state_dict["random"]

    def on_train_start(self, _trainer: L.Trainer, module: L.LightningModule) -> None:
        self.rows.resume(_module(module).schedule.step)
        if self.resumed_random_state:
            restore_random_state(self.resumed_random_state)
        if not self.is_step_complete:
            self._complete_step(_module(module))
        self.step_ended = self.batch_ended = time.perf_counter()

    def on_train_batch_start(
        self, _trainer: L.Trainer, _module: L.LightningModule, *_: Any
    ) -> None:
        self.timing.waiting += time.perf_counter() - self.batch_ended

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        module: L.LightningModule,
        outputs: Any,
        _batch: Any,
        batch_index: int,
    ) -> None:
        # Lightning divides the loss of every batch of an accumulated step.
        self.rows.batch_losses.append(outputs["loss"].detach() * self.config.accumulate)
        if (batch_index + 1) % self.config.accumulate == 0:
            self.timing.add_step(time.perf_counter() - self.step_ended)
            self._after_step(trainer, _module(module))
            self.step_ended = time.perf_counter()
        self.batch_ended = time.perf_counter()

    def on_save_checkpoint(
        self, _trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        mode = dataclasses.asdict(_module(module).mode)
        checkpoint.update(plan=self.plan.hash(), elapsed=self.timing.elapsed(), mode=mode)

    def _after_step(self, trainer: L.Trainer, module: SegmentationModule) -> None:
        schedule = module.schedule
        save_is_due = self._agree_on_length(module)
        self.is_step_complete = False
        if schedule.remaining == 0 or not self.stop.agreed:
            self._complete_step(module)
        is_last = schedule.remaining == 0 or bool(self.stop.agreed)
        if is_last or save_is_due or self._is_validated(schedule.step):
            self.saver.save(trainer, module)
        # `is_due` is called first, because it also starts the next interval.
        if self.status.is_due() or is_last:
            self._show_status(module, is_last=is_last)
        trainer.should_stop = is_last

    def _agree_on_length(self, module: SegmentationModule) -> bool:
        """Set the same length and stop request on all ranks; return whether a checkpoint is due.

        The clock of rank 0 decides, and a signal to any rank stops all of them.
        """
        schedule = module.schedule
        was_decided = self.budget.set_length(schedule, to_come=self.validation.remaining())
        # A run that is killed and resumed must find the number of steps that was decided.
        save_is_due = was_decided or self.saver.is_due(schedule.step)
        total, plain_from, save, stop = self.ranks.agree(
            [schedule.total, schedule.plain_from, save_is_due], self.stop.received
        )
        schedule.total, schedule.plain_from, self.stop.agreed = total, plain_from, stop
        return bool(save)

    def _complete_step(self, module: SegmentationModule) -> None:
        """Validate and add a row to training.csv, if they are due after this step."""
        schedule = module.schedule
        if not self.validation.run_if_due(module):
            return
        self.is_step_complete = True
        score = self.validation.score_of_step(schedule.step)
        if score is not None or self.rows.is_due(schedule):
            self.rows.add(module, score)

    def _is_validated(self, step: int) -> bool:
        return self.validation.score_of_step(step) is not None

    def _show_status(self, module: SegmentationModule, *, is_last: bool) -> None:
        schedule, to_come = module.schedule, self.validation.remaining()
        expected = schedule.remaining * self.timing.per_step + self.budget.reserve(to_come)
        seconds_left = None if is_last else min(expected, self.budget.left())
        self.status.show(
            schedule, self.rows.latest_loss(), self.validation.score, seconds_left=seconds_left
        )


def _module(module: L.LightningModule) -> SegmentationModule:
    return cast(SegmentationModule, module)  # the only kind that fit gives to Lightning
