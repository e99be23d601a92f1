"""Rows of training.csv: when one is due and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor

from segkit.plans.plan import Plan
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.optimization.schedule import Schedule
from segkit.training.outputs.trackers import log_row
from segkit.training.outputs.training_log import Row, TrainingLog, score_columns
from segkit.training.time_budget import Timing
from segkit.training.validation import ValidationScore

ROWS = 100
"""Approximate number of rows of training.csv."""


class LogRows:
    """Collects the losses of the batches and adds rows to training.csv and to the tracker."""

    def __init__(self, folder: Path, plan: Plan, timing: Timing, tracker: Logger | None) -> None:
        """Start without rows.

        Args:
            folder: the run folder.
            plan: the plan, for the names and colors of its labels.
            timing: the time spent so far.
            tracker: logger of TensorBoard or MLflow, or None.
        """
        self.folder, self.plan, self.timing, self.tracker = folder, plan, timing, tracker
        self.training_log = TrainingLog.empty(folder, plan)
        self.batch_losses: list[Tensor] = []
        """Losses of the batches since the last row."""
        self.mean_loss = float("nan")
        """Mean loss in the last row."""

    def resume(self, step: int) -> None:
        """Read the rows of an earlier process of this run up to ``step``."""
        self.training_log = TrainingLog.resume(self.folder, self.plan, step)

    def is_due(self, schedule: Schedule) -> bool:
        """Return whether a row follows the current step, even without a validation."""
        interval = max(1, schedule.total // ROWS)
        return schedule.remaining == 0 or schedule.step % interval == 0

    def add(self, module: SegmentationModule, score: ValidationScore | None) -> None:
        """Add a row for the current step, with ``score`` if it was validated."""
        losses = [loss.item() for loss in self.batch_losses]
        self.mean_loss = sum(losses) / max(1, len(losses))
        self.batch_losses.clear()
        row: Row = {
            "step": module.schedule.step,
            "minutes": round(self.timing.elapsed() / 60, 3),
            "loss": round(self.mean_loss, 5),
            "learning_rate": module.learning_rate,
            "seconds_per_step": round(self.timing.per_step, 4),
            "data_share": round(self.timing.data_share, 4),
        }
        if score is not None:
            row |= score_columns(score)
        self.training_log.rows.append(row)
        if self.tracker is not None:
            log_row(self.tracker, row, self.plan.labels)

    def latest_loss(self) -> float:
        """Return the loss of the last batch; right after a row, the mean loss of that row."""
        return self.batch_losses[-1].item() if self.batch_losses else self.mean_loss

    def state_dict(self) -> dict[str, Any]:
        """Return this part of a checkpoint."""
        return {"losses": [float(loss) for loss in self.batch_losses], "loss": self.mean_loss}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the losses of the run that is resumed."""
        self.batch_losses = [torch.tensor(loss) for loss in state["losses"]]
        self.mean_loss = state["loss"]

    def write(self) -> None:
        """Write training.csv and progress.png, and flush the tracker."""
        self.training_log.write()
        if self.tracker is not None:
            self.tracker.save()
