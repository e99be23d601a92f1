from __future__ import annotations

import multiprocessing

import pytest
import torch
from torch.utils.data import DataLoader

from segkit.config.schema import TrainerConfig
from segkit.training.compute.distributed import Ranks
from segkit.training.data.loader import MAX_WORKERS, Batches, available_cores, worker_count
from segkit.training.signals import ignore_signals

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


class Numbers(torch.utils.data.Dataset[int]):
    def __getitem__(self, number: int) -> int:
        return number


def loader(workers: int) -> DataLoader[int]:
    return DataLoader(Numbers(), sampler=range(100), batch_size=1, num_workers=workers)


def test_batches_come_in_order() -> None:
    with Batches(loader(0)) as batches:  # type: ignore[arg-type]
        assert [batch.item() for batch in batches] == list(range(100))  # type: ignore[attr-defined]


def test_processes_end_with_the_context() -> None:
    with Batches(loader(2)) as batches:  # type: ignore[arg-type]
        running = iter(batches)
        next(running)
        assert len(multiprocessing.active_children()) == 2
    assert multiprocessing.active_children() == []


def test_workers() -> None:
    assert worker_count(TrainerConfig(), CPU) == 0
    assert (
        worker_count(TrainerConfig(workers=3), CPU)
        == worker_count(TrainerConfig(workers=3), GPU)
        == 3
    )
    assert worker_count(TrainerConfig(), GPU) == min(MAX_WORKERS, available_cores() - 1)
    many = 2 * available_cores()
    assert worker_count(TrainerConfig(), GPU, Ranks(count=many)) == 0
    assert worker_count(TrainerConfig(), GPU, Ranks(count=many, nodes=many)) == worker_count(
        TrainerConfig(), GPU
    )
    assert worker_count(TrainerConfig(), GPU, Ranks(count=many, slurm=True)) == worker_count(
        TrainerConfig(), GPU
    )


class Broken(Numbers):
    def __getitem__(self, number: int) -> int:
        raise ValueError("this patch is broken")


def test_processes_end_if_one_of_them_fails() -> None:
    broken = DataLoader(
        Broken(), sampler=range(9), batch_size=1, num_workers=2, worker_init_fn=ignore_signals
    )
    with (
        pytest.raises(ValueError, match="this patch is broken") as error,
        Batches(broken) as batches,  # type: ignore[arg-type]
    ):
        next(iter(batches))
    assert multiprocessing.active_children() == [], error.traceback
