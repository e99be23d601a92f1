"""Comparison of label maps with references: overlap, surface distances and volumes."""

from segkit.evaluation.compare import Comparison, compare
from segkit.evaluation.evaluate import Evaluation, evaluate

__all__ = ["Comparison", "Evaluation", "compare", "evaluate"]
