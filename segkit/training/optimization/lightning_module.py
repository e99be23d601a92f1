"""SegmentationModule: one training step of a network, its schedule and its running average."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from segkit.config.schema import TrainerConfig
from segkit.errors import InputError
from segkit.networks.mask_file import MaskFile
from segkit.networks.precision import ComputeMode, network_to_memory_format
from segkit.training.compute.device import memory_saved
from segkit.training.optimization.cuda_graph import GraphedLoss, TrainingLoss
from segkit.training.optimization.losses import set_progress
from segkit.training.optimization.masking import KernelMasking
from segkit.training.optimization.optimizers import OPTIMIZERS
from segkit.training.optimization.schedule import Schedule, learning_rate_factor
from segkit.training.optimization.weight_averaging import RunningAverage, averaged_copy


class SegmentationModule(L.LightningModule):
    """Training of ``network``; its moving average ``average`` is validated and saved."""

    running_average: RunningAverage
    masking: KernelMasking

    def __init__(
        self,
        network: nn.Module,
        trainer_config: TrainerConfig,
        *,
        loss: nn.Module,
        slice_axis: int | None,
        mode: ComputeMode,
        mask: MaskFile | None = None,
    ) -> None:
        """Train ``network``, whose kernels ``mask`` has pruned already and keeps pruned."""
        super().__init__()
        self.network = network_to_memory_format(network, mode.layout)
        self.average = averaged_copy(self.network)
        self.loss = loss
        self.trainer_config = trainer_config
        self.mode = mode
        self.mask = mask
        step = TrainingLoss(self.network, loss, slice_axis=slice_axis, mode=mode)
        self.step_loss = GraphedLoss(step, trainer_config)
        self.schedule = Schedule(total=1)

    def training_step(self, batch: dict[str, Any], _batch_index: int) -> Tensor:
        """Return the loss of a batch: "image" (B, C, X, Y, Z), "labels" (B, X, Y, Z) and "case".

        Raises:
            InputError: the loss is not finite.
        """
        set_progress(self.loss, self.schedule.progress)
        with memory_saved(self.trainer_config):
            loss = self.step_loss(batch["image"], batch["labels"])
        if not torch.isfinite(loss):
            raise InputError(
                f"training step {self.schedule.step}",
                expected="a finite loss",
                found=f"{loss.item()} on cases {', '.join(batch['case'])}",
                remedy="Look at these scans, or train with a lower trainer.learning_rate.",
            )
        return loss

    def configure_optimizers(self) -> Optimizer:
        """Return the optimizer of trainer.optimizer; "full_lr" keeps the rate of each group."""
        optimizer = OPTIMIZERS[self.trainer_config.optimizer](self.network, self.trainer_config)
        for group in optimizer.param_groups:
            group["full_lr"] = group["lr"]
        return optimizer

    def on_train_start(self) -> None:
        """Start the running average and the masking, once the networks are on their device."""
        self.running_average = RunningAverage(self.average, self.network)
        self.masking = KernelMasking(self.network, self.mask.masks if self.mask else {})

    def on_before_optimizer_step(self, _optimizer: Optimizer) -> None:
        """Clear the gradients of pruned weights before they count in the norm of the gradient."""
        self.masking.clear_gradients()

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        """Take a step at the learning rate of the schedule; update mask and running average."""
        factor = learning_rate_factor(self.schedule.progress, self.trainer_config)
        for group in optimizer.param_groups:
            group["lr"] = factor * group["full_lr"]
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.masking.clear_weights()
        self.running_average.update(self.trainer_config.ema, self.schedule.step)
        self.schedule.advance()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the schedule, and the hash of the mask if there is one, to a checkpoint."""
        checkpoint["schedule"] = self.schedule.state()
        if self.mask is not None:
            checkpoint["mask"] = self.mask.hash

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the schedule from a checkpoint."""
        self.schedule = Schedule(**checkpoint["schedule"])

    @property
    def learning_rate(self) -> float:
        """Learning rate of the first parameter group in the next step."""
        return (
            learning_rate_factor(self.schedule.progress, self.trainer_config)
            * self.trainer_config.learning_rate
        )
