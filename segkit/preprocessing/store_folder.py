"""The folder of prepared cases, which outlives the runs and is shared by them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from segkit.files.atomic import write_text

if sys.platform != "win32":  # which has no such limit
    import resource

TAG = "CACHEDIR.TAG"
TAG_TEXT = """\
Signature: 8a477f597d28d172789f06886806bc55
# segkit keeps here what it would else compute again: prepared cases (voxels of patients) and measurements.
# The folder may be deleted whenever no training uses it. Programs for backup that know this file leave it out.
"""
"""See bford.info/cachedir."""
SPARE = 256
"""Files that a training opens besides."""


def mark_store(folder: Path) -> None:
    """Make the folder, and say in it what it is.

    Raises:
        InputError: a folder that cannot be written.
    """
    if not (folder / TAG).is_file():
        write_text(folder / TAG, TAG_TEXT)


def store_size(folder: Path) -> int:
    """Bytes of all files in it, without those that another process is just writing."""
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries if not entry.name.startswith("."))


def allow_open_files(count: int) -> None:
    """Let this process hold ``count`` more files open, as far as the system allows; a mapped file stays open."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE + len(os.listdir("/dev/fd"))
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
