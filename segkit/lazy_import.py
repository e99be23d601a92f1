"""Public names of a package that are imported on first use (PEP 562).

The package segkit does the same without this module, so that importing it imports nothing else.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of ``package``.

    Args:
        package: name of the package, for the error message.
        homes: module of each public name.

    >>> from_math = lazy_names("numbers", {"pi": "math"})
    >>> round(from_math("pi"), 2)
    3.14
    """

    def import_name(name: str) -> Any:
        """Import a public name from its module on first use."""
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return import_name
