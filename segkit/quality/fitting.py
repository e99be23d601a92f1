"""Fit of the expected Dice on cases that the network was not trained on.

Step one is a ridge regression of the logit of the Dice, relative to what is typical of the label,
with weights that are at least 0. Step two is an isotonic regression of the Dice on the score of
step one (pool adjacent violators), with straight lines between the means of its blocks, so that
scans keep their order. Cases as they are weigh as much as all their degraded copies together.

How accurate it is, `segkit.quality.accuracy` measures on cases that the fit did not use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from segkit.quality.expected_dice import ExpectedDice, Typical
from segkit.quality.features import AS_IT_IS, SIGNS, Features

RIDGE = 1.0
"""Penalty of the squared weights of standardized features."""
DICE_LIMITS = 0.02, 0.98
"""Limits of a Dice before its logit."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """One label of one copy of a validation case: its features and its true Dice."""

    case: str
    degradation: str
    label: str
    features: Features
    dice: float


def fit_expected_dice(examples: Sequence[Example]) -> ExpectedDice:
    """Return the estimator fitted to examples, without errors; some must be of cases as they are.

    Labels that no case as it is has are left out.
    """
    labels = _typical(examples)
    used = [example for example in examples if example.label in labels]
    weights = example_weights(used)
    relative = np.array([one.dice / max(labels[one.label].dice, 0.01) for one in used])
    signs, center = np.array(SIGNS), np.array([labels[one.label].features for one in used])
    signed = (np.array([one.features.values for one in used]) - center) * signs
    target = _logit(np.array([one.dice for one in used]))
    target -= _logit(np.array([labels[one.label].dice for one in used]))
    coefficients = _nonnegative_ridge(signed, target, weights)
    curve = _isotonic(signed @ coefficients, relative, weights)
    return ExpectedDice(tuple(map(float, coefficients)), curve, labels, ((0.0, 0.0),))


def _typical(examples: Sequence[Example]) -> dict[str, Typical]:
    by_label: dict[str, list[Example]] = {}
    for example in examples:
        if example.degradation == AS_IT_IS:
            by_label.setdefault(example.label, []).append(example)
    return {
        label: Typical(
            float(np.mean([one.dice for one in ones])),
            tuple(np.mean([one.features.values for one in ones], axis=0).tolist()),
        )
        for label, ones in by_label.items()
    }


def example_weights(examples: Sequence[Example]) -> Array:
    """Return weights with which cases as they are weigh as much as all degraded copies."""
    as_it_is = np.array([one.degradation == AS_IT_IS for one in examples])
    count, degraded = int(as_it_is.sum()), int((~as_it_is).sum())
    return np.where(as_it_is, max(1.0, degraded / max(1, count)), 1.0)


def _nonnegative_ridge(signed: Array, target: Array, weights: Array) -> Array:
    """Return the weights of signed features, at least 0, without an intercept: 0 is typical."""
    scale = signed.std(axis=0)
    scale[scale < 1e-9] = np.inf  # a feature that never differs gets no weight
    root = np.sqrt(weights)[:, None]
    rows = np.vstack([signed / scale * root, np.sqrt(RIDGE) * np.eye(len(scale))])
    values = np.concatenate([target * root[:, 0], np.zeros(len(scale))])
    found, _ = nnls(rows, values)
    return np.asarray(found / scale)


def _isotonic(scores: Array, values: Array, weights: Array) -> tuple[tuple[float, float], ...]:
    """Return mean score and mean value of each block of the isotonic regression, rising."""
    blocks: list[Array] = []
    for index in np.argsort(scores, kind="stable"):
        weight = weights[index]
        blocks.append(np.array([weight * scores[index], weight * values[index], weight]))
        while len(blocks) > 1 and _mean(blocks[-2]) >= _mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] = blocks[-1] + last
    return tuple((float(block[0] / block[2]), _mean(block)) for block in blocks)


def _mean(block: Array) -> float:
    return float(block[1] / block[2])


def _logit(dice: Array) -> Array:
    limited = np.clip(dice, *DICE_LIMITS)
    return np.asarray(np.log(limited / (1 - limited)))
