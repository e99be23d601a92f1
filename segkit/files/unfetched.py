"""Files whose content is not there: links that lead nowhere, and pointers of git-annex and Git LFS."""

from __future__ import annotations

import os
from pathlib import Path

from segkit.errors import InputError

_POINTER_BYTES = 1024
"""No pointer is longer."""
_POINTERS = {
    b"version https://git-lfs": "a pointer of Git LFS without content",
    b"/annex/objects/": "a pointer of git-annex without content",
}


def why_unfetched(path: Path) -> str:
    """Return in words why a file has no content of its own; "" where it has one, or is not there at all."""
    try:
        if os.path.islink(path) and not os.path.exists(path):
            return f"a link to {os.readlink(path)}, which is not there"
        if os.path.isfile(path) and 0 < os.path.getsize(path) <= _POINTER_BYTES:
            content = path.read_bytes()
            return next(
                (words for start, words in _POINTERS.items() if content.startswith(start)), ""
            )
    except OSError:  # whoever reads the file says what is wrong with it
        return ""
    return ""


def unfetched_error(path: Path, others: int = 0) -> InputError:
    """Return the error for a file without content, and perhaps ``others`` like it."""
    found = why_unfetched(path)
    more = f"; {others} more files are like it" if others else ""
    return InputError(
        path, expected="a file with its content", found=f"{found}{more}", remedy=fetch(found)
    )


def fetch(found: str) -> str:
    """Return what to do about a file that was ``found`` without content."""
    if "annex" in found:
        return "The content was not fetched: run 'datalad get' or 'git annex get' in its folder."
    if "LFS" in found:
        return "The content was not fetched: run 'git lfs pull' in its folder."
    return "Copy the file to where the link leads, or replace the link by the file."
