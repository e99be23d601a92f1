"""Importance of each axis for Dice, and how large it would be by chance.

PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255) compares where the best points lie on an axis
with where all of them lie. With few points every axis seems to matter a little. So the results are
also shuffled among the points many times: an axis whose importance is not larger than most of those
has not been shown to matter. fANOVA, Optuna's default, needs scikit-learn and is not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.studies.search.optuna_parts import (
    distributions_of,
    load_optuna,
    new_study,
)
from segkit.studies.search.space import Point, Space

LEAST_POINTS = 12
"""Number of points with results below which importance is not computed."""
BEST_SHARE = 0.25
"""Share of the points that count as the best ones."""
SHUFFLES = 99


@dataclass(frozen=True)
class Importance:
    """Importance of an axis: its share of that of all axes."""

    axis: str
    share: float
    p: float
    """Share of shuffles, the true order among them, in which it is as large or larger."""


def importances(
    space: Space, points: Sequence[Point], dice: Sequence[float]
) -> list[Importance] | str:
    """Return the importance of each axis, the largest first; or why it cannot be computed.

    Args:
        space: the axes.
        points: the points that have been trained for equally many steps.
        dice: the result of each.
    """
    free = [axis.name for axis in space.axes if len({point[axis.name] for point in points}) > 1]
    if len(points) < LEAST_POINTS:
        return f"{len(points)} points have a result, and {LEAST_POINTS} are needed"
    if len(free) < 2:
        return "only one axis varies" if free else "no axis varies"
    if len(set(dice)) < 2:
        return "all points have the same Dice"
    found = _shares(space, points, dice, free)
    random = np.random.default_rng(0)
    shuffled = [
        _shares(space, points, list(random.permutation(dice)), free) for _ in range(SHUFFLES)
    ]
    rows = [
        Importance(name, share, _p(share, [each[name] for each in shuffled]))
        for name, share in found.items()
    ]
    return sorted(rows, key=lambda row: (-row.share, row.axis))


def _p(value: float, shuffled: Sequence[float]) -> float:
    return (1 + sum(other >= value for other in shuffled)) / (1 + len(shuffled))


def _shares(
    space: Space, points: Sequence[Point], dice: Sequence[float], axes: Sequence[str]
) -> Mapping[str, float]:
    optuna = load_optuna()
    study = new_study(("maximize",))
    distributions = distributions_of(space)
    study.add_trials(
        [
            optuna.trial.create_trial(
                value=float(value), params=dict(point), distributions=distributions
            )
            for point, value in zip(points, dice, strict=True)
        ]
    )
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=BEST_SHARE)
    shares: Any = optuna.importance.get_param_importances(
        study, evaluator=evaluator, params=list(axes)
    )
    return {str(name): float(share) for name, share in shares.items()}
