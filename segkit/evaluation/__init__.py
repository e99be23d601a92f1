"""Compare label maps with references: overlap, surfaces and volumes per case and label."""

from segkit.evaluation.evaluate import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
