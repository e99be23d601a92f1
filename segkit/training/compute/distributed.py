"""The processes (ranks) of one training: how they start, share decisions and end together.

Rank 0 measures, plans, prepares cases, times, writes files and logs, and tells the other ranks what
it decides. Each rank trains on its part of every batch, and Lightning averages the gradients.
"""

from __future__ import annotations

import dataclasses
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
from typing import Any, TypeVar, cast

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
"""Time in which rank 0 may measure and prepare a dataset while the others wait."""
GRACE = 10.0
"""Seconds that ranks wait for each other at the end.

Ranks that fail give rank 0 time to report the error, and rank 0 waits for ranks that end normally.
"""
LAUNCHER_VARIABLES = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that Lightning may set in the process that launches others.

If they stayed, that process could launch no further training.
"""


@dataclass(frozen=True)
class Ranks:
    """Rank of this process in a distributed training; by default it is the only process."""

    number: int = 0
    """Rank of this process, from 0."""
    count: int = 1
    """Number of ranks of the training (world size)."""
    nodes: int = 1
    """Number of machines."""
    slurm: bool = False
    """True if srun started the ranks."""
    group: Any = None
    """Process group for decisions; gradients have a group of their own."""
    children: Sequence[subprocess.Popen[bytes]] = field(default=())
    """Processes that this one launched."""
    variables: Sequence[str] = ()
    """Environment variables that Lightning set in this process to launch them."""

    @property
    def per_node(self) -> int:
        """Number of ranks on each machine."""
        return self.count // self.nodes

    def share(self, work: Callable[[], T]) -> T:
        """Call ``work`` on rank 0 only, and return its result on every rank.

        Raises:
            SystemExit: on the other ranks, when ``work`` fails on rank 0, which reports the error.
        """
        if self.count == 1:
            return work()
        succeeded_and_result: list[Any] = [False, None]
        try:
            if self.number == 0:
                succeeded_and_result = [True, work()]
        finally:
            torch.distributed.broadcast_object_list(succeeded_and_result, src=0, group=self.group)
        succeeded, result = succeeded_and_result
        if not succeeded:
            raise SystemExit(0)
        return cast(T, result)

    def in_turn(self, work: Callable[[], T]) -> T:
        """Call ``work`` on rank 0 and then, once it has returned, on the other ranks."""
        results: list[T] = []
        self.share(lambda: results.append(work()))
        return results[0] if results else work()

    def agree(self, decided: Sequence[int], asked: int) -> list[int]:
        """Return the numbers that rank 0 ``decided``, then the largest that any rank ``asked`` for.

        Args:
            decided: numbers of at least 0, equally many on all ranks; those of rank 0 count.
            asked: a number of at least 0 of this rank, such as the number of a signal.
        """
        decisions = list(decided) if self.number == 0 else [0] * len(decided)
        numbers = torch.tensor([*decisions, asked])
        if self.count > 1:
            torch.distributed.all_reduce(numbers, ReduceOp.MAX, group=self.group)
        return numbers.tolist()

    def total(self, number: int) -> int:
        """Return the sum of ``number`` over the ranks."""
        numbers = torch.tensor([number])
        if self.count > 1:
            torch.distributed.all_reduce(numbers, group=self.group)
        return int(numbers)

    def merged(self, entries: dict[str, T]) -> dict[str, T]:
        """Return the entries of all ranks, those of rank 0 first."""
        if self.count == 1:
            return entries
        parts: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(parts, entries, group=self.group)
        return {key: value for part in parts for key, value in part.items()}

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return ``tensor`` of every rank, all of one shape, without gradients."""
        parts = [
            torch.empty_like(tensor, memory_format=torch.contiguous_format)
            for _ in range(self.count)
        ]
        torch.distributed.all_gather(parts, tensor.detach().contiguous())
        return parts

    def part_of(self, batch: int) -> int:
        """Return how many patches of a batch are this rank's.

        Raises:
            UsageError: the batch does not divide evenly among the ranks.
        """
        if batch % self.count:
            next_multiple = -(-batch // self.count) * self.count
            raise UsageError(
                f"a batch of {batch} does not divide evenly among {self.count} processes: give "
                f"trainer.batch_size={next_multiple}, or another compute.devices"
            )
        return batch // self.count

    def environment(self) -> ClusterEnvironment:
        """Return Lightning's description of the ranks; segkit requeues SLURM jobs itself."""
        return SLURMEnvironment(auto_requeue=False) if self.slurm else LightningEnvironment()


ALONE = Ranks()
"""Ranks of a training of one process."""


@contextmanager
def end_together(ranks: Ranks) -> Iterator[None]:
    """End all ranks when the block ends; only rank 0 continues after it.

    Raises:
        ProcessLost: another rank has disappeared.
        SystemExit: on the other ranks, at the end of the block.
    """
    try:
        yield
    except RuntimeError as error:
        # gloo's message when another rank has disappeared
        if ranks.count == 1 or not re.search("closed by peer|reset by peer", str(error)):
            _end(ranks, error)
            raise
        lost = ProcessLost(
            "another process of this training has ended; "
            "--resume continues from the last checkpoint"
        )
        _end(ranks, lost)
        raise lost from error
    except BaseException as error:
        _end(ranks, error)
        raise
    _end(ranks, None)
    if ranks.number:
        raise SystemExit(0)


def _end(ranks: Ranks, error: BaseException | None) -> None:
    if ranks.count == 1:
        return
    is_normal = error is None or isinstance(error, Interrupted | SystemExit)
    if ranks.number and not is_normal and not isinstance(error, ProcessLost):
        time.sleep(GRACE)  # if all ranks have this error, rank 0 reports it and ends this one
    # NCCL would wait for ranks that have disappeared.
    if is_normal or torch.distributed.get_backend() == "gloo":
        torch.distributed.destroy_process_group()
    if ranks.number and isinstance(error, Interrupted | ProcessLost):
        raise SystemExit(0) from error  # rank 0 reports it
    until = time.monotonic() + (GRACE if is_normal else 0)
    for child in ranks.children:
        try:
            child.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
    for name in ranks.variables:
        os.environ.pop(name, None)


def start_ranks(compute: ComputeConfig) -> Ranks:
    """Start or join the processes of this training, and return this one's rank.

    With ``compute=ddp`` this process launches the others; with ``compute=slurm`` srun did.

    Raises:
        UsageError: a number of processes that this machine or this job does not have.
    """
    if compute.name not in ("ddp", "slurm"):
        return ALONE
    slurm, has_gpu = compute.name == "slurm", torch.cuda.is_available()
    per_node, nodes = _slurm_size() if slurm else (_devices(compute, has_gpu), compute.nodes)
    expected = Ranks(nodes=nodes, count=per_node * nodes, slurm=slurm)
    if expected.count == 1:
        return expected
    fabric = Fabric(
        accelerator="gpu" if has_gpu else "cpu",
        devices=per_node,
        num_nodes=nodes,
        strategy=DDPStrategy(),
        plugins=[expected.environment()],
    )
    new_variables = tuple(name for name in LAUNCHER_VARIABLES if name not in os.environ)
    _launch(fabric)
    group = torch.distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)
    if fabric.global_rank:
        _keep_quiet()
    children = getattr(fabric.strategy.launcher, "procs", ())
    return dataclasses.replace(
        expected,
        number=fabric.global_rank,
        count=fabric.world_size,
        group=group,
        children=tuple(children),
        variables=new_variables if children else (),
    )


def _launch(fabric: Fabric) -> None:
    for part in ("fabric", "pytorch"):
        logging.getLogger(f"lightning.{part}").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        fabric.launch()


def _devices(compute: ComputeConfig, has_gpu: bool) -> int:
    available = torch.cuda.device_count()
    if compute.devices == "auto":
        if not has_gpu:
            raise UsageError(
                "compute=ddp: PyTorch sees no GPU here. "
                "Give compute.devices=N for N processes on the CPU."
            )
        return available
    if has_gpu and compute.devices > available:
        raise UsageError(f"compute.devices={compute.devices}: PyTorch sees {available} here")
    return int(compute.devices)


def _slurm_size() -> tuple[int, int]:
    """Return the number of processes on each node, and the number of nodes."""
    if not in_job():
        raise UsageError(
            "compute=slurm: this is not a SLURM job. "
            "Start it with srun inside one (docs/scaling.md)."
        )
    tasks, nodes = (int(os.environ.get(f"SLURM_{name}", "1")) for name in ("NTASKS", "NNODES"))
    if tasks % nodes:
        raise UsageError(
            f"compute=slurm: {tasks} tasks on {nodes} nodes. "
            "Give --ntasks-per-node, the same for each."
        )
    return tasks // nodes, nodes


def _keep_quiet() -> None:
    """Leave messages, and Ctrl-C until the first step, to rank 0.

    A terminal sends Ctrl-C to all processes.
    """
    StatusLine.as_log = True
    for name in ("", "segkit"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
