"""fit: a configuration, a plan and a dataset go in, a bundle comes out. Every study calls it, several times."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn
from torch.utils.data import DataLoader

from segkit.bundle import Bundle
from segkit.config import TrainConfig, TrainerConfig
from segkit.dataset import Dataset
from segkit.errors import InputError, Interrupted
from segkit.files import write_text
from segkit.memory import size_text
from segkit.networks import new_network
from segkit.plans import Plan
from segkit.preprocessing.store import prepare_cases
from segkit.preprocessing.store_folder import store_size
from segkit.status_line import CaseCounter
from segkit.training.budget import CHOOSING, PREPARING, Timing, first_length
from segkit.training.calibrate import Mode
from segkit.training.checkpoint import newest_checkpoint
from segkit.training.compute import device_for, use_machine
from segkit.training.drawn_labels import warn_of_labels_never_drawn
from segkit.training.gathered import GatheredLoss
from segkit.training.keeper import Keeper
from segkit.training.known_mode import known_or_fastest_mode
from segkit.training.loggers import open_logger
from segkit.training.losses import build_loss
from segkit.training.model_writer import ModelWriter
from segkit.training.module import SegmentationModule
from segkit.training.patches import PatchDataset, PatchNumbers, PatchRules
from segkit.training.ranks import ALONE, Ranks
from segkit.training.run_folder import BUNDLE, CHECKPOINTS, FINISHED, PLAN, prepared_folder
from segkit.training.schedule import Schedule
from segkit.training.slurm import REQUEUE, requeue
from segkit.training.split import Split, check_split, split_cases, write_split
from segkit.training.stop_signals import StopSignals, ignore_signals
from segkit.training.take_over import start_from, started_from

log = logging.getLogger(__name__)

Checkpoint = Mapping[str, Any]


def fit(
    config: TrainConfig,
    plan: Plan,
    dataset: Dataset,
    run_dir: str | Path,
    *,
    weights: Bundle | None = None,
    callbacks: Sequence[L.Callback] = (),
    started: float | None = None,
    ranks: Ranks = ALONE,
) -> Path:
    """Train the plan's network and return the folder of its bundle, run_dir/bundle.

    A run folder with a checkpoint is gone on with, from there. What fits of ``weights`` is taken over (`take_over`).
    A budget of minutes counts from ``started`` (of `time.monotonic`), or from now. Several ``ranks`` (`start_ranks`)
    call this together; rank 0 writes.

    Raises:
        UsageError: a batch that does not divide among the ranks.
        InputError: a case that cannot be used, or none left to train on.
        Interrupted: Ctrl-C or SIGTERM; checkpoint and bundle are written.
    """
    folder, timing = Path(run_dir), Timing(time.monotonic() if started is None else started)
    timing.started = time.monotonic() - ranks.share(timing.elapsed)  # other ranks started later
    ranks.part_of(plan.batch_size)
    device = device_for(config)
    use_machine(config.trainer, device)
    torch.manual_seed(config.seed)
    network = new_network(plan)
    split = split_cases(dataset, config.fold)
    place, checkpoint = _to_go_on_with(folder, plan, split, ranks)
    store = prepared_folder(config, folder)
    with CaseCounter("preparing") as counter, timing.part(PREPARING):
        prepared = partial(prepare_cases, dataset=dataset, plan=plan, folder=store, progress=counter.show)
        training = ranks.in_turn(lambda: prepared(split.training))
        validation = ranks.in_turn(lambda: prepared(split.validation))
    log.info("prepared cases are kept in %s (%s), which may be deleted", store, size_text(store_size(store)))
    patches = PatchDataset(training, PatchRules(plan, config.augment, config.seed, config.trainer.foreground))
    if checkpoint:
        timing.before = float(checkpoint["elapsed"])
    else:
        start_from(network, plan, weights, folder, ranks)
    network.to(device)
    with timing.part(CHOOSING):
        chosen = partial(known_or_fastest_mode, config, patches, device, timing, store=store, ranks=ranks)
        mode = Mode(**checkpoint["mode"]) if checkpoint else ranks.share(chosen)
    log.info("training in %s, %s layout, on %s", mode.precision, mode.layout, device)
    module = _module(config, plan, network, mode, ranks)
    module.schedule = ranks.share(lambda: _schedule(config, mode, timing, checkpoint))
    logger = open_logger(config, folder, module.schedule.step) if ranks.number == 0 else None
    writer = ModelWriter(
        config, plan, dataset.name, dataset.content_hash(), split, folder, weights=started_from(folder)
    )
    keeper = Keeper(
        plan,
        config.trainer,
        validation,
        folder=folder,
        timing=timing,
        writer=writer,
        logger=logger,
        ranks=ranks,
    )
    _train(module, keeper, patches, place, callbacks)
    if logger:
        logger.finalize("success")
    ranks.share(lambda: write_text(folder / FINISHED, json.dumps({"steps": module.schedule.step}) + "\n"))
    return folder / BUNDLE


def _to_go_on_with(folder: Path, plan: Plan, split: Split, ranks: Ranks) -> tuple[Path, Checkpoint] | tuple[None, None]:
    """The newest checkpoint of a run with this plan and these cases; of a new run the cases are written down."""
    found = newest_checkpoint(folder / CHECKPOINTS)
    if found is None:
        ranks.share(lambda: write_split(folder, split))
        return None, None
    _check_plan(plan, found[1], folder)
    check_split(folder, split)
    return found


def _check_plan(plan: Plan, checkpoint: Checkpoint, folder: Path) -> None:
    if checkpoint["plan"] != plan.hash():
        raise InputError(
            folder / PLAN,
            expected="the plan with which this run began",
            found="another one",
            remedy="Put the old one back, or begin another run with the new one: plan=FILE and another run_dir.",
        )


def _schedule(config: TrainConfig, mode: Mode, timing: Timing, checkpoint: Checkpoint | None) -> Schedule:
    if checkpoint:
        return Schedule(**checkpoint["schedule"])
    return Schedule(total=first_length(config.trainer, mode.seconds, timing.elapsed()))


def _module(config: TrainConfig, plan: Plan, network: nn.Module, mode: Mode, ranks: Ranks) -> SegmentationModule:
    loss: nn.Module = build_loss(config.trainer, plan)
    loss = GatheredLoss(loss, ranks) if ranks.count > 1 else loss
    return SegmentationModule(network, config.trainer, loss=loss, slice_axis=plan.slice_axis, mode=mode)


def _train(
    module: SegmentationModule,
    keeper: Keeper,
    patches: PatchDataset,
    checkpoint: Path | None,
    callbacks: Sequence[L.Callback],
) -> None:
    """Let Lightning run the steps that are left, from ``checkpoint`` if there is one; name labels that none shows."""
    trainer_config, per_step = keeper.config, keeper.config.accumulate * patches.rules.plan.batch_size
    if trainer_config.max_steps:
        warn_of_labels_never_drawn(patches, module.schedule.total, per_step)
    # A run that was killed between its last checkpoint and finished.json has no step left to do.
    if module.schedule.remaining:
        with _quiet():
            trainer = _trainer(module, [keeper, StopSignals(keeper), *callbacks], keeper.ranks)
            loader = _loader(trainer_config, patches, module.schedule.step, keeper.ranks)
            trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)
        _say_if_stopped(module.schedule, keeper)
    if not trainer_config.max_steps:  # else it was said before the first step
        warn_of_labels_never_drawn(patches, module.schedule.step, per_step)


def _say_if_stopped(schedule: Schedule, keeper: Keeper) -> None:
    """Raise Interrupted if a signal ended the run before its last step."""
    if keeper.interrupted and schedule.remaining:
        how = "the same command with --resume goes on"
        if keeper.interrupted == REQUEUE:
            how = keeper.ranks.share(requeue)
        stopped = f"stopped at step {schedule.step} of {schedule.total}; {keeper.folder / BUNDLE} is usable, and {how}"
        raise Interrupted(stopped, keeper.interrupted)


def _loader(trainer: TrainerConfig, patches: PatchDataset, steps_done: int, ranks: Ranks) -> DataLoader[dict[str, Any]]:
    size = patches.rules.plan.batch_size
    return DataLoader(
        patches,
        batch_size=ranks.part_of(size),
        sampler=PatchNumbers(steps_done * trainer.accumulate * size, rank=ranks.number, world_size=ranks.count),
        num_workers=trainer.workers,
        persistent_workers=trainer.workers > 0,
        worker_init_fn=ignore_signals,
    )


def _trainer(module: SegmentationModule, callbacks: list[L.Callback], ranks: Ranks) -> L.Trainer:
    device = next(module.network.parameters()).device
    return L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=ranks.per_node,
        num_nodes=ranks.nodes,
        strategy="ddp" if ranks.count > 1 else "auto",
        plugins=[ranks.environment()],
        use_distributed_sampler=False,
        # The autocast of the CPU and bfloat16 stand in the mode; Lightning adds loss scaling for float16.
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice to itself; what a user should know segkit says."""
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
