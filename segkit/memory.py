"""How much memory this process may still take, and sizes in words. Standard library only."""

from __future__ import annotations

import re
from pathlib import Path

from segkit.errors import UsageError

_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_UNKNOWN = 1 << 62


def available_bytes() -> int:
    """Bytes that can still be taken: what the machine has free, and no more than the control group leaves.

    Where the system does not say (not Linux), a number that nothing reaches.
    """
    return min(_machine_free(), _group_free())


def size_text(size: float) -> str:
    """
    >>> size_text(3 * 2**30)
    '3.0 GiB'
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"


def parse_size(text: str) -> int:
    """Bytes of a size such as ``4GB``, ``512MiB`` or ``1.5G``; all units are powers of 1024.

    >>> parse_size("4GB") == 4 * 2**30
    True

    Raises:
        UsageError: not a size.
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT]?)(?:i?B)?\s*", text, flags=re.IGNORECASE)
    if not match:
        raise UsageError(f"{text!r} is not a size. Write it like 4GB or 512MB.")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def _machine_free() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return _UNKNOWN
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), _UNKNOWN)


def _group_free() -> int:
    # The page cache counts as used but gives way, so what it holds is free.
    root = Path("/sys/fs/cgroup")
    try:
        limit = (root / "memory.max").read_text(encoding="ascii").strip()
        used = int((root / "memory.current").read_text(encoding="ascii"))
        statistics = (root / "memory.stat").read_text(encoding="ascii")
    except (OSError, ValueError):
        return _UNKNOWN
    if not limit.isdigit():
        return _UNKNOWN
    cache = re.search(r"^inactive_file (\d+)$", statistics, flags=re.MULTILINE)
    return max(0, int(limit) - used + (int(cache[1]) if cache else 0))
