"""State of folders: whether they exist and can be written, and the free space of their disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from segkit.machine.system_files import ROOT, text_of

TRIAL_BYTES = 4096
"""Size of the file that is written for a trial: a full disk creates files, but holds no bytes."""


@dataclass(frozen=True)
class Folder:
    """A folder, and the disk that holds it."""

    exists: bool
    readable: bool
    problem: str
    """Reason for which it cannot be written, in the words of the system; "" if it can be."""
    total: int | None
    """Bytes of the disk; None if they are unknown."""
    free: int | None
    """Bytes that this user may still write to the disk; None if they are unknown."""

    @property
    def writable(self) -> bool:
        """True if a file can be written there; of a folder that is missing, if it can be made."""
        return not self.problem


def folder(path: Path, *, to_write: bool = True) -> Folder:
    """Return the state of a folder.

    A file without a name is written there and vanishes, because permissions do not tell everything:
    a disk may be mounted read-only, full, or over a quota. Of a folder that does not exist, the
    nearest one above it is tried.

    Args:
        path: the folder.
        to_write: try to write there; otherwise it counts as writable.
    """
    exists = os.path.isdir(path)  # False, and no error, for a folder that is out of reach
    readable = exists and os.access(path, os.R_OK | os.X_OK)
    try:
        nearest = next(above for above in (path, *path.absolute().parents) if _exists(above))
    except OSError as error:  # the current folder was removed
        return Folder(False, False, (error.strerror or str(error)).lower(), None, None)
    problem = _refusal(nearest) if to_write else ""
    try:
        usage = shutil.disk_usage(nearest)
    except OSError:
        return Folder(exists, readable, problem, None, None)
    return Folder(exists, readable, problem, usage.total, usage.free)


def unmounted(path: Path) -> str:
    """Return the folder of an image in which ``path`` would be lost with the container, or "".

    It is the folder that $SEGKIT_MOUNT names, as segkit's image does, if ``path`` is in it and
    nothing is mounted there. Permissions do not tell: root may write to it.
    """
    name = os.environ.get("SEGKIT_MOUNT", "")
    if not name:
        return ""
    folders = [path.absolute(), *path.absolute().parents]
    if Path(name) not in folders:
        return ""
    inside = folders[: folders.index(Path(name)) + 1]
    return "" if any(os.path.ismount(each) for each in inside) else name


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder above it is closed to this user: writing will say so
        return True


def _refusal(path: Path) -> str:
    try:
        with tempfile.TemporaryFile(dir=path, buffering=0) as file:
            file.write(bytes(TRIAL_BYTES))
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


def root_is_read_only(root: Path = ROOT) -> bool | None:
    """Return whether / is mounted read-only, from /proc/self/mounts; None if it is unknown."""
    lines = [line.split() for line in text_of(root / "proc/self/mounts").splitlines()]
    # A later mount covers an earlier one.
    options = [words[3].split(",") for words in lines if len(words) > 3 and words[1] == "/"]
    return "ro" in options[-1] if options else None
