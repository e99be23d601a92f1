"""Predict: a trained model and a scan make a label map on the scan's own grid."""

from __future__ import annotations

from segkit.inference.predictor import Predictor, load

__all__ = ["Predictor", "load"]
