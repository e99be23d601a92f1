"""Memory of this machine, and of the container or job that limits it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from segkit.machine.cgroup import MemoryLimit, memory_limit
from segkit.machine.system_files import ROOT, fields_of, number_field


@dataclass(frozen=True)
class Memory:
    """Memory in bytes; None where it is unknown."""

    total: int | None
    available: int | None
    """Bytes that programs may still use, as Linux estimates it, whatever the limit."""
    swap: int | None
    limit: MemoryLimit | None
    """Limit of a container or job."""
    address_space: int | None = None
    """Limit of the addresses of this process (ulimit -v); None if there is none."""

    @property
    def free(self) -> int | None:
        """Number of bytes that this process may still use; None if it is unknown."""
        sizes = (self.available, self.limit.free if self.limit else None)
        return min((size for size in sizes if size is not None), default=None)


def memory(root: Path = ROOT) -> Memory:
    """Return the memory that /proc/meminfo and the control groups state."""
    fields = fields_of(root / "proc/meminfo")
    total, available, swap = (
        None if size is None else 1024 * size
        for size in (
            number_field(fields, name) for name in ("MemTotal", "MemAvailable", "SwapTotal")
        )
    )
    if available is None:
        total = available = total or _physical_memory()
    return Memory(total, available, swap, memory_limit(root), _address_space())


def _address_space() -> int | None:
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - Windows has no such module

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit in (resource.RLIM_INFINITY, -1) else limit


def _physical_memory() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None
