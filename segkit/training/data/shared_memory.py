"""Number of worker processes whose batches fit into shared memory: a container has 64 MB."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from segkit.units import size_text

log = logging.getLogger(__name__)

FOLDER = Path("/dev/shm")
"""Where Linux keeps shared memory; elsewhere it has no limit of its own."""
BYTES_PER_VALUE = 4
"""Bytes of a value of the image, and the most of a label."""
AHEAD = 2
"""Batches that a worker makes ahead: the ``prefetch_factor`` of a DataLoader."""
IN_USE = 2
"""Batches that are on their way to the network."""


def batch_bytes(patches: int, channels: int, size: Sequence[int]) -> int:
    """Return the largest size of a batch: its images, and its labels as another channel.

    >>> batch_bytes(2, 1, (128, 128, 128)) / 2**20
    32.0
    """
    return patches * (channels + 1) * math.prod(size) * BYTES_PER_VALUE


def workers_that_fit(workers: int, batch: int, free: int | None) -> int:
    """Return how many of the workers can keep their batches in ``free`` bytes; None has no limit.

    >>> workers_that_fit(8, 10, None), workers_that_fit(8, 10, 1000), workers_that_fit(8, 10, 64)
    (8, 8, 2)
    """
    if free is None:
        return workers
    return max(0, min(workers, (free // batch - IN_USE) // AHEAD))


def free_shared_memory(folder: Path = FOLDER) -> int | None:
    """Return the free bytes of shared memory; None where it has no limit of its own."""
    return shutil.disk_usage(folder).free if folder.is_dir() else None


def fitting_workers(workers: int, batch: int, free: int | None) -> int:
    """Return as many of the workers as fit, and warn if these are fewer.

    A worker that finds no room ends the training with a bus error.
    """
    fitting = workers_that_fit(workers, batch, free)
    if fitting < workers and free is not None:
        log.warning(
            "%d of %d worker processes cut patches, because a batch takes %s, and %s of shared"
            " memory (/dev/shm) are free. In a container, more of it is faster:"
            " docker run --shm-size 2g.",
            fitting,
            workers,
            size_text(batch),
            size_text(free),
        )
    return fitting
