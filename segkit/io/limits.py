"""Checks that a scan fits into the free memory and has finite voxels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError, OutOfMemoryError
from segkit.io.memory import blocks
from segkit.units import size_text

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")
_REPLACE = (
    "Replace them (in a scan by the value of air: -1000 in CT, usually 0 in MR; in a label map by "
    "0) and save the file again."
)


def available_memory() -> int | None:
    """Return the bytes of memory that this process may still use; None if they are unknown."""
    sizes = [size for size in (_system_memory(), _container_memory()) if size is not None]
    return min(sizes, default=None)


def _system_memory() -> int | None:
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        return next(
            int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")
        )
    except (OSError, StopIteration, ValueError):
        return _physical_memory()


def _physical_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def _container_memory() -> int | None:
    """Return the bytes left below the memory limit of the container (cgroup version 2).

    Pages of the file cache count as free, because the kernel reclaims them when memory runs short.
    """
    try:
        limit, used = (
            int((_CGROUP / name).read_text(encoding="ascii"))
            for name in ("memory.max", "memory.current")
        )
    except (OSError, ValueError):  # there is no limit, or its value is "max"
        return None
    return limit - used + min(used, _droppable_pages())


def _droppable_pages() -> int:
    try:
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, StopIteration, ValueError):
        return 0


def resident_memory() -> int:
    """Return the bytes of memory that this process uses (its resident set); 0 if unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError, ValueError):
        return 0


def check_memory(where: str | Path, needed: int) -> None:
    """Check that a scan fits into the free memory.

    Args:
        where: the file, for the error message.
        needed: bytes that reading the scan takes.

    Raises:
        InputError: less memory is free.
    """
    free = available_memory()
    if free is not None and needed > free:
        raise InputError(
            where,
            expected=f"a scan that fits into the {size_text(free)} of free memory",
            found=f"a header that promises {size_text(needed)} of voxels",
            remedy="If the scan really is that large, use a machine with more memory or crop it; "
            "otherwise the file is damaged.",
        )


def require_memory(where: str | Path, needed: int, what: str, *, limit: int | None = None) -> None:
    """Check that there is enough memory for an operation.

    Args:
        where: the file, for the error message.
        needed: bytes that the operation takes.
        what: plural noun for the data that take the memory, for the error message.
        limit: largest number of bytes that may be used, even if more are free.

    Raises:
        OutOfMemoryError: ``needed`` exceeds the limit or the free memory.
    """
    available = min(
        (size for size in (limit, available_memory()) if size is not None), default=None
    )
    if available is not None and needed > available:
        raise OutOfMemoryError(
            f"{where}: {what} take {size_text(needed)}, and {size_text(available)} may be used. "
            "Use a machine with more memory, or crop the scan."
        )


def check_finite(where: str | Path, array: NDArray[Any]) -> None:
    """Check that no voxel is NaN or infinite; ``array`` may have any shape.

    Raises:
        InputError: there are such voxels.
    """
    if array.dtype.kind != "f":
        return
    finite = sum(int(np.count_nonzero(np.isfinite(array[box]))) for box in blocks(array))
    if finite < array.size:
        raise InputError(
            where,
            expected="a number in every voxel",
            found=f"{array.size - finite} of {array.size} that are NaN or infinite",
            remedy=_REPLACE if finite else "No voxel has a number: export or copy it again.",
        )
