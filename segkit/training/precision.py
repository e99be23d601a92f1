"""Choose precision and memory format of a training: from the cache of an earlier run, or by timing.

On one CPU with bfloat16 instructions, bfloat16 halves the time of a training step; on another it
makes it 1.6 times longer. The instructions that a CPU reports do not tell which; a timed step does.
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
from torch import Tensor
from torch.utils.data import DataLoader

from segkit.config.schema import TrainConfig, TrainerConfig
from segkit.errors import InputError
from segkit.files.atomic import write_text
from segkit.networks import build_network
from segkit.networks.precision import (
    AUTOCAST,
    MEMORY_FORMATS,
    ComputeMode,
    cpu_bfloat16_time_ratio,
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
"""Version of the cache; raise it when you change what is timed, or how fast it is."""
TRIAL_SHARE = 0.05
"""Largest share of the remaining minutes that the timing may take."""


def mode_file(store: Path, plan: Plan, trainer: TrainerConfig, device: torch.device) -> Path:
    """Return the path of the cached choice for this network, these settings and this machine.

    Args:
        store: folder of the cache.
        plan: plan of the network.
        trainer: precision, memory format, optimizer and loss of the training.
        device: where the training runs.
    """
    chip = torch.backends.cpu.get_cpu_capability()
    if device.type == "cuda":
        chip = torch.cuda.get_device_name(device)
    machine = [
        platform.node(),
        os.cpu_count(),
        device.type,
        chip,
        torch.get_num_threads(),
        str(torch.__version__),
    ]
    settings = [
        trainer.precision,
        trainer.layout,
        trainer.optimizer,
        trainer.loss,
        trainer.save_memory,
    ]
    digest = hashlib.sha256(json.dumps([FORMAT, plan.hash(), settings, machine]).encode())
    return store / f"mode-{digest.hexdigest()[:32]}.json"


def read_mode(path: Path) -> ComputeMode | None:
    """Return the cached choice, or None if there is none that can be read."""
    try:
        mode = ComputeMode(**json.loads(path.read_text(encoding="utf-8")))
        is_valid = mode.precision in AUTOCAST and mode.layout in MEMORY_FORMATS and mode.seconds > 0
    except (OSError, ValueError, TypeError):
        return None
    return mode if is_valid else None


def write_mode(path: Path, mode: ComputeMode) -> None:
    """Cache a choice that was timed; others are not written."""
    if mode.seconds > 0:
        write_text(path, json.dumps(dataclasses.asdict(mode)))


def cached_or_fastest_mode(
    config: TrainConfig,
    patches: PatchDataset,
    device: torch.device,
    timing: Timing,
    *,
    store: Path,
    ranks: Ranks,
) -> ComputeMode:
    """Return the precision and memory format that an earlier run, or a timing now, found fastest.

    A training of a given number of minutes is always timed, because its number of steps follows
    from the speed of the machine as it is now.

    Args:
        config: settings of the training.
        patches: the training patches, of which one batch is used.
        device: where the training runs.
        timing: the time spent so far.
        store: folder of the cache.
        ranks: the processes that share a batch.
    """
    minutes = config.trainer.max_minutes
    limit = math.inf if minutes is None else TRIAL_SHARE * (60 * minutes - timing.elapsed())
    path = mode_file(store, patches.rules.plan, config.trainer, device)
    cached = read_mode(path) if minutes is None else None
    if cached:
        log.info("precision and memory format as timed before: %.3f s per step", cached.seconds)
        return cached
    start = time.monotonic()
    # The random state is restored, so that the training is the same whether or not it was timed.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        step = _trial_step(config, patches, device, ranks)
        mode = choose_mode(config.trainer, device, step, limit=limit)
    if time.monotonic() - start < limit:  # otherwise not all candidates were timed
        with suppress(InputError):  # a shared store may be read-only
            write_mode(path, mode)
    return mode


def _trial_step(
    config: TrainConfig, patches: PatchDataset, device: torch.device, ranks: Ranks
) -> Callable[[ComputeMode], None]:
    """Return a function that does a whole training step on a network of its own, for timing."""
    plan = patches.rules.plan
    batch_size = ranks.part_of(plan.batch_size)
    batch = next(iter(DataLoader(patches, batch_size=batch_size, sampler=PatchNumbers())))
    batch = {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in batch.items()
    }
    network = build_network(plan).to(device)
    loss = build_loss(config.trainer, plan).to(device)
    optimizer = OPTIMIZERS[config.trainer.optimizer](network, config.trainer)
    losses: dict[ComputeMode, GraphedLoss] = {}

    def step(mode: ComputeMode) -> None:
        if mode not in losses:
            losses.clear()  # a recorded step reads the weights at their old addresses
            network_to_memory_format(network, mode.layout)
            step_loss = TrainingLoss(network, loss, slice_axis=plan.slice_axis, mode=mode)
            losses[mode] = GraphedLoss(step_loss, config.trainer)
        optimizer.zero_grad()
        with memory_saved(config.trainer):
            value = losses[mode](batch["image"], batch["labels"])
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def choose_mode(
    trainer: TrainerConfig,
    device: torch.device,
    step: Callable[[ComputeMode], None],
    *,
    limit: float = math.inf,
) -> ComputeMode:
    """Return the fastest of the precisions and memory formats that ``trainer`` leaves open.

    A candidate whose first step, without warm-up, takes three times the best so far is not timed
    further.

    Args:
        trainer: precision and memory format may be "auto".
        device: where ``step`` runs.
        step: does one training step; it is timed.
        limit: seconds after which no further candidate is timed.
    """
    candidates = _candidates(trainer, device)
    if len(candidates) == 1 and trainer.max_minutes is None:
        return candidates[0]
    until = time.monotonic() + limit
    best = _timed(step, candidates[0], device, until=until)
    for candidate in candidates[1:]:
        if time.monotonic() > until:
            log.info("%s %s: no time to try it", candidate.precision, candidate.layout)
            continue
        timed = _timed(step, candidate, device, until=until, best=best.seconds)
        best = min(best, timed, key=lambda mode: mode.seconds)
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
        step(mode)  # compiles kernels and records the step; its time says nothing about the others
    seconds = _seconds(step, mode, device)
    for _ in range(2 if device.type == "cpu" else 9):
        if seconds < 3 * best and time.monotonic() < until:
            seconds = min(seconds, _seconds(step, mode, device))
    log.info("%s %s: %.3f s per step", mode.precision, mode.layout, seconds)
    return ComputeMode(mode.precision, mode.layout, seconds)


def _candidates(trainer: TrainerConfig, device: torch.device) -> list[ComputeMode]:
    precisions = [trainer.precision]
    if trainer.precision == "auto":
        precisions = _auto_precisions(device)
    formats = MEMORY_FORMATS if trainer.layout == "auto" else (trainer.layout,)
    return [ComputeMode(precision, layout) for precision in precisions for layout in formats]


def _auto_precisions(device: torch.device) -> list[str]:
    """Return the precisions worth timing.

    float16 has no fast kernels on a CPU, and on a GPU with bfloat16 it would only add loss scaling.
    """
    if device.type == "cuda":
        half = "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
        return ["float32", half]
    return ["float32", "bfloat16"] if _is_bfloat16_usable() else ["float32"]


def _is_bfloat16_usable() -> bool:
    """Return whether a small convolution in bfloat16 takes at most twice the time of float32.

    If bfloat16 is emulated, a whole step takes twelve times as long, which is too long even for
    timing it.
    """
    return cpu_bfloat16_time_ratio() <= 2


def _seconds(step: Callable[[ComputeMode], None], mode: ComputeMode, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    step(mode)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
