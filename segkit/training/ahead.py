"""Batches of patches, cut while the network trains on the one before."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch.utils.data import DataLoader

from segkit.config import TrainerConfig
from segkit.training.patches import PatchDataset, PatchNumbers
from segkit.training.ranks import Ranks
from segkit.training.stop_signals import ignore_signals

Batch = dict[str, Any]

BATCHES_AHEAD = 2
"""One to go on with at once, and one so that a patch that takes longer than a step is no reason to wait."""
MOST_WORKERS = 8
"""For one GPU, however many cores there are: each takes memory."""


def batches_ahead(
    trainer: TrainerConfig, patches: PatchDataset, *, steps_done: int, device: torch.device, ranks: Ranks
) -> AheadLoader:
    """The batches of this rank from step ``steps_done`` on, without end."""
    size, workers = patches.rules.plan.batch_size, worker_count(trainer, device, ranks.per_node)
    loader = DataLoader(
        patches,
        batch_size=ranks.part_of(size),
        sampler=PatchNumbers(steps_done * trainer.accumulate * size, rank=ranks.number, world_size=ranks.count),
        num_workers=workers,
        worker_init_fn=ignore_signals,
    )
    return AheadLoader(loader)


def worker_count(trainer: TrainerConfig, device: torch.device, ranks_per_node: int = 1) -> int:
    """Processes that cut patches for one rank; none means a thread of the training.

    A network on a CPU takes far longer than its patches, and every process takes memory. A GPU may be faster than one
    thread: there its share of the cores serves it.
    """
    if trainer.workers != "auto":
        return int(trainer.workers)
    if device.type == "cpu":
        return 0
    return max(0, min(MOST_WORKERS, available_cores() // ranks_per_node - 1))


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class AheadLoader:
    """The batches of ``loader``, each asked for while the ones before it are used; thread and processes end with it."""

    def __init__(self, loader: DataLoader[Batch]) -> None:
        self.loader = loader
        self._batches: Generator[Batch, None, None] | None = None

    def __iter__(self) -> Iterator[Batch]:
        self._batches = self._ahead()
        return self._batches

    def __enter__(self) -> AheadLoader:
        return self

    def __exit__(self, *_: object) -> None:
        # Left to the garbage collector, processes that cut patches might outlive the interpreter, which waits for them.
        if self._batches is not None:
            self._batches.close()

    def _ahead(self) -> Generator[Batch, None, None]:
        # The thread sets its own number of threads to one for every patch; that of the training stays.
        with ThreadPoolExecutor(1, thread_name_prefix="patches") as pool:
            batches = iter(self.loader)
            ahead = deque(pool.submit(next, batches) for _ in range(BATCHES_AHEAD))
            while True:
                ahead.append(pool.submit(next, batches))
                yield ahead.popleft().result()
