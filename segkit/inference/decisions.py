"""What is decided by the scores of a voxel: its label, and how uncertain that is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from segkit.inference.restore import Decide, decide_by, label_dtype
from segkit.inference.uncertainty import entropy
from segkit.plans import Plan


@dataclass(frozen=True)
class Decision:
    """Something that is decided by the scores of a voxel, and the type that holds it."""

    decide: Decide
    dtype: np.dtype[Any]


def decisions_of(plan: Plan, *, with_uncertainty: bool) -> list[Decision]:
    """The label first."""
    regions = bool(plan.regions)
    labels = Decision(decide_by(plan.label_values, regions=regions), label_dtype(plan.label_values))
    return [labels, Decision(partial(entropy, regions=regions), np.dtype(np.float32))][: 1 + with_uncertainty]
