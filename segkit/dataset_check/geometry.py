"""Checks of voxel spacing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from segkit.dataset import Dataset
from segkit.dataset_check.problem import Problem
from segkit.planning.case_facts import CaseFacts

UNUSUAL = 3.0
"""A voxel edge this many times larger or smaller than the median is worth a look."""


def unusual_spacing(dataset: Dataset, facts: Sequence[CaseFacts]) -> Iterator[Problem]:
    """Cases whose voxel edges are far from the median."""
    if not facts:
        return
    median = np.median([case.spacing for case in facts], axis=0)
    for case in facts:
        ratio = np.array(case.spacing) / median
        if ratio.max() > UNUSUAL or ratio.min() < 1 / UNUSUAL:
            edges, usual = (" x ".join(f"{edge:.3g}" for edge in edges) for edges in (case.spacing, median))
            yield Problem(case.id, "warning", f"voxels of {edges} where the median is {usual}")
