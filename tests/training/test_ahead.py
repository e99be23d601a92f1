from __future__ import annotations

import multiprocessing
import threading
import time

import pytest
import torch
from torch.utils.data import DataLoader

from segkit.config import TrainerConfig
from segkit.training.ahead import MOST_WORKERS, AheadLoader, available_cores, worker_count

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


class Numbers(torch.utils.data.Dataset[int]):
    """Says which number was asked for, and by which thread."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.threads: set[str] = set()

    def __getitem__(self, number: int) -> int:
        self.asked.append(number)
        self.threads.add(threading.current_thread().name)
        if number == 7:
            raise ValueError("the seventh cannot be read")
        return number


def loader(numbers: Numbers, count: int) -> AheadLoader:
    return AheadLoader(DataLoader(numbers, sampler=range(count), batch_size=1))  # type: ignore[arg-type]


def test_batches_come_in_order_and_the_next_two_are_cut_meanwhile() -> None:
    numbers = Numbers()
    batches = iter(loader(numbers, 6))
    assert next(batches).item() == 0  # type: ignore[attr-defined]
    while len(numbers.asked) < 3:
        time.sleep(0.001)
    time.sleep(0.05)
    assert numbers.asked == [0, 1, 2]
    assert [next(batches).item() for _ in range(2)] == [1, 2]  # type: ignore[attr-defined]
    assert all(name.startswith("patches") for name in numbers.threads)


def test_an_error_reaches_the_training() -> None:
    batches = iter(loader(Numbers(), 20))
    assert [next(batches).item() for _ in range(7)] == list(range(7))  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="the seventh"):
        next(batches)


def test_thread_and_processes_end_with_the_loader() -> None:
    with AheadLoader(DataLoader(Numbers(), sampler=range(100), num_workers=2)) as batches:  # type: ignore[arg-type]
        next(iter(batches))
        assert len(multiprocessing.active_children()) == 2
    assert multiprocessing.active_children() == []
    assert not any(thread.name.startswith("patches") for thread in threading.enumerate())


def test_workers() -> None:
    assert worker_count(TrainerConfig(), CPU) == 0
    assert worker_count(TrainerConfig(workers=3), CPU) == worker_count(TrainerConfig(workers=3), GPU) == 3
    assert worker_count(TrainerConfig(), GPU) == min(MOST_WORKERS, available_cores() - 1)
    assert worker_count(TrainerConfig(), GPU, ranks_per_node=2 * available_cores()) == 0
