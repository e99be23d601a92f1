"""User of this process: whether the system has an entry for it. Its name is not looked at."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

NAMING = ("LOGNAME", "USER", "LNAME", "USERNAME")
"""Variables from which Python's getpass takes a name before it asks the system for the entry."""


@dataclass(frozen=True)
class Account:
    """User of this process."""

    number: int | None
    """User number; None on Windows."""
    has_entry: bool
    """True if the system has an entry (passwd) for the number."""
    is_named: bool
    """True if one of `NAMING` is set."""


def account(environment: Mapping[str, str] = os.environ) -> Account:
    """Return the user of this process."""
    number = os.getuid() if hasattr(os, "getuid") else None
    return Account(number, _has_entry(number), any(environment.get(name) for name in NAMING))


def _has_entry(number: int | None) -> bool:
    if number is None or sys.platform == "win32":
        return True
    import pwd  # noqa: PLC0415 - Windows has no such module

    try:
        pwd.getpwuid(number)
    except KeyError:
        return False
    return True
