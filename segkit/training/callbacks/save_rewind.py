"""Write the rewind file of a training after the step that trainer.rewind_step names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, cast

import lightning as L

from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.outputs.rewind import REWIND, write_rewind

log = logging.getLogger(__name__)


class SaveRewind(L.Callback):
    """Callback that writes the weights after one step; rank 0 writes the file.

    It comes before the callback that writes checkpoints: a run that is killed in between takes the
    step again and writes the same file.
    """

    def __init__(self, folder: Path, step: int) -> None:
        """Write to ``folder`` after ``step`` steps; 0 is before the first."""
        self.path, self.step = folder / REWIND, step
        self._is_written = False

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._write_if_due(trainer, module)

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        self._write_if_due(trainer, module)

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        schedule = _module(module).schedule
        if trainer.is_global_zero and not (schedule.remaining or self.path.is_file()):
            log.warning(
                "there is no %s: trainer.rewind_step=%d, and the training ended after %d steps",
                self.path.name,
                self.step,
                schedule.step,
            )

    def _write_if_due(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        # With accumulation several batches follow a step: the weights stay the same until the next.
        schedule = _module(module).schedule
        if trainer.is_global_zero and schedule.step == self.step and not self._is_written:
            write_rewind(self.path, _module(module).network, schedule)
            self._is_written = True


def _module(module: L.LightningModule) -> SegmentationModule:
    return cast(SegmentationModule, module)  # the only kind that fit gives to Lightning
