"""Batches of patches for one rank, and the worker processes that cut them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from segkit.config.schema import TrainerConfig
from segkit.training.compute.distributed import ALONE, Ranks
from segkit.training.data.patches import PatchDataset, PatchNumbers
from segkit.training.data.shared_memory import (
    as_arrays,
    as_tensors,
    memory_error,
    possible_workers,
    uses_pipes,
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
    plan = patches.rules.plan
    size = plan.batch_size
    workers = possible_workers(worker_count(trainer, device, ranks), is_shared=patches.is_shared)
    on_node = ranks.part_of(size) * ranks.per_node
    pipes, pinned = uses_pipes(plan, on_node, workers), device.type == "cuda"
    loader = DataLoader(
        patches,
        batch_size=ranks.part_of(size),
        sampler=PatchNumbers(
            steps_done * trainer.accumulate * size, rank=ranks.number, world_size=ranks.count
        ),
        num_workers=workers,
        worker_init_fn=ignore_signals,
        collate_fn=as_arrays if pipes else None,
        # A thread takes batches from the workers, and the GPU fetches them from pinned memory.
        pin_memory=pinned and not pipes,
    )
    return Batches(loader, partial(as_tensors, pinned=pinned) if pipes else None)


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
    them when it exits: they ignore signals.
    """

    def __init__(
        self, loader: DataLoader[Batch], received: Callable[[Batch], Batch] | None = None
    ) -> None:
        """
        Args:
            loader: batches as the processes send them.
            received: function that is applied to each of them.
        """
        self.loader, self.received = loader, received
        self._running: Iterator[Batch] | None = None

    def __iter__(self) -> Iterator[Batch]:
        self._running = iter(self.loader)
        return self._batches(self._running)

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        # An error in a process ends the iteration, but not the processes, as long as the error's
        # traceback exists.
        end = getattr(self._running, "_shutdown_workers", None)
        if end is not None:
            end()

    def _batches(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        try:
            for batch in batches:
                yield self.received(batch) if self.received else batch
        except RuntimeError as error:
            meaning = memory_error(error)
            if meaning is None:
                raise
            raise meaning from error
