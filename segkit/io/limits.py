"""What a file may ask of the machine, and what its voxels must be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError, OutOfMemoryError
from segkit.io.memory_map import blocks
from segkit.units import size_text

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes of memory that this process may still take; None where the system does not say."""
    known = [amount for amount in (_system_memory(), _container_memory()) if amount is not None]
    return min(known) if known else None


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
    """What the container's own limit leaves (cgroup version 2); pages of files that can be dropped count as free."""
    try:
        limit, used = (
            int((_CGROUP / name).read_text(encoding="ascii"))
            for name in ("memory.max", "memory.current")
        )
    except (OSError, ValueError):  # no such limit, or the word "max"
        return None
    return limit - used + min(used, _droppable_pages())


def _droppable_pages() -> int:
    try:
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    except (OSError, StopIteration, ValueError):
        return 0


def resident_memory() -> int:
    """Bytes that this process holds; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError, ValueError):
        return 0


def check_memory(where: str | Path, needed: int) -> None:
    """Raise an InputError when reading takes ``needed`` bytes and the machine does not have them."""
    free = available_memory()
    if free is not None and needed > free:
        raise InputError(
            where,
            expected=f"a scan that fits into the {size_text(free)} of memory that are free",
            found=f"a header that promises {size_text(needed)} of voxels",
            remedy="A scan of that size needs a machine with more memory or must be cut; else the file is damaged.",
        )


def require_memory(where: str | Path, needed: int, what: str, *, limit: int | None = None) -> None:
    """Raise an OutOfMemoryError when ``what`` takes ``needed`` bytes and the machine, or ``limit``, has less."""
    known = [amount for amount in (limit, available_memory()) if amount is not None]
    if known and needed > min(known):
        raise OutOfMemoryError(
            f"{where}: {what} take {size_text(needed)}, and {size_text(min(known))} may be used. "
            "Take a machine with more memory, or cut the scan."
        )


def check_finite(where: str | Path, array: NDArray[Any]) -> None:
    """Raise an InputError when a voxel is NaN or infinite."""
    if array.dtype.kind != "f":
        return
    bad = array.size - sum(int(np.count_nonzero(np.isfinite(array[box]))) for box in blocks(array))
    if bad:
        raise InputError(
            where,
            expected="finite voxels",
            found=f"{bad} of {array.size} that are NaN or infinite",
            remedy="Replace them (in a scan by the value of air, in a label map by 0) and save the file again.",
        )
