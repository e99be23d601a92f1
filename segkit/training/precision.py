"""Choose precision and memory format of a training: from the cache of an earlier run, or by timing.

On one CPU with bfloat16 instructions bfloat16 halves a training step, on another it makes it 1.6 times slower.
The instructions a CPU announces do not tell which; a timed step does.
"""

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
from torch import Tensor, nn
from torch.utils.data import DataLoader

from segkit.config.schema import TrainConfig, TrainerConfig
from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.networks import build_network
from segkit.networks.precision import (
    AUTOCAST,
    MEMORY_FORMATS,
    ComputeMode,
    bfloat16_time_ratio,
    network_to_memory_format,
)
from segkit.plans.plan import Plan
from segkit.training.compute.device import memory_saved
from segkit.training.compute.distributed import Ranks
from segkit.training.data.patches import PatchDataset, PatchNumbers
from segkit.training.optimization.cuda_graph import GraphedLoss, TrainingLoss
from segkit.training.optimization.losses import build_loss
from segkit.training.optimization.optimizers import OPTIMIZERS
from segkit.training.time_budget import Timing

log = logging.getLogger(__name__)

FORMAT = 3
"""To be raised by whoever changes what is timed, or how fast it is."""
TRIAL_SHARE = 0.05
"""Of the minutes that are left, the most that the choice may take."""


def mode_file(store: Path, plan: Plan, trainer: TrainerConfig, device: torch.device) -> Path:
    """Where ``store`` keeps the mode for this network, these wishes and this machine."""
    chip = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else torch.backends.cpu.get_cpu_capability()
    )
    machine = [
        platform.node(),
        os.cpu_count(),
        device.type,
        chip,
        torch.get_num_threads(),
        str(torch.__version__),
    ]
    asked = [
        trainer.precision,
        trainer.layout,
        trainer.optimizer,
        trainer.loss,
        trainer.save_memory,
    ]
    digest = hashlib.sha256(json.dumps([FORMAT, plan.hash(), asked, machine]).encode())
    return store / f"mode-{digest.hexdigest()[:32]}.json"


def read_mode(path: Path) -> ComputeMode | None:
    """None where there is none that can be read."""
    try:
        mode = ComputeMode(**json.loads(path.read_text(encoding="utf-8")))
        known = mode.precision in AUTOCAST and mode.layout in MEMORY_FORMATS and mode.seconds > 0
    except (OSError, ValueError, TypeError):
        return None
    return mode if known else None


def write_mode(path: Path, mode: ComputeMode) -> None:
    """Keep a mode that has been timed."""
    if mode.seconds > 0:
        write_text(path, json.dumps(dataclasses.asdict(mode)))


def known_or_fastest_mode(
    config: TrainConfig,
    patches: PatchDataset,
    device: torch.device,
    timing: Timing,
    *,
    store: Path,
    ranks: Ranks,
) -> ComputeMode:
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
        mode = choose_mode(
            config.trainer, device, _trial_step(config, patches, device, ranks), limit=limit
        )
    if time.monotonic() - start < limit:  # else not all modes were tried
        with suppress(InputError):  # a store that others have filled may be read-only
            write_mode(path, mode)
    return mode


def _trial_step(
    config: TrainConfig, patches: PatchDataset, device: torch.device, ranks: Ranks
) -> Callable[[ComputeMode], None]:
    """A whole training step on a network of its own, to be timed."""
    plan = patches.rules.plan
    batch = next(
        iter(DataLoader(patches, batch_size=ranks.part_of(plan.batch_size), sampler=PatchNumbers()))
    )
    batch = {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in batch.items()
    }
    network = build_network(plan).to(device)
    loss = build_loss(config.trainer, plan).to(device)
    optimizer = OPTIMIZERS[config.trainer.optimizer](network, config.trainer)
    current: dict[ComputeMode, GraphedLoss] = {}

    def step(mode: ComputeMode) -> None:
        if mode not in current:
            current.clear()  # a recorded step reads the weights where they lay
            network_to_memory_format(network, mode.layout)
            whole = TrainingLoss(network, loss, slice_axis=plan.slice_axis, mode=mode)
            current[mode] = GraphedLoss(whole, config.trainer)
        optimizer.zero_grad()
        with memory_saved(config.trainer):
            found = current[mode](batch["image"], batch["labels"])
        found.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


log = logging.getLogger(__name__)


def choose_mode(
    trainer: TrainerConfig,
    device: torch.device,
    step: Callable[[ComputeMode], None],
    *,
    limit: float = math.inf,
) -> ComputeMode:
    """Time ``step`` in every mode that ``trainer`` leaves open and return the fastest.

    A mode whose first, unwarmed step takes three times the best so far is dropped at once. After ``limit`` seconds
    no further mode is tried.
    """
    modes = _candidates(trainer, device)
    if len(modes) == 1 and trainer.max_minutes is None:
        return modes[0]
    until = time.monotonic() + limit
    best = _timed(step, modes[0], device, until=until)
    for mode in modes[1:]:
        if time.monotonic() > until:
            log.info("%s %s: no time to try it", mode.precision, mode.layout)
            continue
        timed = _timed(step, mode, device, until=until, best=best.seconds)
        best = min(best, timed, key=lambda each: each.seconds)
    return best


def _timed(
    step: Callable[[ComputeMode], None],
    mode: ComputeMode,
    device: torch.device,
    *,
    until: float,
    best: float = math.inf,
) -> ComputeMode:
    if device.type == "cuda":
        step(mode)  # compiles kernels and records the step, which says nothing of the others
    seconds = _seconds(step, mode, device)
    for _ in range(2 if device.type == "cpu" else 9):
        if seconds < 3 * best and time.monotonic() < until:
            seconds = min(seconds, _seconds(step, mode, device))
    log.info("%s %s: %.3f s a step", mode.precision, mode.layout, seconds)
    return ComputeMode(mode.precision, mode.layout, seconds)


def _candidates(trainer: TrainerConfig, device: torch.device) -> list[ComputeMode]:
    # float16 on a CPU has no fast kernels, and on a GPU bfloat16 needs no loss scaling: never chosen unasked.
    precisions = [trainer.precision]
    if trainer.precision == "auto":
        half = (
            "float16"
            if device.type == "cuda" and not torch.cuda.is_bf16_supported()
            else "bfloat16"
        )
        precisions = (
            ["float32", half] if device.type == "cuda" or _bfloat16_keeps_up() else ["float32"]
        )
    layouts = MEMORY_FORMATS if trainer.layout == "auto" else (trainer.layout,)
    return [ComputeMode(precision, layout) for precision in precisions for layout in layouts]


def _bfloat16_keeps_up() -> bool:
    """Does one small convolution take no more than twice as long in bfloat16?

    Where bfloat16 is emulated a whole step would take twelve times as long, which is too long even to be timed.
    """
    return bfloat16_time_ratio(nn.Conv3d(32, 32, 3), torch.zeros(1, 32, 12, 12, 12)) <= 2


def _seconds(step: Callable[[ComputeMode], None], mode: ComputeMode, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    step(mode)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
