"""fit: a configuration, a plan and a dataset go in, a bundle comes out. Every study calls it, several times."""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from segkit.bundle import Bundle
from segkit.config import TrainConfig, TrainerConfig
from segkit.dataset import Dataset
from segkit.errors import InputError, Interrupted
from segkit.files import write_text
from segkit.networks import build_network
from segkit.plans import Plan
from segkit.preprocessing.store import prepare_cases
from segkit.status_line import CaseCounter
from segkit.training.budget import CHOOSING, PREPARING, Timing, first_length
from segkit.training.calibrate import Mode, choose_mode, network_to_layout
from segkit.training.checkpoint import newest_checkpoint
from segkit.training.compute import device_for, set_threads
from segkit.training.keeper import Keeper
from segkit.training.loggers import open_logger
from segkit.training.losses import LOSSES, DeepSupervision
from segkit.training.model_writer import ModelWriter
from segkit.training.module import SegmentationModule, batch_loss
from segkit.training.optimizers import OPTIMIZERS
from segkit.training.patches import PatchDataset, PatchNumbers, PatchRules
from segkit.training.run_folder import BUNDLE, CHECKPOINTS, FINISHED, PLAN
from segkit.training.schedule import Schedule
from segkit.training.split import Split, check_split, split_cases, write_split
from segkit.training.stop_signals import StopSignals, ignore_signals

log = logging.getLogger(__name__)

Checkpoint = Mapping[str, Any]

TRIAL_SHARE = 0.05
"""Of the minutes that are left, the most that the choice of precision and layout may take."""


def fit(
    config: TrainConfig,
    plan: Plan,
    dataset: Dataset,
    run_dir: str | Path,
    *,
    weights: Bundle | None = None,
    callbacks: Sequence[L.Callback] = (),
    started: float | None = None,
) -> Path:
    """Train the plan's network and return the folder of its bundle, run_dir/bundle.

    A run folder with a checkpoint is gone on with, from there. Tensors of ``weights`` (its first fold) are taken
    over where name and shape agree. A budget of minutes counts from ``started`` (of `time.monotonic`), or from now.

    Raises:
        InputError: a case that cannot be used, or none left to train on.
        Interrupted: Ctrl-C or SIGTERM; checkpoint and bundle are written.
    """
    folder, timing = Path(run_dir), Timing(time.monotonic() if started is None else started)
    device = device_for(config)
    set_threads(config.trainer)
    torch.manual_seed(config.seed)
    network = build_network(plan)
    split = split_cases(dataset, config.fold)
    place, checkpoint = _to_go_on_with(folder, plan, split)
    writer = ModelWriter(config, plan, dataset.name, dataset.content_hash(), split, folder)
    with CaseCounter("preparing") as counter, timing.part(PREPARING):
        training = prepare_cases(split.training, dataset, plan, folder / "prepared", progress=counter.show)
        validation = prepare_cases(split.validation, dataset, plan, folder / "prepared", progress=counter.show)
    patches = PatchDataset(training, PatchRules(plan, config.augment, config.seed, config.trainer.foreground))
    if checkpoint:
        timing.before = float(checkpoint["elapsed"])
    if weights is not None and not checkpoint:
        take_over(network, weights)
    network.to(device)
    with timing.part(CHOOSING):
        mode = Mode(**checkpoint["mode"]) if checkpoint else _fastest_mode(config, plan, patches, device, timing)
    log.info("training in %s, %s layout, on %s", mode.precision, mode.layout, device)
    module = SegmentationModule(network, config.trainer, slice_axis=plan.slice_axis, mode=mode)
    module.schedule = _schedule(config, mode, timing, checkpoint)
    logger = open_logger(config, folder, module.schedule.step)
    keeper = Keeper(plan, config.trainer, validation, folder=folder, timing=timing, writer=writer, logger=logger)
    # A run that was killed between its last checkpoint and finished.json has no step left to do.
    if module.schedule.remaining:
        _train(module, keeper, _loader(config.trainer, patches, module.schedule.step), place, callbacks)
    if logger:
        logger.finalize("success")
    write_text(folder / FINISHED, json.dumps({"steps": module.schedule.step}) + "\n")
    shutil.rmtree(folder / "prepared", ignore_errors=True)
    return folder / BUNDLE


def _to_go_on_with(folder: Path, plan: Plan, split: Split) -> tuple[Path, Checkpoint] | tuple[None, None]:
    """The newest checkpoint of a run with this plan and these cases; of a new run the cases are written down."""
    found = newest_checkpoint(folder / CHECKPOINTS)
    if found is None:
        write_split(folder, split)
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


def take_over(network: nn.Module, weights: Bundle) -> list[str]:
    """Copy tensors of equal name and shape into ``network``; the names of its other tensors are logged and returned.

    Raises:
        InputError: no tensor fits.
    """
    own, theirs = network.state_dict(), weights.state(weights.folds[0])
    fitting = {name: tensor for name, tensor in theirs.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        raise InputError(
            weights.path,
            expected="weights of a network like the plan's",
            found="no tensor that agrees in name and shape",
            remedy=f"Give its plan too: plan={weights.path / 'plan.json'}",
        )
    network.load_state_dict(fitting, strict=False)
    left = sorted(own.keys() - fitting.keys())
    log.info("weights: %d tensors taken over, %d not: %s", len(fitting), len(left), ", ".join(left) or "none")
    return left


def _fastest_mode(config: TrainConfig, plan: Plan, patches: PatchDataset, device: torch.device, timing: Timing) -> Mode:
    minutes = config.trainer.max_minutes
    limit = math.inf if minutes is None else TRIAL_SHARE * (60 * minutes - timing.elapsed())
    # Forked, so that the training's random numbers are the same whether or not anything was timed.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        batch = next(iter(DataLoader(patches, batch_size=plan.batch_size, sampler=PatchNumbers())))
        batch = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}
        return choose_mode(config.trainer, device, _trial_step(config, plan, batch, device), limit=limit)


def _trial_step(config: TrainConfig, plan: Plan, batch: dict[str, Any], device: torch.device) -> Callable[[Mode], None]:
    """A whole training step on a network of its own, to be timed."""
    network = build_network(plan).to(device)
    loss = DeepSupervision(LOSSES[config.trainer.loss]())
    optimizer = OPTIMIZERS[config.trainer.optimizer](network, config.trainer)

    def step(mode: Mode) -> None:
        network_to_layout(network, mode.layout)
        optimizer.zero_grad()
        batch_loss(network, loss, batch, slice_axis=plan.slice_axis, mode=mode).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _schedule(config: TrainConfig, mode: Mode, timing: Timing, checkpoint: Checkpoint | None) -> Schedule:
    if checkpoint:
        return Schedule(**checkpoint["schedule"])
    return Schedule(total=first_length(config.trainer, mode.seconds, timing.elapsed()))


def _train(
    module: SegmentationModule,
    keeper: Keeper,
    loader: DataLoader[dict[str, Any]],
    checkpoint: Path | None,
    callbacks: Sequence[L.Callback],
) -> None:
    """Let Lightning run the steps, from ``checkpoint`` if there is one."""
    with _quiet():
        trainer = _trainer(module, [keeper, StopSignals(keeper), *callbacks])
        trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)
    schedule = module.schedule
    if keeper.interrupted and schedule.remaining:
        raise Interrupted(
            f"stopped at step {schedule.step} of {schedule.total}; {keeper.folder / BUNDLE} is usable, "
            "and the same command with --resume goes on",
            keeper.interrupted,
        )


def _loader(trainer: TrainerConfig, patches: PatchDataset, steps_done: int) -> DataLoader[dict[str, Any]]:
    size = patches.rules.plan.batch_size
    return DataLoader(
        patches,
        batch_size=size,
        sampler=PatchNumbers(steps_done * trainer.accumulate * size),
        num_workers=trainer.workers,
        persistent_workers=trainer.workers > 0,
        worker_init_fn=ignore_signals,
    )


def _trainer(module: SegmentationModule, callbacks: list[L.Callback]) -> L.Trainer:
    device = next(module.network.parameters()).device
    return L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
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
