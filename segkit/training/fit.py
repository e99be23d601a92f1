"""fit: a configuration, a plan and a dataset go in, a bundle comes out. Every study calls it, several times."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn
from torch.utils.data import DataLoader

from segkit.bundle import Bundle
from segkit.config import TrainConfig
from segkit.dataset import Dataset
from segkit.errors import Interrupted
from segkit.files import write_text
from segkit.networks import build_network
from segkit.plans import Plan
from segkit.preprocessing.store import prepare_cases
from segkit.training.calibrate import Mode, choose_mode, network_to_layout
from segkit.training.checkpoint import newest_checkpoint
from segkit.training.compute import device_for, set_threads
from segkit.training.keeper import Keeper, Timing
from segkit.training.losses import LOSSES, DeepSupervision
from segkit.training.model_writer import ModelWriter, write_split
from segkit.training.module import SegmentationModule, batch_loss
from segkit.training.optimizers import OPTIMIZERS
from segkit.training.patches import PatchDataset, PatchNumbers, PatchRules
from segkit.training.record import ProgressLine
from segkit.training.run_folder import FINISHED
from segkit.training.schedule import Schedule, steps_within
from segkit.training.split import split_cases

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
) -> Path:
    """Train the plan's network and return the folder of its bundle, run_dir/bundle.

    A run folder with a checkpoint is gone on with, from there. Tensors of ``weights`` (its first fold) are taken
    over where name and shape agree.

    Raises:
        InputError: a case that cannot be used, or none left to train on.
        Interrupted: Ctrl-C or SIGTERM; checkpoint and bundle are written.
    """
    folder = Path(run_dir)
    device = device_for(config.compute.name)
    set_threads(config.trainer)
    split = split_cases(dataset, config.fold)
    write_split(folder, split)
    training = prepare_cases(split.training, dataset, plan, folder / "prepared", progress=_progress("prepare"))
    validation = prepare_cases(split.validation, dataset, plan, folder / "prepared")
    patches = PatchDataset(training, PatchRules(plan, config.augment, config.seed, config.trainer.foreground))

    torch.manual_seed(config.seed)
    network = build_network(plan)
    if weights is not None:
        take_over(network, weights.state(weights.folds[0]))
    network.to(device)
    found = newest_checkpoint(folder / "checkpoints")
    checkpoint = found[1] if found else None
    mode = _mode(config, plan, patches, device, checkpoint)
    log.info("training in %s, %s layout, on %s", mode.precision, mode.layout, device)
    module = SegmentationModule(network, config.trainer, slice_axis=plan.slice_axis, mode=mode)
    timing = Timing(before=float(checkpoint["elapsed"]) if checkpoint else 0.0)
    module.schedule = _first_schedule(config, mode, timing)
    keeper = Keeper(
        plan,
        config.trainer,
        validation,
        folder=folder,
        timing=timing,
        writer=ModelWriter(config, plan, dataset, split, folder),
    )
    loader = _loader(config, patches, checkpoint)
    with _signals(keeper), _quiet():
        trainer = _trainer(config, device, mode, [keeper, *callbacks])
        # Lightning raises on SIGTERM once the step is over; the keeper has saved by then.
        with suppress(SIGTERMException):
            trainer.fit(module, loader, ckpt_path=found[0] if found else None, weights_only=True)
    if keeper.interrupted:
        raise Interrupted(
            f"stopped at step {module.schedule.step} of {module.schedule.total}; {folder / 'bundle'} is usable, "
            "and the same command with --resume goes on",
            keeper.interrupted,
        )
    write_text(folder / FINISHED, json.dumps({"steps": module.schedule.step}) + "\n")
    shutil.rmtree(folder / "prepared", ignore_errors=True)
    return folder / "bundle"


def take_over(network: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """Copy tensors of equal name and shape into ``network``; the names of its other tensors are logged and returned."""
    own = network.state_dict()
    fitting = {name: tensor for name, tensor in weights.items() if name in own and own[name].shape == tensor.shape}
    network.load_state_dict(fitting, strict=False)
    left = sorted(own.keys() - fitting.keys())
    log.info("weights: %d tensors taken over, %d not: %s", len(fitting), len(left), ", ".join(left) or "none")
    return left


def _mode(
    config: TrainConfig, plan: Plan, patches: PatchDataset, device: torch.device, checkpoint: Checkpoint | None
) -> Mode:
    """The checkpoint's mode, else the fastest one."""
    if checkpoint:
        return Mode(**checkpoint["mode"])
    batch = next(iter(DataLoader(patches, batch_size=config.trainer.batch_size, sampler=PatchNumbers())))
    batch = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        return choose_mode(config.trainer, device, _trial_step(config, plan, batch, device))


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


def _first_schedule(config: TrainConfig, mode: Mode, timing: Timing) -> Schedule:
    """The steps asked for; or a first guess at those that fit the minutes, which the first steps replace."""
    trainer = config.trainer
    if trainer.max_minutes is None:
        return Schedule(total=trainer.max_steps or 1)
    left = 60 * trainer.max_minutes - timing.elapsed()
    return Schedule(total=steps_within(left, max(mode.seconds, 1e-6) * trainer.accumulate, 0.0))


def _loader(config: TrainConfig, patches: PatchDataset, checkpoint: Checkpoint | None) -> DataLoader[dict[str, Any]]:
    trainer = config.trainer
    steps_done = int(checkpoint["schedule"]["step"]) if checkpoint else 0
    start = steps_done * trainer.accumulate * trainer.batch_size
    return DataLoader(
        patches,
        batch_size=trainer.batch_size,
        sampler=PatchNumbers(start),
        num_workers=trainer.workers,
        persistent_workers=trainer.workers > 0,
    )


def _trainer(config: TrainConfig, device: torch.device, mode: Mode, callbacks: list[L.Callback]) -> L.Trainer:
    return L.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        # The autocast of the CPU and bfloat16 stand in the mode; Lightning adds loss scaling for float16.
        precision="16-mixed" if mode.precision == "float16" else "32-true",
        max_steps=-1,
        max_epochs=-1,
        accumulate_grad_batches=config.trainer.accumulate,
        gradient_clip_val=config.trainer.gradient_clip,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _progress(verb: str) -> Callable[[int, int, str], None]:
    line = ProgressLine()
    return lambda done, count, name: line.show(f"{verb} {done} of {count}: {name}", last=done == count)


@contextmanager
def _signals(keeper: Keeper) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run after the current step; a second one at once."""

    def ask_to_stop(number: int, _frame: FrameType | None) -> None:
        if keeper.interrupted:
            raise KeyboardInterrupt
        log.warning("stopping after this step; once more to stop at once")
        keeper.interrupted = number

    try:
        before = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        # Not the main thread (a notebook's server, a study): signals are somebody else's there.
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
