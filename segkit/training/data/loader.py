"""Batches of patches for one rank, and the worker processes that cut them."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from segkit.config.schema import TrainerConfig
from segkit.training.compute.distributed import ALONE, Ranks
from segkit.training.data.patches import PatchDataset, PatchNumbers
from segkit.training.data.shared_memory import (
    batch_bytes,
    fitting_workers,
    free_shared_memory,
)
from segkit.training.signals import ignore_signals

Batch = dict[str, Any]
"""Batch: "image" (B, C, X, Y, Z), "labels" (B, X, Y, Z) and "case", a list of ids."""

MAX_WORKERS = 8
"""Largest number of worker processes for one GPU, because each of them takes memory."""


def batches_of(
    trainer: TrainerConfig,
    patches: PatchDataset,
    *,
    steps_done: int,
    device: torch.device,
    ranks: Ranks,
) -> Batches:
    """Return the endless batches of this rank.

    Args:
        trainer: workers and accumulation.
        patches: the patches of all ranks.
        steps_done: training steps before the first batch, of a run that is resumed.
        device: device of the network.
        ranks: the ranks that share a batch.
    """
    size = patches.rules.plan.batch_size
    loader = DataLoader(
        patches,
        batch_size=ranks.part_of(size),
        sampler=PatchNumbers(
            steps_done * trainer.accumulate * size, rank=ranks.number, world_size=ranks.count
        ),
        num_workers=_workers(trainer, patches, device, ranks),
        worker_init_fn=ignore_signals,
        # A thread takes batches from the workers, and the GPU fetches them from pinned memory.
        pin_memory=device.type == "cuda",
    )
    return Batches(loader)


def _workers(
    trainer: TrainerConfig, patches: PatchDataset, device: torch.device, ranks: Ranks
) -> int:
    """Return the number of processes whose batches fit into this rank's part of shared memory."""
    plan = patches.rules.plan
    batch = batch_bytes(ranks.part_of(plan.batch_size), len(plan.channels), plan.patch)
    free = free_shared_memory()
    part = None if free is None else free // ranks.per_node
    return fitting_workers(worker_count(trainer, device, ranks), batch, part)


def worker_count(trainer: TrainerConfig, device: torch.device, ranks: Ranks = ALONE) -> int:
    """Return the number of processes that cut patches for one rank.

    0 means that the training cuts them between its steps. This is the default on a CPU: cutting
    takes 3 % of a short step, and doing it at the same time takes a core from the network, whose
    threads wait for each other. On 2 cores a thread made a step a third longer, a process 2 %. A
    GPU leaves the cores free for these processes.
    """
    if trainer.workers != "auto":
        return int(trainer.workers)
    if device.type == "cpu":
        return 0
    # SLURM gives every process its own cores; otherwise the processes of a node share them.
    sharing = 1 if ranks.slurm else ranks.per_node
    return max(0, min(MAX_WORKERS, available_cores() // sharing - 1))


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Batches:
    """Batches of ``loader``; leaving its context ends the worker processes.

    Without the context the workers might outlive the training, and the interpreter would wait for
    them when it exits.
    """

    def __init__(self, loader: DataLoader[Batch]) -> None:
        self.loader = loader
        self._running: Generator[Batch, None, None] | None = None

    def __iter__(self) -> Iterator[Batch]:
        self._running = self._batches()
        return self._running

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        if self._running is not None:
            self._running.close()

    def _batches(self) -> Generator[Batch, None, None]:
        yield from self.loader
