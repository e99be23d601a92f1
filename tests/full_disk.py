"""A disk that is full after the first file of a report."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path


def full_after_one_file() -> Callable[[Path, Path], None]:
    """Return a function in place of os.replace that lets one file be written."""
    replace, written = os.replace, list[Path]()

    def once(source: Path, target: Path) -> None:
        if written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written.append(target)
        replace(source, target)

    return once
