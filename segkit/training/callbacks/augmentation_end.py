"""Switch augmentation off for the last steps of a training."""

from __future__ import annotations

from typing import Any

import lightning as L

from segkit.training.data.patches import PatchDataset
from segkit.training.optimization.schedule import Schedule


class AugmentationEnd(L.Callback):
    """Callback that tells the dataset, by the schedule, from which patch on not to augment."""

    def __init__(self, patches: PatchDataset, schedule: Schedule, patches_per_step: int) -> None:
        """Set the first patch without augmentation.

        Args:
            patches: the training patches.
            schedule: the schedule before the first step.
            patches_per_step: number of patches of one optimizer step over all ranks.
        """
        self.patches = patches
        self.patches_per_step = patches_per_step
        self._set_end(schedule)

    def on_train_batch_end(self, _trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        self._set_end(module.schedule)  # type: ignore[arg-type]

    def _set_end(self, schedule: Schedule) -> None:
        self.patches.plain_from(schedule.plain_from * self.patches_per_step)
