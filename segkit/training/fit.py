"""Train a network by a configuration and a plan on a dataset, and write its bundle.

Every study calls `fit` several times.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
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
from segkit.dataset.split import Split, split_cases
from segkit.errors import InputError, Interrupted, UsageError
from segkit.files.atomic import write_text
from segkit.networks import new_network
from segkit.networks.kernels.convolution import refuse_thin_images
from segkit.networks.mask_file import MaskFile
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase, prepare_cases
from segkit.preprocessing.store_folder import store_size
from segkit.progress import CaseCounter
from segkit.training.callbacks.scheduled_validation import due_until
from segkit.training.callbacks.step_end import StepEndParts, step_end_parts
from segkit.training.compute.device import device_for, use_machine
from segkit.training.compute.distributed import ALONE, Ranks
from segkit.training.compute.slurm import REQUEUE
from segkit.training.data.patches import PatchDataset, training_patches
from segkit.training.data.split import check_split, write_split
from segkit.training.initialization.origin import Origin, initialize, resumed_mask
from segkit.training.optimization.distributed_loss import DistributedLoss
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.optimization.losses import build_loss
from segkit.training.optimization.schedule import Schedule
from segkit.training.outputs.bundle_writer import BundleWriter
from segkit.training.outputs.card_facts import dataset_facts
from segkit.training.outputs.checkpoint import check_nothing_lost, newest_checkpoint
from segkit.training.outputs.rewind import RewindFile
from segkit.training.outputs.run_folder import BUNDLE, CHECKPOINTS, FINISHED, PLAN, prepared_folder
from segkit.training.outputs.trackers import open_tracker
from segkit.training.precision import cached_or_fastest_mode
from segkit.training.run_steps import run_steps
from segkit.training.time_budget import CHOOSING, PREPARING, Timing, first_length
from segkit.training.transfer import initial_weights_report
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
    rewind: RewindFile | None = None,
    mask: MaskFile | None = None,
    callbacks: Sequence[L.Callback] = (),
    started: float | None = None,
    ranks: Ranks = ALONE,
) -> Path:
    """Train the plan's network and return the folder of its bundle, run_dir/bundle.

    If the run folder holds a checkpoint, training continues from it.

    Args:
        config: settings of the training.
        plan: the plan to follow.
        dataset: cases and labels, split into folds here.
        run_dir: the run folder.
        weights: model to start from; matching weights are copied (`copy_matching_weights`).
        rewind: weights of another training after some step; the schedule and the patches continue
            from that step.
        mask: the weights that it prunes stay exactly 0.
        callbacks: further Lightning callbacks.
        started: start of the training by `time.monotonic`, from which minutes count; default now.
        ranks: processes of a distributed training (`start_ranks`), which call this together.
            Rank 0 writes the files.

    Raises:
        UsageError: a batch that does not divide among the ranks.
        InputError: a case that cannot be used, or none left to train on; or a run folder that holds
            a model but no checkpoint to continue from.
        Interrupted: Ctrl-C or SIGTERM; checkpoint and bundle are written. If it arrives in the last
            step or the last validation, the run is finished all the same.
    """
    timing = Timing(time.monotonic() if started is None else started)
    timing.started = time.monotonic() - ranks.share(timing.elapsed)  # other ranks started later
    ranks.part_of(plan.batch_size)
    run = _Run(config, plan, dataset, Path(run_dir), timing, ranks, device_for(config))
    use_machine(config.trainer, run.device)
    torch.manual_seed(config.seed)
    network = new_network(plan)
    refuse_thin_images(network)
    split = split_cases(dataset, config.fold, config.folds)
    checkpoint_path, checkpoint = _checkpoint_to_resume(run, split)
    training, validation = _prepare(run, split)
    patches = training_patches(training, plan, config)
    if checkpoint:
        timing.before = float(checkpoint["elapsed"])
        kept = resumed_mask(run.folder, checkpoint)
    else:
        kept = initialize(network, plan, Origin(weights, rewind, mask), run.folder, ranks)
    module = _build_module(run, network.to(run.device), patches, checkpoint, kept)
    if checkpoint is None and rewind is not None:
        is_in_steps = config.trainer.max_minutes is None
        module.schedule = rewind.continued(module.schedule, in_steps=is_in_steps)
    steps_done = module.schedule.step if checkpoint else 0
    parts = _step_end_parts(run, split, training, validation, module, steps_done=steps_done)
    run_steps(
        module,
        parts,
        patches,
        folder=run.folder,
        checkpoint=checkpoint_path,
        callbacks=callbacks,
    )
    _finish(run, parts, module.schedule.step)
    _raise_if_stopped_late(run.folder, parts.stop.received)
    return run.folder / BUNDLE


@dataclass(frozen=True)
class _Run:
    """Inputs of one call of `fit`, shared by its steps."""

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


def _prepare(run: _Run, split: Split) -> tuple[list[PreparedCase], list[PreparedCase]]:
    """Return training and validation cases; rank 0 prepares them before the others map them."""
    with CaseCounter("preparing") as counter, run.timing.part(PREPARING):
        prepare = partial(
            prepare_cases,
            dataset=run.dataset,
            plan=run.plan,
            folder=run.store,
            progress=counter.show,
            # One rank of each machine reads every byte of the prepared files.
            verify=run.ranks.number % run.ranks.per_node == 0,
        )
        training = run.ranks.in_turn(lambda: prepare(split.training))
        validation = run.ranks.in_turn(lambda: prepare(split.validation))
    size = size_text(store_size(run.store))
    log.info("prepared cases are kept in %s (%s), which may be deleted", run.store, size)
    return training, validation


def _checkpoint_to_resume(run: _Run, split: Split) -> tuple[Path, Checkpoint] | tuple[None, None]:
    """Return the newest checkpoint of this run; for a new run, write split.json instead.

    Raises:
        InputError: another plan or other cases than those the run began with.
    """
    newest = newest_checkpoint(run.folder / CHECKPOINTS)
    if newest is None:
        run.ranks.share(lambda: check_nothing_lost(run.folder))
        run.ranks.share(lambda: write_split(run.folder, split, run.plan))
        return None, None
    _, checkpoint = newest
    if checkpoint["plan"] != run.plan.hash():
        raise InputError(
            run.folder / PLAN,
            expected="the plan with which this run began",
            found="another one",
            remedy="Restore the old plan, or start another run with the new one: plan=FILE and "
            "another run_dir.",
        )
    check_split(run.folder, split, run.plan)
    return newest


def _build_module(
    run: _Run,
    network: nn.Module,
    patches: PatchDataset,
    checkpoint: Checkpoint | None,
    mask: MaskFile | None,
) -> SegmentationModule:
    """Return the Lightning module with precision, memory format, loss and schedule."""
    config, ranks = run.config, run.ranks
    mode = _choose_mode(run, patches, checkpoint)
    loss: nn.Module = build_loss(config.trainer, run.plan)
    loss = DistributedLoss(loss, ranks) if ranks.count > 1 else loss
    module = SegmentationModule(
        network, config.trainer, loss=loss, slice_axis=run.plan.slice_axis, mode=mode, mask=mask
    )
    if checkpoint:
        module.schedule = Schedule(**checkpoint["schedule"])
    else:
        total = ranks.share(
            lambda: first_length(config.trainer, mode.seconds, run.timing.elapsed())
        )
        module.schedule = Schedule(total, augment_until=config.augment.until)
    return module


def _choose_mode(run: _Run, patches: PatchDataset, checkpoint: Checkpoint | None) -> ComputeMode:
    """Return precision and memory format: those of the checkpoint, else the fastest ones.

    Raises:
        UsageError: a checkpoint in float16 on a CPU.
    """

    def choose() -> ComputeMode:
        return cached_or_fastest_mode(
            run.config, patches, run.device, run.timing, store=run.store, ranks=run.ranks
        )

    with run.timing.part(CHOOSING):
        mode = ComputeMode(**checkpoint["mode"]) if checkpoint else run.ranks.share(choose)
    if mode.precision == "float16" and run.device.type == "cpu":
        raise UsageError(
            f"the training in {run.folder} runs in float16, which needs a GPU: resume it on a GPU"
        )
    log.info("training in %s, memory format %s, on %s", mode.precision, mode.layout, run.device)
    return mode


def _step_end_parts(
    run: _Run,
    split: Split,
    training: list[PreparedCase],
    validation: list[PreparedCase],
    module: SegmentationModule,
    *,
    steps_done: int,
) -> StepEndParts:
    is_writer = run.ranks.number == 0
    bundle_writer = BundleWriter(
        run.config,
        run.plan,
        dataset_facts(run.dataset),
        split,
        run.folder,
        initial_weights=initial_weights_report(run.folder),
        mask=module.mask,
        processes=run.ranks.count,
        agreement_cases=validation or training,
    )
    parts = step_end_parts(
        run.plan,
        run.config.trainer,
        validation,
        folder=run.folder,
        timing=run.timing,
        bundle_writer=bundle_writer,
        tracker=open_tracker(run.config, run.folder, steps_done) if is_writer else None,
        ranks=run.ranks,
    )
    # Validations that were due before the step at which a rewound training starts.
    progress, count = module.schedule.progress, parts.validation.count
    parts.validation.due_so_far = due_until(progress, count)
    return parts


def _finish(run: _Run, parts: StepEndParts, steps: int) -> None:
    """Close the tracker and mark the run as finished."""
    if parts.rows.tracker is not None:
        parts.rows.tracker.finalize("success")
    content = json.dumps({"steps": steps}) + "\n"
    run.ranks.share(lambda: write_text(run.folder / FINISHED, content))


def _raise_if_stopped_late(folder: Path, number: int) -> None:
    """Raise if a signal has arrived since the last step began: a study must not go on."""
    if number and number != REQUEUE:
        raise Interrupted(
            f"stopped in the last step or the last validation, which may cover fewer cases; "
            f"the training is finished, and {folder / BUNDLE} is usable",
            number,
        )
