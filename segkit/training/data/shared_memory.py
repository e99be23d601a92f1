"""Batches without shared memory, for containers that have little of it (64 MB by default).

The processes that cut patches put their batches into shared memory (/dev/shm on Linux), which is
fast. Where it is too small for the batches that wait, they send arrays through pipes instead: the
patches are the same, and each byte is copied twice.
"""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segkit.errors import OutOfMemoryError
from segkit.machine.folders import folder
from segkit.plans.plan import Plan
from segkit.units import size_text

log = logging.getLogger(__name__)

SHARED = Path("/dev/shm")
WAITING = 2
"""Number of batches that each process prepares in advance: the default of PyTorch."""
REMEDY = "Give it more (docker run --shm-size 2g), or use trainer.workers=0, also with --resume."


def shared_if_possible(number: torch.Tensor) -> torch.Tensor:
    """Return a tensor in shared memory, or unchanged where there is none to write to."""
    with suppress(RuntimeError):
        number.share_memory_()  # type: ignore[no-untyped-call]
    return number


def possible_workers(workers: int, *, is_shared: bool) -> int:
    """Return the number of processes, which is 0 where there is no shared memory, and log it.

    Processes need a few bytes of it in any case.
    """
    if not workers or is_shared:
        return workers
    log.info(
        "there is no shared memory (%s) to write to, which processes that cut patches need: the"
        " training cuts them itself, which is slower",
        SHARED,
    )
    return 0


def waiting_bytes(plan: Plan, batch_size: int, workers: int) -> int:
    """Return the bytes of the batches that wait in shared memory, and of the one in use.

    Args:
        plan: channels and patch.
        batch_size: patches of a batch of one rank.
        workers: number of processes.
    """
    voxel = 4 * len(plan.channels) + 8  # float32 images; labels have at most 8 bytes
    return (workers * WAITING + 1) * batch_size * voxel * math.prod(plan.patch)


def uses_pipes(plan: Plan, batch_size: int, workers: int, *, shared: Path = SHARED) -> bool:
    """Return whether batches must be sent through pipes, and say so in the log.

    Args:
        plan: channels and patch.
        batch_size: patches of the batches of all ranks of this machine.
        workers: number of processes of each rank.
        shared: folder of the shared memory, for tests.
    """
    if not workers or (shared == SHARED and sys.platform != "linux"):
        return False  # other systems have no such folder and no such limit
    state, needed = folder(shared), waiting_bytes(plan, batch_size, workers)
    free = 0 if state.problem or state.free is None else state.free
    if needed <= free:
        return False
    log.info(
        "shared memory (%s) has %s free, and the batches of %d processes would take %s: they are"
        " sent through pipes instead, which is slower. A container gets more of it with"
        " docker run --shm-size 2g.",
        SHARED,
        size_text(free),
        workers,
        size_text(needed),
    )
    return True


def as_arrays(patches: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a batch of arrays, which a process sends through a pipe, from single patches."""
    return {
        "image": np.stack([np.asarray(patch["image"]) for patch in patches]),
        "labels": np.stack([np.asarray(patch["labels"]) for patch in patches]),
        "case": [patch["case"] for patch in patches],
    }


def as_tensors(batch: dict[str, Any], *, pinned: bool) -> dict[str, Any]:
    """Return a batch of `as_arrays` as tensors, in pinned memory for a GPU."""
    tensors = {name: torch.from_numpy(batch[name]) for name in ("image", "labels")}
    if pinned:
        tensors = {name: tensor.pin_memory() for name, tensor in tensors.items()}
    return {**batch, **tensors}


def memory_error(error: RuntimeError) -> OutOfMemoryError | None:
    """Return what an error of the processes means, if memory has run out; otherwise None.

    The texts are those of PyTorch: its shared memory is full, or the system has ended a process.
    """
    text = str(error)
    if "shared memory" in text or "Bus error" in text:
        return OutOfMemoryError(
            f"the shared memory ({SHARED}) is full, with which the processes that cut patches pass"
            f" on their batches. {REMEDY}"
        )
    if "DataLoader worker" in text and "Killed" in text:
        return OutOfMemoryError(
            "the system has ended a process that cuts patches, as it does when memory runs out."
            " Use fewer trainer.workers, also with --resume; each of them takes memory."
        )
    return None
