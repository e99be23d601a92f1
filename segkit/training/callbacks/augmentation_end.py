"""The last steps of a training, whose patches are not augmented."""

from __future__ import annotations

from typing import Any

import lightning as L

from segkit.training.data.patches import PatchDataset
from segkit.training.optimization.schedule import Schedule


class PlainEnd(L.Callback):
    """Tells ``patches`` where the end begins, which stands once the length of the training does."""

    def __init__(self, patches: PatchDataset, schedule: Schedule, per_step: int) -> None:
        """``per_step`` patches are a step of all ranks together."""
        self.patches, self.per_step = patches, per_step
        self._tell(schedule)

    def on_train_batch_end(self, _trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        self._tell(module.schedule)  # type: ignore[arg-type]

    def _tell(self, schedule: Schedule) -> None:
        self.patches.plain_from(schedule.plain_from * self.per_step)
