"""Predict: a trained model and a scan make a label map on the scan's own grid.

What needs torch is imported when it is first used, so that a command line is checked and explained without.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segkit.inference.ensemble import check_ensemble
    from segkit.inference.models import read_models
    from segkit.inference.predictor import Predictor, load

__all__ = ["Predictor", "check_ensemble", "load", "read_models"]

_HOMES = {
    "Predictor": "segkit.inference.predictor",
    "check_ensemble": "segkit.inference.ensemble",
    "load": "segkit.inference.predictor",
    "read_models": "segkit.inference.models",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'segkit.inference' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
