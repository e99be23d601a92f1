"""Memory sizes as text and numbers, and checks of numbers that a user has written.

Sizes are decimal: 1 GB is 10^9 bytes and 1 GiB is 2^30 bytes. True and False are not numbers.
"""

from __future__ import annotations

import math
import re
from typing import Any

from segkit.errors import UsageError

_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def size_text(size: float) -> str:
    """Return a size in bytes as text, rounded to one decimal.

    >>> size_text(3.2e9)
    '3.2 GB'
    """
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} bytes" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def parse_size(text: str) -> int:
    """Return the number of bytes of a size such as ``4GB``, ``512MiB`` or ``1.5G``.

    >>> parse_size("1.5GB")
    1500000000

    Raises:
        UsageError: ``text`` is not a size.
    """
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT]?)(i?)B?\s*", text, flags=re.IGNORECASE)
    if not match:
        raise UsageError(f"{text!r} is not a size. Write it like 4GB or 512MB.")
    return int(float(match[1]) * (1024 if match[3] else 1000) ** _POWER[match[2].upper()])


def is_number(value: Any) -> bool:
    """Return whether ``value`` is a finite int or float.

    >>> is_number(1.5), is_number(True), is_number("1")
    (True, False, False)
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any, least: float = -math.inf, most: float = math.inf) -> bool:
    """Return whether ``value`` is an int from ``least`` to ``most``, both included.

    >>> is_whole(2, 1), is_whole(0, 1), is_whole(2.0)
    (True, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
