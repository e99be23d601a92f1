"""The mode of a training: found the fastest before, for the same network on the same machine, or timed now."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from segkit.config import TrainConfig, TrainerConfig
from segkit.errors import InputError
from segkit.files import write_text
from segkit.networks import build_network
from segkit.networks.mode import AUTOCAST, LAYOUTS, Mode, network_to_layout
from segkit.plans import Plan
from segkit.training.budget import Timing
from segkit.training.calibrate import choose_mode
from segkit.training.compute import memory_saved
from segkit.training.losses import build_loss
from segkit.training.optimizers import OPTIMIZERS
from segkit.training.patches import PatchDataset, PatchNumbers
from segkit.training.ranks import Ranks
from segkit.training.step_loss import ReplayedLoss, StepLoss

log = logging.getLogger(__name__)

FORMAT = 3
"""To be raised by whoever changes what is timed, or how fast it is."""
TRIAL_SHARE = 0.05
"""Of the minutes that are left, the most that the choice may take."""


def mode_file(store: Path, plan: Plan, trainer: TrainerConfig, device: torch.device) -> Path:
    """Where ``store`` keeps the mode for this network, these wishes and this machine."""
    chip = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    machine = [platform.node(), os.cpu_count(), device.type, chip, torch.get_num_threads(), str(torch.__version__)]
    asked = [trainer.precision, trainer.layout, trainer.optimizer, trainer.loss, trainer.save_memory]
    digest = hashlib.sha256(json.dumps([FORMAT, plan.hash(), asked, machine]).encode())
    return store / f"mode-{digest.hexdigest()[:32]}.json"


def read_mode(path: Path) -> Mode | None:
    """None where there is none that can be read."""
    try:
        mode = Mode(**json.loads(path.read_text(encoding="utf-8")))
        known = mode.precision in AUTOCAST and mode.layout in LAYOUTS and mode.seconds > 0
    except (OSError, ValueError, TypeError):
        return None
    return mode if known else None


def write_mode(path: Path, mode: Mode) -> None:
    """Keep a mode that has been timed."""
    if mode.seconds > 0:
        write_text(path, json.dumps(dataclasses.asdict(mode)))


def known_or_fastest_mode(
    config: TrainConfig, patches: PatchDataset, device: torch.device, timing: Timing, *, store: Path, ranks: Ranks
) -> Mode:
    """The mode that an earlier run found the fastest, or the one that is now.

    A budget of minutes needs the seconds of a step, and the fastest mode, as the machine is now.
    """
    minutes = config.trainer.max_minutes
    limit = math.inf if minutes is None else TRIAL_SHARE * (60 * minutes - timing.elapsed())
    path = mode_file(store, patches.rules.plan, config.trainer, device)
    known = read_mode(path) if minutes is None else None
    if known:
        log.info("as timed before: %.3f s a step", known.seconds)
        return known
    start = time.monotonic()
    # Forked, so that the numbers of the training are the same whether or not anything was timed.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        mode = choose_mode(config.trainer, device, _trial_step(config, patches, device, ranks), limit=limit)
    if time.monotonic() - start < limit:  # else not all modes were tried
        with suppress(InputError):  # a store that others have filled may be read-only
            write_mode(path, mode)
    return mode


def _trial_step(
    config: TrainConfig, patches: PatchDataset, device: torch.device, ranks: Ranks
) -> Callable[[Mode], None]:
    """A whole training step on a network of its own, to be timed."""
    plan = patches.rules.plan
    batch = next(iter(DataLoader(patches, batch_size=ranks.part_of(plan.batch_size), sampler=PatchNumbers())))
    batch = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}
    network = build_network(plan).to(device)
    loss = build_loss(config.trainer, plan).to(device)
    optimizer = OPTIMIZERS[config.trainer.optimizer](network, config.trainer)
    current: dict[Mode, ReplayedLoss] = {}

    def step(mode: Mode) -> None:
        if mode not in current:
            current.clear()  # a recorded step reads the weights where they lay
            network_to_layout(network, mode.layout)
            whole = StepLoss(network, loss, slice_axis=plan.slice_axis, mode=mode)
            current[mode] = ReplayedLoss(whole, config.trainer)
        optimizer.zero_grad()
        with memory_saved(config.trainer):
            found = current[mode](batch["image"], batch["labels"])
        found.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step
