"""Folder of prepared cases, which all runs share and which outlives them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from segkit.files.atomic import write_text

if sys.platform != "win32":  # Windows has no limit of open files
    import resource

TAG = "CACHEDIR.TAG"
TAG_TEXT = """\
Signature: 8a477f597d28d172789f06886806bc55
# segkit keeps prepared cases (voxels of patients) and measurements here
# instead of computing them again.
# The folder may be deleted when no training uses it. Backup programs
# that know this file leave it out.
"""
"""Content of the tag file of the Cache Directory Tagging Specification (bford.info/cachedir)."""
SPARE = 256
"""Number of files that a training opens besides the prepared cases."""


def mark_store(folder: Path) -> None:
    """Create the folder, with a tag file that marks it as a cache for users and backup programs.

    Raises:
        InputError: the folder cannot be written to.
    """
    if not (folder / TAG).is_file():
        write_text(folder / TAG, TAG_TEXT)


def store_size(folder: Path) -> int:
    """Return the bytes of all files in the folder, except those that are being written."""
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries if not entry.name.startswith("."))


def allow_open_files(count: int) -> None:
    """Raise the limit of open files so that ``count`` files can stay mapped, if the system allows.

    A mapped file counts as open.
    """
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + SPARE + len(os.listdir("/dev/fd"))
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
