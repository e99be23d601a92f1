"""Files whose content is missing: broken links, and pointers of git-annex and Git LFS."""

from __future__ import annotations

import os
from pathlib import Path

from segkit.errors import InputError

_POINTER_BYTES = 1024
"""Largest size of a pointer in bytes."""
_POINTERS = {
    b"version https://git-lfs": "a pointer of Git LFS without content",
    b"/annex/objects/": "a pointer of git-annex without content",
}


def why_unfetched(path: Path) -> str:
    """Return the reason why the content of a file is missing, as text for messages.

    The result is "" if the file has content, does not exist, or cannot be read.
    """
    try:
        if os.path.islink(path) and not os.path.exists(path):
            return f"a link to {os.readlink(path)}, which is not there"
        if os.path.isfile(path) and 0 < os.path.getsize(path) <= _POINTER_BYTES:
            content = path.read_bytes()
            return next(
                (reason for start, reason in _POINTERS.items() if content.startswith(start)), ""
            )
    except OSError:  # the reader of the file reports the problem
        return ""
    return ""


def unfetched_error(path: Path, others: int = 0) -> InputError:
    """Return the error for a file without content.

    Args:
        path: the file.
        others: number of further files whose content is missing.
    """
    reason = why_unfetched(path)
    more = f"; {others} more files are like it" if others else ""
    return InputError(
        path,
        expected="a file with its content",
        found=f"{reason}{more}",
        remedy=how_to_fetch(reason),
    )


def how_to_fetch(reason: str) -> str:
    """Return the remedy for a file whose content is missing, given the reason (`why_unfetched`)."""
    if "annex" in reason:
        return "The content was not fetched: run 'datalad get' or 'git annex get' in its folder."
    if "LFS" in reason:
        return "The content was not fetched: run 'git lfs pull' in its folder."
    return "Copy the file to the target of the link, or replace the link with the file."
