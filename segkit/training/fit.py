"""fit: a configuration, a plan and a dataset go in, a bundle comes out. Every study calls it, several times."""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn

from segkit.bundle.bundle import Bundle
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import InputError, Interrupted, UsageError
from segkit.files.atomic import write_text
from segkit.networks import new_network
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase, prepare_cases
from segkit.preprocessing.store_folder import store_size
from segkit.progress import CaseCounter
from segkit.training.callbacks.augmentation_end import PlainEnd
from segkit.training.callbacks.keeper import Keeper
from segkit.training.compute.busy_machine import BusyMachine
from segkit.training.compute.device import device_for, use_machine
from segkit.training.compute.distributed import ALONE, Ranks
from segkit.training.compute.slurm import REQUEUE, requeue
from segkit.training.data.label_coverage import warn_of_labels_never_drawn
from segkit.training.data.loader import batches_of
from segkit.training.data.patches import PatchDataset, PatchRules
from segkit.training.data.split import Split, check_split, split_cases, write_split
from segkit.training.optimization.distributed_loss import DistributedLoss
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.optimization.losses import build_loss
from segkit.training.optimization.schedule import Schedule
from segkit.training.outputs.bundle_writer import ModelWriter
from segkit.training.outputs.checkpoint import Restoring, check_nothing_lost, newest_checkpoint
from segkit.training.outputs.run_folder import BUNDLE, CHECKPOINTS, FINISHED, PLAN, prepared_folder
from segkit.training.outputs.trackers import open_logger
from segkit.training.precision import known_or_fastest_mode
from segkit.training.signals import StopSignals
from segkit.training.time_budget import CHOOSING, PREPARING, Timing, first_length
from segkit.training.transfer import start_from, started_from
from segkit.units import size_text

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
        InputError: a case that cannot be used, or none left to train on; or a run folder with a model and without a
            checkpoint to go on from.
        Interrupted: Ctrl-C or SIGTERM; checkpoint and bundle are written.
    """
    timing = Timing(time.monotonic() if started is None else started)
    timing.started = time.monotonic() - ranks.share(timing.elapsed)  # other ranks started later
    ranks.part_of(plan.batch_size)
    run = _Run(config, plan, dataset, Path(run_dir), timing, ranks, device_for(config))
    use_machine(config.trainer, run.device)
    torch.manual_seed(config.seed)
    network = new_network(plan)
    split = split_cases(dataset, config.fold, config.folds)
    place, checkpoint = _to_go_on_with(run.folder, plan, split, ranks)
    training, validation = _prepared(run, split)
    patches = PatchDataset(
        training, PatchRules(plan, config.augment, config.seed, config.trainer.foreground)
    )
    if checkpoint:
        timing.before = float(checkpoint["elapsed"])
    else:
        start_from(network, plan, weights, run.folder, ranks)
    module = _module(run, network.to(run.device), patches, checkpoint)
    keeper = _keeper(run, split, (training, validation), module.schedule.step)
    _train(module, keeper, patches, place, callbacks)
    if keeper.logger:
        keeper.logger.finalize("success")
    ranks.share(
        lambda: write_text(
            run.folder / FINISHED, json.dumps({"steps": module.schedule.step}) + "\n"
        )
    )
    return run.folder / BUNDLE


@dataclass(frozen=True)
class _Run:
    """What every part of a fit needs to know."""

    config: TrainConfig
    plan: Plan
    dataset: Dataset
    folder: Path
    timing: Timing
    ranks: Ranks
    device: torch.device

    @property
    def store(self) -> Path:
        return prepared_folder(self.config, self.folder)


def _prepared(run: _Run, split: Split) -> tuple[list[PreparedCase], list[PreparedCase]]:
    """The training and the validation cases, rank 0 preparing them before the others map them."""
    with CaseCounter("preparing") as counter, run.timing.part(PREPARING):
        prepared = partial(
            prepare_cases,
            dataset=run.dataset,
            plan=run.plan,
            folder=run.store,
            progress=counter.show,
            verify=run.ranks.number % run.ranks.per_node
            == 0,  # one rank reads every byte, not each of a machine
        )
        training = run.ranks.in_turn(lambda: prepared(split.training))
        validation = run.ranks.in_turn(lambda: prepared(split.validation))
    log.info(
        "prepared cases are kept in %s (%s), which may be deleted",
        run.store,
        size_text(store_size(run.store)),
    )
    return training, validation


def _to_go_on_with(
    folder: Path, plan: Plan, split: Split, ranks: Ranks
) -> tuple[Path, Checkpoint] | tuple[None, None]:
    """The newest checkpoint of a run with this plan and these cases; of a new run the cases are written down."""
    found = newest_checkpoint(folder / CHECKPOINTS)
    if found is None:
        ranks.share(lambda: check_nothing_lost(folder))
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


def _module(
    run: _Run, network: nn.Module, patches: PatchDataset, checkpoint: Checkpoint | None
) -> SegmentationModule:
    """The network with its loss, mode and schedule, as they stand in the checkpoint or are decided now."""
    config, ranks = run.config, run.ranks
    with run.timing.part(CHOOSING):
        chosen = partial(
            known_or_fastest_mode,
            config,
            patches,
            run.device,
            run.timing,
            store=run.store,
            ranks=ranks,
        )
        mode = ComputeMode(**checkpoint["mode"]) if checkpoint else ranks.share(chosen)
    if mode.precision == "float16" and run.device.type == "cpu":
        raise UsageError(
            f"the training in {run.folder} is in float16, which is for GPUs: go on with it on a GPU"
        )
    log.info("training in %s, %s layout, on %s", mode.precision, mode.layout, run.device)
    loss: nn.Module = build_loss(config.trainer, run.plan)
    loss = DistributedLoss(loss, ranks) if ranks.count > 1 else loss
    module = SegmentationModule(
        network, config.trainer, loss=loss, slice_axis=run.plan.slice_axis, mode=mode
    )
    if checkpoint:
        module.schedule = Schedule(**checkpoint["schedule"])
    else:
        total = ranks.share(
            lambda: first_length(config.trainer, mode.seconds, run.timing.elapsed())
        )
        module.schedule = Schedule(total, augment_until=config.augment.until)
    return module


def _keeper(
    run: _Run, split: Split, cases: tuple[list[PreparedCase], list[PreparedCase]], step: int
) -> Keeper:
    """``cases`` train and validate."""
    training, validation = cases
    writer = ModelWriter(
        run.config,
        run.plan,
        run.dataset.name,
        run.dataset.content_hash(),
        split,
        run.folder,
        weights=started_from(run.folder),
        cases=validation or training,
    )
    return Keeper(
        run.plan,
        run.config.trainer,
        validation,
        folder=run.folder,
        timing=run.timing,
        writer=writer,
        logger=open_logger(run.config, run.folder, step) if run.ranks.number == 0 else None,
        ranks=run.ranks,
    )


def _train(
    module: SegmentationModule,
    keeper: Keeper,
    patches: PatchDataset,
    checkpoint: Path | None,
    callbacks: Sequence[L.Callback],
) -> None:
    """Let Lightning run the steps that are left, from ``checkpoint`` if there is one; name labels that none shows."""
    trainer_config, per_step = (
        keeper.config,
        keeper.config.accumulate * patches.rules.plan.batch_size,
    )
    if trainer_config.max_steps:
        warn_of_labels_never_drawn(patches, module.schedule.total, per_step)
    # A run that was killed between its last checkpoint and finished.json has no step left to do.
    if module.schedule.remaining:
        plain_end = PlainEnd(patches, module.schedule, per_step)
        with _quiet():
            restoring = Restoring()
            own = [keeper, StopSignals(keeper), plain_end, restoring, BusyMachine()]
            trainer = _trainer(module, [*own, *callbacks], keeper.ranks)
            done, device = module.schedule.step, next(module.network.parameters()).device
            restored = restoring.of(checkpoint if keeper.ranks.count == 1 else None)
            with (
                batches_of(
                    trainer_config, patches, steps_done=done, device=device, ranks=keeper.ranks
                ) as batches,
                restored,
            ):
                trainer.fit(module, batches, ckpt_path=checkpoint, weights_only=True)
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
