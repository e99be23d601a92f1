"""Many trainings and one answer: everything here calls `fit` or `train` several times.

The names are imported when they are first used: a sweep's words are checked before torch is needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segkit.studies.cross_validation import cross_validate

__all__ = ["cross_validate"]

_HOMES = {"cross_validate": "segkit.studies.cross_validation"}


def __getattr__(name: str) -> Any:
    """Import a study from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'segkit.studies' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
