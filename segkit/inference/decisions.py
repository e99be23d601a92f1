"""What is decided by the scores of a voxel: its label, and how uncertain that is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.inference.restore import Decide, decide_by, label_dtype
from segkit.inference.uncertainty import entropy
from segkit.plans import Plan


@dataclass(frozen=True)
class Decision:
    """Something that is decided by the scores of a voxel, and the type that holds it."""

    decide: Decide
    dtype: np.dtype[Any]


def check_finite_scores(scores: NDArray[np.float32], where: Path, precision: str) -> None:
    """Raise an error where a network gives scores that are NaN or infinite, from which no label follows.

    Args:
        scores: (K, X, Y, Z) of some voxels.
        where: name of the scan in the message.
        precision: the number type that the network computes with.

    Raises:
        InputError: a score that is NaN or infinite.
    """
    # One sum is faster than asking each score, and NaN and infinity never leave it.
    with np.errstate(all="ignore"):
        if np.isfinite(scores.sum()) or np.isfinite(scores).all():
            return
    remedy = "The weights of the model are damaged or its training diverged: train it again."
    if precision != "float32":
        remedy = f"Numbers of {precision} may be too small for this model: predict with --precision float32. " + remedy
    raise InputError(
        where,
        expected="finite scores of the network",
        found=f"scores that are NaN or infinite, computed in {precision}",
        remedy=remedy,
    )


def decisions_of(plan: Plan, *, with_uncertainty: bool) -> list[Decision]:
    """The label first."""
    regions = bool(plan.regions)
    labels = Decision(decide_by(plan.label_values, regions=regions), label_dtype(plan.label_values))
    return [labels, Decision(partial(entropy, regions=regions), np.dtype(np.float32))][: 1 + with_uncertainty]
