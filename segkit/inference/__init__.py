"""Predict: a trained model turns a scan into a label map on the scan's own grid.

Names that need torch are imported when they are first used, so that a command line is checked, and
its help shown, without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from segkit.lazy_import import lazy_names

if TYPE_CHECKING:
    from segkit.inference.ensemble import check_ensemble
    from segkit.inference.loading import load, read_models
    from segkit.inference.predictor import Predictor

__all__ = ["Predictor", "check_ensemble", "load", "read_models"]

__getattr__ = lazy_names(
    __name__,
    {
        "Predictor": "segkit.inference.predictor",
        "check_ensemble": "segkit.inference.ensemble",
        "load": "segkit.inference.loading",
        "read_models": "segkit.inference.loading",
    },
)
