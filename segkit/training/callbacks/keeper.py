"""What happens around the steps of a run: its length, validation, checkpoints, bundle, record and progress line."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from segkit.config.schema import TrainerConfig
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.progress import StatusLine, duration
from segkit.training.compute.distributed import ALONE, Ranks
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.outputs.bundle_writer import ModelWriter
from segkit.training.outputs.checkpoint import Checkpoints, random_state, restore_random_state
from segkit.training.outputs.gallery import Gallery
from segkit.training.outputs.report import RunReport
from segkit.training.outputs.run_folder import CHECKPOINTS
from segkit.training.outputs.status_text import progress_text
from segkit.training.outputs.trackers import log_row
from segkit.training.outputs.training_log import Record, Row, score_columns
from segkit.training.time_budget import SAVING, VALIDATING, Budget, Timing
from segkit.training.validation import Seen, ValidationScore, unseen, validate, windows_of

log = logging.getLogger(__name__)

ROWS = 100
"""About how many rows training.csv gets."""


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
        logger: Logger | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        self.plan = plan
        self.config = trainer_config
        self.cases = list(validation_cases) if trainer_config.validations else []
        self.folder, self.checkpoints = folder, Checkpoints(folder / CHECKPOINTS)
        self.timing = timing
        self.writer = writer
        self.ranks = ranks
        windows = max((windows_of(case, plan) for case in self.cases), default=0)
        # Of this rank.
        cases, patches = math.ceil(len(self.cases) / ranks.count), ranks.part_of(plan.batch_size)
        self.budget = Budget(
            trainer_config, timing, cases=cases, windows=windows, batch_size=patches
        )
        self.asked = 0
        """Number of the signal that asked this process to stop the run,"""
        self.interrupted = 0
        """and of one to any of the ranks, once all of them know: they stop after the same step."""
        self.score: ValidationScore | None = None
        self.score_step = 0
        self.gallery = Gallery(plan)
        self.record = Record.of(folder, plan)
        self.logger = logger
        self.line = StatusLine(interval=30.0, immediate=True)
        self.losses: list[Tensor] = []
        """Of the batches since the last row."""
        self.loss = float("nan")
        """Their mean, in the last row."""
        self.saved = time.monotonic()
        self.due = 0
        """How many validations were due so far."""
        self.looked_at = True
        """Whether validation and row of the current step are done, where it is one for them; a signal puts them off."""
        self.random: dict[str, list[Tensor]] | None = None
        """torch's random state in the checkpoint that the run goes on from."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs beside weights, optimizer and schedule to go on as if it had not been stopped."""
        return {
            "losses": [float(loss) for loss in self.losses],
            "loss": self.loss,
            "due": self.due,
            "looked_at": self.looked_at,
            "score": None if self.score is None else dataclasses.asdict(self.score),
            "score_step": self.score_step,
            "settled": self.budget.settled,
            "decided": self.budget.decided,
            "parts": self.timing.parts,
            "waiting": self.timing.waiting,
            "random": random_state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.losses = [torch.tensor(loss) for loss in state_dict["losses"]]
        self.loss, self.due, self.looked_at = (
            state_dict[name] for name in ("loss", "due", "looked_at")
        )
        self.score = ValidationScore(**state_dict["score"]) if state_dict["score"] else None
        self.score_step = state_dict["score_step"]
        self.budget.settled = state_dict["settled"]
        self.budget.decided = self.budget.stands = state_dict["decided"]
        self.timing.add(state_dict["parts"], state_dict["waiting"])
        self.random = state_dict["random"]

    def on_train_start(self, _trainer: L.Trainer, module: L.LightningModule) -> None:
        self.record = Record.resume(self.folder, self.plan, _module(module).schedule.step)
        if self.random:
            restore_random_state(self.random)
        if not self.looked_at:
            self._look_at(_module(module))
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
        self.losses.append(outputs["loss"].detach() * self.config.accumulate)
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
        decided = self.budget.set_length(schedule, to_come=self._validations_to_come())
        # The number of steps that was decided must be found by a run that is killed and resumed.
        due = decided or self._checkpoint_is_due(schedule.step)
        # The clock of rank 0 decides, and a signal to any rank stops all.
        length = [schedule.total, schedule.plain_from]
        schedule.total, schedule.plain_from, save, self.interrupted = self.ranks.agree(
            [*length, due], self.asked
        )
        self.looked_at = False
        if schedule.remaining == 0 or not self.interrupted:
            self._look_at(module)
        last = schedule.remaining == 0 or bool(self.interrupted)
        if last or save or self._validated(module):
            self.save(trainer, module)
        self._show(module, last=last)
        trainer.should_stop = last

    def _look_at(self, module: SegmentationModule) -> None:
        """Validate, and add a row to training.csv, where this is the step for it."""
        schedule = module.schedule
        due = int(schedule.progress * self.config.validations) - self.due
        if schedule.remaining == 0:
            self._validate_at_the_end(module)
        elif due:
            cases, _ = self.ranks.agree([self.budget.settle_cases()], 0)
            self._validate(module, self.cases[: self.ranks.count * cases])
            (self.interrupted,) = self.ranks.agree([], self.asked)
            if self.interrupted:
                return  # cut short: the resumed run does it
        self.due += due
        self.looked_at = True
        if (
            schedule.remaining == 0
            or self._validated(module)
            or schedule.step % max(1, schedule.total // ROWS) == 0
        ):
            self._add_row(module)

    def _checkpoint_is_due(self, step: int) -> bool:
        every = self.config.checkpoint_steps
        by_time = time.monotonic() - self.saved > 60 * self.config.checkpoint_minutes
        return by_time or bool(every and step % every == 0)

    def _validations_to_come(self) -> int:
        """Before the last one."""
        return max(0, self.config.validations - self.due - 1)

    def _validate_at_the_end(self, module: SegmentationModule) -> None:
        """All cases, or as many as there is time for."""
        if not self.cases:
            return
        time_left, _ = self.ranks.agree([self.budget.final_reserve() > 0], 0)
        if not time_left:
            seconds = duration(self.budget.case_seconds())
            log.warning(
                "no validation at the end: one case would take about %s of the time there is",
                seconds,
            )
            return
        self._validate(module, self.cases, self.gallery.offer)
        self.gallery.take(
            self.ranks.merged({each.case: each for each in self.gallery.pictures}).values()
        )
        if self.score and self.score.cases < len(self.cases):
            why = "it was stopped" if self.asked else "time allowed"
            log.info("validated on %d of %d cases, as %s", self.score.cases, len(self.cases), why)

    def _validate(
        self, module: SegmentationModule, cases: Sequence[PreparedCase], seen: Seen = unseen
    ) -> None:
        if not cases:
            return
        start = time.perf_counter()

        def enough(done: int) -> bool:
            self.timing.case = (time.perf_counter() - start) / done
            return bool(self.asked) or self.budget.left() < self.timing.case

        with self.timing.part(VALIDATING):
            self.score = validate(
                module.average,
                cases,
                self.plan,
                mode=module.mode,
                device=module.device,
                enough=enough,
                seen=seen,
                ranks=self.ranks,
            )
        self.score_step = module.schedule.step

    def _validated(self, module: SegmentationModule) -> bool:
        """Whether the score is of the current step."""
        return self.score is not None and self.score_step == module.schedule.step

    def _add_row(self, module: SegmentationModule) -> None:
        self.loss = sum(loss.item() for loss in self.losses) / max(1, len(self.losses))
        self.losses.clear()
        row: Row = {
            "step": module.schedule.step,
            "minutes": round(self.timing.elapsed() / 60, 3),
            "loss": round(self.loss, 5),
            "learning_rate": module.learning_rate,
            "seconds_per_step": round(self.timing.per_step, 4),
            "data_share": round(self.timing.data_share, 4),
        }
        if self.score and self._validated(module):
            row |= score_columns(self.score)
        self.record.add(row)
        if self.logger:
            log_row(self.logger, row, self.plan.labels)

    def save(self, trainer: L.Trainer, module: SegmentationModule) -> None:
        """Bundle, training.csv, progress.png and checkpoint, as of now; after the last step the report as well."""
        start = time.monotonic()
        if self.ranks.number == 0:
            self.checkpoints.announce()
            self._write(module)
        # Last: a checkpoint without steps to do promises that the model of those steps is written, and its report.
        with self.timing.part(SAVING):
            self.checkpoints.save(trainer)
        self.saved = time.monotonic()
        self.timing.saving = self.saved - start

    def _write(self, module: SegmentationModule) -> None:
        with self.timing.part(SAVING):
            self.writer.write(module, self._training_figures(module), self._metrics())
            self.record.write()
            if self.logger:
                self.logger.save()
        if not module.schedule.remaining:
            step = module.schedule.step
            report = RunReport(
                self.plan, self.timing, module.mode, steps=step, device=str(module.device)
            )
            report.write(self.folder, self.score, self.score_step, self.gallery)

    def _training_figures(self, module: SegmentationModule) -> dict[str, Any]:
        return {
            "steps": module.schedule.step,
            "minutes": round(self.timing.elapsed() / 60, 2),
            "seconds_per_step": round(self.timing.per_step, 4),
            "precision": module.mode.precision,
            "layout": module.mode.layout,
        }

    def _metrics(self) -> dict[str, Any]:
        """The last validation, which may be of an earlier step than the weights."""
        if self.score is None:
            return {}
        return {
            "dice": self.score.labels,
            "mean_dice": self.score.mean,
            "sd_over_cases": self.score.sd_over_cases,
            "cases": self.score.cases,
            "step": self.score_step,
        }

    def _show(self, module: SegmentationModule, *, last: bool) -> None:
        if not (self.line.due() or last):
            return
        schedule = module.schedule
        loss = self.losses[-1].item() if self.losses else self.loss
        expected = schedule.remaining * self.timing.per_step + self.budget.reserve(
            self._validations_to_come()
        )
        left = None if last else min(expected, self.budget.left())
        self.line.write(progress_text(schedule, loss, self.score, seconds_left=left), last=last)


def _module(module: L.LightningModule) -> SegmentationModule:
    return cast(SegmentationModule, module)  # fit gives Lightning no other
