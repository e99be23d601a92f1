"""How well a label map agrees with a reference: overlap, surfaces, volumes; per case, per label and in the mean."""

from segkit.evaluation.evaluate import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
