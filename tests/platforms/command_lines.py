"""Start the command line of a descriptor in this process."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from segkit.cli import main


def start(words: str | Sequence[str], *more: str) -> int:
    """Start a command line, given as a shell command or as words, and return its exit code.

    The first word, the program, stays: Kaapana gives it to the image's entry point.
    """
    return main([*(shlex.split(words) if isinstance(words, str) else words), *more])
