"""Limits that Linux sets on a container or a job: control groups of version 1 and 2.

A process belongs to a group, whose limits and those of all groups above it hold. In a container the
group of the container is usually seen as the topmost one; outside, and in a job of SLURM, the group
is found by the path in /proc/self/cgroup (cgroups(7)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from segkit.machine.system_files import ROOT, fields_of, number_field, number_in, text_of

NO_LIMIT = 1 << 60
"""Version 1 writes a number near 2^63 where there is no limit."""
_FOLDER = Path("sys/fs/cgroup")


@dataclass(frozen=True)
class MemoryLimit:
    """Memory limit of a control group."""

    limit: int
    """Bytes that all processes of the group may use."""
    used: int
    """Bytes that they use, with the file cache."""
    reclaimable: int = 0
    """Bytes of the file cache that the kernel frees when memory runs short."""

    @property
    def free(self) -> int:
        """Number of bytes that may still be used.

        >>> MemoryLimit(3000, 1000, 400).free
        2400
        """
        return self.limit - self.used + min(self.used, self.reclaimable)


def memory_limit(root: Path = ROOT) -> MemoryLimit | None:
    """Return the limit that leaves the least free memory; None if there is no limit."""
    limits = [
        *(_limit(folder, "memory.max", "memory.current") for folder in _folders(root, "")),
        *(
            _limit(folder, "memory.limit_in_bytes", "memory.usage_in_bytes")
            for folder in _folders(root, "memory")
        ),
    ]
    return min(filter(None, limits), key=lambda limit: limit.free, default=None)


def _limit(folder: Path, limit_name: str, used_name: str) -> MemoryLimit | None:
    limit, used = number_in(folder / limit_name), number_in(folder / used_name)
    if limit is None or used is None or limit >= NO_LIMIT:
        return None
    counts = fields_of(folder / "memory.stat", " ")
    # In version 1 the plain count leaves out the groups below.
    reclaimable = number_field(counts, "total_inactive_file")
    if reclaimable is None:
        reclaimable = number_field(counts, "inactive_file")
    return MemoryLimit(limit, used, reclaimable or 0)


def cpu_quota(root: Path = ROOT) -> float | None:
    """Return how many cores may be used at the same time, such as 1.5; None if there is no limit.

    The number is a share of time: all cores may be used, but only for a part of each period.
    """
    quotas = [_quota(text_of(folder / "cpu.max").split()) for folder in _folders(root, "")]
    for folder in _folders(root, "cpu"):
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        quotas.append(_quota([text_of(folder / name).strip() for name in names]))
    return min(filter(None, quotas), default=None)


def _quota(words: list[str]) -> float | None:
    """Return microseconds per period; None for "max 100000" and for -1.

    >>> _quota(["150000", "100000"])
    1.5
    """
    if len(words) != 2 or not all(word.isdigit() for word in words) or int(words[1]) == 0:
        return None
    return int(words[0]) / int(words[1])


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the groups of this process, from its own to the topmost.

    Args:
        root: folder that stands for /.
        controller: controller of version 1, such as memory; "" for version 2.
    """
    mount = root / _FOLDER / controller
    if not controller and (mount / "unified").is_dir():
        mount = mount / "unified"  # both versions are mounted
    group = Path(_group(root, controller).lstrip("/"))
    for path in (group, *group.parents):
        if ".." not in path.parts and (mount / path).is_dir():
            yield mount / path


def _group(root: Path, controller: str) -> str:
    """Return the group of this process, from a line ``number:controllers:group``."""
    for line in text_of(root / "proc/self/cgroup").splitlines():
        number, controllers, group = [*line.split(":", 2), "", ""][:3]
        if controller in controllers.split(",") if controller else number == "0":
            return group
    return ""
