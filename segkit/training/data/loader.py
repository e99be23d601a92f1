"""Batches of patches for one rank: who cuts them, and that nobody is left when the training ends."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from segkit.config.schema import TrainerConfig
from segkit.training.compute.distributed import ALONE, Ranks
from segkit.training.data.patches import PatchDataset, PatchNumbers
from segkit.training.signals import ignore_signals

Batch = dict[str, Any]

MOST_WORKERS = 8
"""For one GPU, however many cores there are: each takes memory."""


def batches_of(
    trainer: TrainerConfig,
    patches: PatchDataset,
    *,
    steps_done: int,
    device: torch.device,
    ranks: Ranks,
) -> Batches:
    """The batches of this rank from step ``steps_done`` on, without end."""
    size = patches.rules.plan.batch_size
    loader = DataLoader(
        patches,
        batch_size=ranks.part_of(size),
        sampler=PatchNumbers(
            steps_done * trainer.accumulate * size, rank=ranks.number, world_size=ranks.count
        ),
        num_workers=worker_count(trainer, device, ranks),
        worker_init_fn=ignore_signals,
        pin_memory=device.type
        == "cuda",  # a thread takes them from the workers, and the GPU fetches them itself
    )
    return Batches(loader)


def worker_count(trainer: TrainerConfig, device: torch.device, ranks: Ranks = ALONE) -> int:
    """Processes that cut patches for one rank; with none the training cuts them between its steps.

    So it does on a CPU: cutting takes 3 % of a short step there, and whoever does it meanwhile takes a core from the
    network, whose threads wait for each other. A thread made a step a third longer, a process 2 % (2 cores).
    A GPU leaves the cores free, and its share of them feeds it.
    """
    if trainer.workers != "auto":
        return int(trainer.workers)
    if device.type == "cpu":
        return 0
    # SLURM gives every process cores of its own; else the processes of a node share them.
    sharing = 1 if ranks.slurm else ranks.per_node
    return max(0, min(MOST_WORKERS, available_cores() // sharing - 1))


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Batches:
    """The batches of ``loader``; as a context it ends the processes that cut them.

    Left to the garbage collector these might outlive the training, and the interpreter would wait for them at its end.
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
