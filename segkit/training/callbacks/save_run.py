"""Save a run while it trains: checkpoint, bundle, training.csv and, at the end, the report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning as L

from segkit.config.schema import TrainerConfig
from segkit.training.callbacks.log_rows import LogRows
from segkit.training.callbacks.scheduled_validation import ScheduledValidation
from segkit.training.compute.distributed import Ranks
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.outputs.bundle_writer import BundleWriter
from segkit.training.outputs.card_facts import dice_intervals
from segkit.training.outputs.checkpoint import Checkpoints
from segkit.training.outputs.report import RunReport
from segkit.training.outputs.run_folder import CHECKPOINTS
from segkit.training.time_budget import SAVING, Timing


class RunSaver:
    """Saves the state of a run; rank 0 writes the files."""

    def __init__(
        self,
        folder: Path,
        config: TrainerConfig,
        *,
        bundle_writer: BundleWriter,
        rows: LogRows,
        validation: ScheduledValidation,
        timing: Timing,
        ranks: Ranks,
    ) -> None:
        """Save to ``folder`` what ``rows`` and ``validation`` hold, as often as ``config`` says."""
        self.folder, self.config = folder, config
        self.checkpoints = Checkpoints(folder / CHECKPOINTS)
        self.bundle_writer, self.rows, self.validation = bundle_writer, rows, validation
        self.timing, self.ranks = timing, ranks
        self.last_saved = time.monotonic()

    def is_due(self, step: int) -> bool:
        """Return whether a checkpoint is due after ``step``, by its number or by the clock."""
        interval = self.config.checkpoint_steps
        seconds = time.monotonic() - self.last_saved
        by_time = seconds > 60 * self.config.checkpoint_minutes
        return by_time or bool(interval and step % interval == 0)

    def save(self, trainer: L.Trainer, module: SegmentationModule) -> None:
        """Write the model, the training log and the checkpoint of the current step."""
        start = time.monotonic()
        if self.ranks.number == 0:
            self.checkpoints.announce()
            self._write_outputs(module)
        # The checkpoint comes last: one without remaining steps promises that model and report of
        # those steps have been written.
        with self.timing.part(SAVING):
            self.checkpoints.save(trainer)
        self.last_saved = time.monotonic()
        self.timing.saving = self.last_saved - start

    def _write_outputs(self, module: SegmentationModule) -> None:
        with self.timing.part(SAVING):
            measured = {**self.validation.overlaps.entry(), **self.validation.quality.entry()}
            facts, metrics = self._training_facts(module), self._metrics()
            self.bundle_writer.write(module, facts, metrics, measured)
            self.validation.quality.write(self.folder)
            self.rows.write()
        if not module.schedule.remaining:
            self._write_report(module)

    def _write_report(self, module: SegmentationModule) -> None:
        report = RunReport(
            self.rows.plan,
            self.timing,
            module.mode,
            steps=module.schedule.step,
            device=str(module.device),
        )
        validation = self.validation
        report.write(self.folder, validation.score, validation.score_step, validation.gallery)

    def _training_facts(self, module: SegmentationModule) -> dict[str, Any]:
        return {
            "steps": module.schedule.step,
            "minutes": round(self.timing.elapsed() / 60, 2),
            "seconds_per_step": round(self.timing.per_step, 4),
            "precision": module.mode.precision,
            "layout": module.mode.layout,
        }

    def _metrics(self) -> dict[str, Any]:
        """Return the last score for the card; it may be of an earlier step than the weights."""
        score = self.validation.score
        if score is None:
            return {}
        return {
            "dice": score.labels,
            "mean_dice": score.mean,
            "sd_over_cases": score.sd_over_cases,
            "cases": score.cases,
            "step": self.validation.score_step,
            "intervals": dice_intervals(score.per_label(), self.bundle_writer.split.validation),
        }
