"""Expected Dice of the labels of a scan, from signs that need no reference.

    dice = typical * curve(score),  score = sum of weight * sign * (feature - typical feature)

Weights and curve are shared by all labels, because validation cases are few; what is typical of a
label is its mean over validation cases as they are. Weights are at least 0 and the curve never
falls, so that a worse sign never gives a better Dice, also far from what was fitted. The fit is
`segkit.quality.fitting`, the storage `segkit.quality.entry`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segkit.plans.plan import Plan
from segkit.quality.features import SIGNS, Features


@dataclass(frozen=True)
class Typical:
    """Means of one label over validation cases as they are."""

    dice: float
    features: tuple[float, ...]


@dataclass(frozen=True)
class ExpectedDice:
    """Estimator of the Dice of labels from their features."""

    weights: tuple[float, ...]
    """Weight of each feature in the score, at least 0."""
    curve: tuple[tuple[float, float], ...]
    """Points (score, share of the typical Dice), rising; straight lines between them."""
    labels: Mapping[str, Typical]
    """Typical values of each label; a label that no validation case has is absent."""
    errors: tuple[tuple[float, float], ...]
    """Points (expected Dice, mean absolute error) of cases that the fit did not use."""

    def score(self, label: str, features: Features) -> float:
        """Return the score of a label of the estimator; 0 is typical, less is worse."""
        typical = self.labels[label].features
        terms = zip(self.weights, SIGNS, features.values, typical, strict=True)
        return sum(weight * sign * (value - usual) for weight, sign, value, usual in terms)

    def dice(self, label: str, features: Features) -> float:
        """Return the expected Dice, 0 to 1, of a label of the estimator that has voxels.

        >>> usual = Typical(0.8, (2.0, 0.0, 0.0, 0.0))
        >>> line = ExpectedDice((1.0, 1.0, 0.0, 0.0), ((-2.0, 0.0), (0.0, 1.0)), {"a": usual}, ())
        >>> line.dice("a", Features(1.5, 0.5, 0.0, 0.0))
        0.4
        """
        shares = np.array(self.curve)
        share = np.interp(self.score(label, features), shares[:, 0], shares[:, 1])
        return float(min(max(share * self.labels[label].dice, 0.0), 1.0))

    def error(self, dice: float) -> float:
        """Return the mean absolute error of an expected Dice."""
        points = np.array(self.errors)
        return float(np.interp(dice, points[:, 0], points[:, 1]))


@dataclass(frozen=True)
class LabelQuality:
    """Expected Dice of one label of a scan; None where it cannot be said."""

    dice: float | None
    error: float | None
    """Mean absolute error of such an expected Dice."""


def expected(
    estimators: Sequence[ExpectedDice],
    features: Mapping[str, Features],
    plan: Plan,
    voxels: Mapping[str, int],
) -> dict[str, LabelQuality]:
    """Return the expected Dice of each label: the mean over the models of an ensemble.

    A label without voxels has 0 if every training case had it, else none: it may be absent.

    Args:
        estimators: that of each model.
        features: features of each label.
        plan: the plan of the model.
        voxels: number of voxels of each label.
    """
    result = {}
    for name, found in features.items():
        having = [estimator for estimator in estimators if name in estimator.labels]
        if not having or len(having) < len(estimators):
            result[name] = LabelQuality(None, None)
        elif not voxels[name]:
            result[name] = LabelQuality(0.0, None) if _always_there(name, plan) else _UNKNOWN
        else:
            dice = float(np.mean([estimator.dice(name, found) for estimator in having]))
            error = max(estimator.error(dice) for estimator in having)
            result[name] = LabelQuality(round(dice, 4), round(error, 4))
    return result


_UNKNOWN = LabelQuality(None, None)


def _always_there(name: str, plan: Plan) -> bool:
    """Return whether every training case has a label."""
    if plan.training is None or plan.ignore is not None:
        return False
    usual = plan.training.labels.get(name)
    return usual is not None and usual.cases == plan.training.cases
