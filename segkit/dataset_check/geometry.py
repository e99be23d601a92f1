"""Checks of voxel spacing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from segkit.dataset_check.measured_dataset import MeasuredDataset
from segkit.dataset_check.problem import Problem

UNUSUAL = 3.0
"""A voxel edge this many times larger or smaller than the median is worth a look."""


def unusual_spacing(measured: MeasuredDataset) -> Iterator[Problem]:
    """Cases whose voxel edges are far from the median."""
    if not measured.cases:
        return
    median = np.median([case.spacing for case in measured.cases], axis=0)
    for case in measured.cases:
        ratio = np.array(case.spacing) / median
        if ratio.max() > UNUSUAL or ratio.min() < 1 / UNUSUAL:
            edges, usual = (" x ".join(f"{edge:.3g}" for edge in edges) for edges in (case.spacing, median))
            yield Problem(case.id, "warning", f"voxels of {edges} where the median is {usual}")
