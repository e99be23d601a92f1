"""NVIDIA's driver and GPUs, from the files of the driver, without starting it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from segkit.machine.system_files import ROOT, fields_of, text_of

_VERSION = re.compile(r"Kernel Module\b.*?\s(\d+\.\d+(?:\.\d+)?)\s")

OTHER_DEVICES = ("dxg", "nvhost-gpu")
"""Files in /dev of the GPU in the Windows Subsystem for Linux, and on Jetson."""


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver."""

    version: str
    """Version such as 570.86.10; "" without a driver."""
    gpus: tuple[str, ...]
    """Models of the GPUs that the driver runs, which a container need not be given."""
    devices: int
    """Number of GPUs that this process can open: files /dev/nvidia0, /dev/nvidia1 and so on.

    The Windows Subsystem for Linux and Jetson have one file of another name, and no version.
    """

    @property
    def major(self) -> int | None:
        """First number of the version, which decides which CUDA it supports; None if unknown."""
        first = self.version.partition(".")[0]
        return int(first) if first.isdigit() else None


def driver(root: Path = ROOT) -> Driver:
    """Return the driver, its GPUs, and how many of them are handed to this process."""
    folder = root / "proc/driver/nvidia"
    version = _VERSION.search(text_of(folder / "version"))
    models = (
        fields_of(gpu / "information").get("Model", "") for gpu in sorted(folder.glob("gpus/*"))
    )
    devices = [path for path in (root / "dev").glob("nvidia*") if path.name[6:].isdigit()]
    count = len(devices) or sum((root / "dev" / name).exists() for name in OTHER_DEVICES)
    return Driver(version[1] if version else "", tuple(filter(None, models)), count)
