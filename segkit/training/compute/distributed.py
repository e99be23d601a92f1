"""The processes of one training: how they start, which of them decides, and that they end together.

Rank 0 measures, plans, prepares cases, times, writes files and logs; what it decides is told to the others. Each rank
trains on its part of every batch, and Lightning averages the gradients.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy
from torch import Tensor
from torch.distributed import ReduceOp

from segkit.config.schema import ComputeConfig
from segkit.errors import Interrupted, ProcessLost, UsageError
from segkit.progress import StatusLine
from segkit.training.compute.slurm import in_job

T = TypeVar("T")

LONGEST_WAIT = timedelta(days=1)
"""For rank 0 to measure and prepare a dataset."""
GRACE = 10.0
"""Seconds in which ranks that end in an error leave rank 0 the word, and rank 0 waits for those that end in order."""
LAUNCHED = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What Lightning may put into the environment of the process that launches others; there, it would launch no more."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of its training; by default the only one."""

    number: int = 0
    count: int = 1
    nodes: int = 1
    slurm: bool = False
    group: Any = None
    """For what is decided; gradients have a group of their own."""
    children: Sequence[subprocess.Popen[bytes]] = field(default=())
    """Processes that this one launched,"""
    variables: Sequence[str] = ()
    """and what Lightning put into the environment for it."""

    @property
    def per_node(self) -> int:
        return self.count // self.nodes

    def share(self, work: Callable[[], T]) -> T:
        """What ``work`` gives on rank 0, where alone it is done; after an error there the others end without a word."""
        if self.count == 1:
            return work()
        told: list[Any] = [False, None]
        try:
            if self.number == 0:
                told = [True, work()]
        finally:
            torch.distributed.broadcast_object_list(told, src=0, group=self.group)
        if not told[0]:
            raise SystemExit(0)
        result: T = told[1]
        return result

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do ``work`` on rank 0 and then, when it is done there, on the others."""
        results: list[T] = []
        self.share(lambda: results.append(work()))
        return results[0] if results else work()

    def agree(self, decided: Sequence[int], asked: int) -> list[int]:
        """The numbers (from 0 on) that rank 0 has ``decided``, and the largest that any rank ``asked`` for."""
        own = list(decided) if self.number == 0 else [0] * len(decided)
        numbers = torch.tensor([*own, asked])
        if self.count > 1:
            torch.distributed.all_reduce(numbers, ReduceOp.MAX, group=self.group)
        return numbers.tolist()

    def total(self, number: int) -> int:
        """The sum over the ranks."""
        numbers = torch.tensor([number])
        if self.count > 1:
            torch.distributed.all_reduce(numbers, group=self.group)
        return int(numbers)

    def merged(self, own: dict[str, T]) -> dict[str, T]:
        """The entries of all ranks, those of rank 0 first."""
        if self.count == 1:
            return own
        parts: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(parts, own, group=self.group)
        return {key: value for part in parts for key, value in part.items()}

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """``tensor`` of every rank, all of one shape, without gradients."""
        parts = [
            torch.empty_like(tensor, memory_format=torch.contiguous_format)
            for _ in range(self.count)
        ]
        torch.distributed.all_gather(parts, tensor.detach().contiguous())
        return parts

    def part_of(self, batch: int) -> int:
        """How many of a step's patches are this rank's.

        Raises:
            UsageError: they cannot be divided evenly.
        """
        if batch % self.count:
            above = -(-batch // self.count) * self.count
            raise UsageError(
                f"a batch of {batch} does not divide evenly among {self.count} processes: give "
                f"trainer.batch_size={above}, or another compute.devices"
            )
        return batch // self.count

    def environment(self) -> ClusterEnvironment:
        """What tells Lightning of the ranks. Going back to SLURM's queue is segkit's own (see `slurm`)."""
        return SLURMEnvironment(auto_requeue=False) if self.slurm else LightningEnvironment()

    @contextmanager
    def end_together(self) -> Iterator[None]:
        """When the block ends on rank 0, the other ranks end; none of them goes on after it."""
        try:
            yield
        except RuntimeError as error:
            # So gloo says that another rank is gone.
            if self.count == 1 or not re.search("closed by peer|reset by peer", str(error)):
                self._end(error)
                raise
            lost = ProcessLost(
                "another process of this training has ended; --resume goes on from the last checkpoint"
            )
            self._end(lost)
            raise lost from error
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)
        if self.number:
            raise SystemExit(0)

    def _end(self, error: BaseException | None) -> None:
        if self.count == 1:
            return
        in_order = error is None or isinstance(error, Interrupted | SystemExit)
        if self.number and not in_order and not isinstance(error, ProcessLost):
            time.sleep(GRACE)  # if it is an error of all ranks, rank 0 says it and ends this one
        if (
            in_order or torch.distributed.get_backend() == "gloo"
        ):  # NCCL would wait for ranks that are gone
            torch.distributed.destroy_process_group()
        if self.number and isinstance(error, Interrupted | ProcessLost):
            raise SystemExit(0) from error  # rank 0 says it
        until = time.monotonic() + (GRACE if in_order else 0)
        for child in self.children:
            try:
                child.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
        for name in self.variables:
            os.environ.pop(name, None)


ALONE = Ranks()
"""A training of one process."""


def start_ranks(compute: ComputeConfig) -> Ranks:
    """Join the processes of this training: launch them (ddp), or meet those that srun started (slurm).

    Raises:
        UsageError: a number of processes that this machine or this job does not have.
    """
    if compute.name not in ("ddp", "slurm"):
        return ALONE
    slurm, gpu = compute.name == "slurm", torch.cuda.is_available()
    per_node, nodes = _of_slurm() if slurm else (_devices(compute, gpu), compute.nodes)
    alone = Ranks(nodes=nodes, count=per_node * nodes, slurm=slurm)
    if alone.count == 1:
        return alone
    fabric = Fabric(
        accelerator="gpu" if gpu else "cpu",
        devices=per_node,
        num_nodes=nodes,
        strategy=DDPStrategy(),
        plugins=[alone.environment()],
    )
    new = tuple(name for name in LAUNCHED if name not in os.environ)
    for part in ("fabric", "pytorch"):
        logging.getLogger(f"lightning.{part}").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        fabric.launch()
    group = torch.distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)
    if fabric.global_rank:
        _keep_quiet()
    children = getattr(fabric.strategy.launcher, "procs", ())
    return Ranks(
        fabric.global_rank,
        fabric.world_size,
        nodes,
        slurm,
        group,
        tuple(children),
        new if children else (),
    )


def _devices(compute: ComputeConfig, gpu: bool) -> int:
    found = torch.cuda.device_count()
    if compute.devices == "auto":
        if not gpu:
            raise UsageError(
                "compute=ddp: PyTorch sees no GPU here. Give compute.devices=N for N processes on the CPU."
            )
        return found
    if gpu and compute.devices > found:
        raise UsageError(f"compute.devices={compute.devices}: PyTorch sees {found} here")
    return int(compute.devices)


def _of_slurm() -> tuple[int, int]:
    """Processes on a node, and nodes."""
    if not in_job():
        raise UsageError(
            "compute=slurm: this is no job of SLURM. Start it with srun inside one (docs/scaling.md)."
        )
    tasks, nodes = (int(os.environ.get(f"SLURM_{name}", "1")) for name in ("NTASKS", "NNODES"))
    if tasks % nodes:
        raise UsageError(
            f"compute=slurm: {tasks} tasks on {nodes} nodes. Give --ntasks-per-node, the same for each."
        )
    return tasks // nodes, nodes


def _keep_quiet() -> None:
    """What is to be said rank 0 says, and Ctrl-C, which a terminal sends to all, is its affair until the first step."""
    StatusLine.as_log = True
    for name in ("", "segkit"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
