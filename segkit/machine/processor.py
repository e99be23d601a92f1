"""Processor of this machine: model, cores that may be used, instructions for fast networks."""

from __future__ import annotations

import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from segkit.machine.cgroup import cpu_quota
from segkit.machine.system_files import ROOT, fields_of

INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX512_BF16",
    "amx_bf16": "AMX_BF16",
    "asimd": "NEON",
    "bf16": "BF16",
    "sve": "SVE",
}
"""Instructions that make networks fast, by their flag in /proc/cpuinfo; the last three of ARM."""


@dataclass(frozen=True)
class Processor:
    """Processor, and what this process may use of it."""

    model: str
    architecture: str
    cores: int
    """Number of cores of the machine, counting hardware threads."""
    allowed: int
    """Number of them on which this process may run."""
    quota: float | None
    """Number of cores that may be used at the same time, of a container or job; None: no limit."""
    instructions: tuple[str, ...] | None
    """Those of `INSTRUCTIONS` that it has; None if they are unknown."""

    @property
    def usable(self) -> int:
        """Number of threads that can run at the same time.

        >>> Processor("", "x86_64", 64, 16, 2.5, None).usable
        2
        """
        return max(1, min(self.allowed, math.floor(self.quota or self.allowed)))


def processor(root: Path = ROOT) -> Processor:
    """Return the processor that /proc/cpuinfo and the control groups state."""
    fields = fields_of(root / "proc/cpuinfo")
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    cores = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return Processor(
        processor_name(root),
        platform.machine(),
        cores,
        allowed,
        cpu_quota(root),
        tuple(name for flag, name in INSTRUCTIONS.items() if flag in flags) if flags else None,
    )


def processor_name(root: Path = ROOT) -> str:
    """Return the model of the processor as the system states it, or its architecture."""
    model = fields_of(root / "proc/cpuinfo").get("model name", "")
    return model or platform.processor() or platform.machine()
