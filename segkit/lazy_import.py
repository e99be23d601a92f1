"""Public names of a package that are imported when they are first used (PEP 562).

segkit itself does the same without this module: importing it imports nothing else.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of ``package``; ``homes`` says in which module each name lives.

    >>> from_math = lazy_names("numbers", {"pi": "math"})
    >>> round(from_math("pi"), 2)
    3.14
    """

    def imported(name: str) -> Any:
        """Import a public name from its module on first use."""
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return imported
