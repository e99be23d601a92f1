"""Run the steps of a training with Lightning, from the first step or from a checkpoint."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lightning as L
import torch

from segkit.errors import Interrupted
from segkit.training.callbacks.augmentation_end import AugmentationEnd
from segkit.training.callbacks.save_rewind import SaveRewind
from segkit.training.callbacks.step_end import StepEnd, StepEndParts
from segkit.training.compute.busy_machine import BusyMachine
from segkit.training.compute.distributed import Ranks
from segkit.training.compute.slurm import REQUEUE, requeue
from segkit.training.data.label_coverage import warn_of_labels_never_drawn
from segkit.training.data.loader import batches_of
from segkit.training.data.patches import PatchDataset
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.outputs.checkpoint import RestoreErrors
from segkit.training.outputs.run_folder import BUNDLE
from segkit.training.signals import StopSignals


def run_steps(
    module: SegmentationModule,
    parts: StepEndParts,
    patches: PatchDataset,
    *,
    folder: Path,
    checkpoint: Path | None,
    callbacks: Sequence[L.Callback] = (),
) -> None:
    """Run the remaining steps, and warn of labels that no patch shows.

    Args:
        module: network, loss and schedule on their device.
        parts: objects that act after each step.
        patches: the training patches.
        folder: the run folder.
        checkpoint: path of the checkpoint to resume from, or None.
        callbacks: further Lightning callbacks.

    Raises:
        Interrupted: a signal ended the run before its last step.
    """
    config, plan = module.trainer_config, patches.rules.plan
    patches_per_step = config.accumulate * plan.batch_size
    if config.max_steps:
        warn_of_labels_never_drawn(patches, module.schedule.total, patches_per_step)
    # A run that was killed between its last checkpoint and finished.json has no step left to do.
    if module.schedule.remaining:
        restore_errors = RestoreErrors()
        own_callbacks: list[L.Callback] = [
            *_rewind_saver(config.rewind_step, folder),
            StepEnd(plan, config, parts),
            StopSignals(parts.stop, folder, requeue=parts.ranks.slurm),
            AugmentationEnd(patches, module.schedule, patches_per_step),
            restore_errors,
            BusyMachine(),
        ]
        with _lightning_silenced():
            trainer = _trainer(module, parts.ranks, [*own_callbacks, *callbacks])
            _fit(trainer, module, patches, checkpoint, restore_errors, ranks=parts.ranks)
        _raise_if_interrupted(module, parts, folder)
    if not config.max_steps:  # with max_steps the warning came before the first step
        warn_of_labels_never_drawn(patches, module.schedule.step, patches_per_step)


def _rewind_saver(step: int | None, folder: Path) -> list[L.Callback]:
    return [] if step is None else [SaveRewind(folder, step)]


def _fit(
    trainer: L.Trainer,
    module: SegmentationModule,
    patches: PatchDataset,
    checkpoint: Path | None,
    restore_errors: RestoreErrors,
    *,
    ranks: Ranks,
) -> None:
    batches = batches_of(
        module.trainer_config,
        patches,
        steps_done=module.schedule.step,
        device=_device(module),
        ranks=ranks,
    )
    # With several ranks a RuntimeError may mean that another one has ended (`end_together`).
    named = checkpoint if ranks.count == 1 else None
    with batches as loader, restore_errors.naming(named):
        trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)


def _trainer(module: SegmentationModule, ranks: Ranks, callbacks: list[L.Callback]) -> L.Trainer:
    return L.Trainer(
        accelerator="gpu" if _device(module).type == "cuda" else "cpu",
        devices=ranks.per_node,
        num_nodes=ranks.nodes,
        strategy="ddp" if ranks.count > 1 else "auto",
        plugins=[ranks.environment()],
        use_distributed_sampler=False,
        # The module's mode does autocast in bfloat16; Lightning adds loss scaling for float16.
        precision="16-mixed" if module.mode.precision == "float16" else "32-true",
        max_steps=-1,
        max_epochs=-1,
        accumulate_grad_batches=module.trainer_config.accumulate,
        gradient_clip_val=module.trainer_config.gradient_clip,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _device(module: SegmentationModule) -> torch.device:
    return next(module.network.parameters()).device


@contextmanager
def _lightning_silenced() -> Iterator[None]:
    """Hide Lightning's advice; segkit itself says what a user should know."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        try:
            yield
        finally:
            logger.setLevel(level)


def _raise_if_interrupted(module: SegmentationModule, parts: StepEndParts, folder: Path) -> None:
    schedule, number = module.schedule, parts.stop.agreed
    if not (number and schedule.remaining):
        return
    how_to_continue = "the same command with --resume continues"
    if number == REQUEUE:
        how_to_continue = parts.ranks.share(requeue)
    raise Interrupted(
        f"stopped at step {schedule.step} of {schedule.total}; "
        f"{folder / BUNDLE} is usable, and {how_to_continue}",
        number,
    )
