"""Facts about this machine that decide whether it can predict and train."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import segkit
from segkit.bundle.lookup import LATEST
from segkit.machine.account import Account, account
from segkit.machine.folders import Folder, folder, root_is_read_only
from segkit.machine.gpu import Driver, driver
from segkit.machine.memory import Memory, memory
from segkit.machine.processor import Processor, processor
from segkit.machine.system_files import ROOT

TEMPORARY = ("TMPDIR", "TEMP", "TMP")
"""Variables that name the temporary folder, in the order in which Python asks them."""


@dataclass(frozen=True)
class Facts:
    """Facts about this machine."""

    python: str
    system: str
    """Operating system and its version, such as Linux 6.8.0."""
    processor: Processor
    threads: int
    """Number of threads that PyTorch starts: OMP_NUM_THREADS, or one for each core."""
    memory: Memory
    driver: Driver
    shared_memory: Folder | None
    """Where processes share data; None if there is no such folder."""
    folders: dict[str, Folder]
    """State of each folder, by its role."""
    root_is_read_only: bool | None
    account: Account
    seconds_behind: float
    """How far the clock is behind the newest file of segkit, in seconds; 0 if it is not."""


def facts(root: Path = ROOT, environment: Mapping[str, str] = os.environ) -> Facts:
    """Return the facts of this machine.

    Args:
        root: folder that stands for / in the files of the system.
        environment: environment variables.
    """
    shared, cpu = root / "dev/shm", processor(root)
    threads = environment.get("OMP_NUM_THREADS", "")
    return Facts(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        processor=cpu,
        threads=int(threads) if threads.isdecimal() and int(threads) else cpu.allowed,
        memory=memory(root),
        driver=driver(root),
        shared_memory=folder(shared) if shared.is_dir() else None,
        folders=dict(_folders(environment)),
        root_is_read_only=root_is_read_only(root),
        account=account(environment),
        seconds_behind=_seconds_behind(),
    )


def _folders(environment: Mapping[str, str]) -> Iterator[tuple[str, Folder]]:
    """Yield role and state of each folder that segkit or its libraries write or read."""
    yield "current", folder(Path())
    yield "temporary", folder(_temporary(environment))
    home = environment.get("HOME")
    if home:
        yield "home", folder(Path(home))
    yield "runs", folder(LATEST.parent)
    named = environment.get("SEGKIT_MODELS", "").split(os.pathsep)
    for number, name in enumerate(filter(None, named), 1):
        yield f"models_{number}", folder(Path(name), to_write=False)


def _temporary(environment: Mapping[str, str]) -> Path:
    """Return the folder for temporary files; where it cannot be written, Python takes another."""
    return Path(next(filter(None, map(environment.get, TEMPORARY)), "/tmp"))


def _seconds_behind() -> float:
    newest = max(path.stat().st_mtime for path in Path(segkit.__file__).parent.glob("*.py"))
    return max(0.0, newest - time.time())
