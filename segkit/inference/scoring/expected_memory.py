"""Expected memory of a prediction, for the largest scan that a model was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from segkit.bundle.card import ModelCard
from segkit.bundle.overlap_dice import USUAL_OVERLAP
from segkit.inference.scoring.memory_plan import MemoryNeeds, memory_plans
from segkit.inference.scoring.to_scan_grid import whole_box
from segkit.labels.voxel_values import label_dtype
from segkit.plans.plan import Plan, three
from segkit.preprocessing.chain import InverseTransform, ScanParts
from segkit.preprocessing.orient_and_crop import AxisMap
from segkit.sliding_window.windows import missing
from segkit.volume import Grid, Shape

PROCESS_BYTES = 600 << 20
"""Bytes of Python, PyTorch for CPUs and the libraries that read and write DICOM, rounded up.

Predictions of small scans with four models had peaks of 0.4 to 0.5 GB altogether, without DICOM.
"""
SCAN_BYTES = 4
"""Bytes of a voxel of the scan, as its file stores it or as it is read."""


def expected_memory(cards: Sequence[ModelCard]) -> tuple[int, Shape] | None:
    """Return the bytes that a process takes to predict the largest scan, and the scan's shape.

    That is a scan with the largest field of view and the smallest voxels of the training cases, if
    all of it is processed at once. The result is None where the training has not recorded them.

    Args:
        cards: models of an ensemble, or one.
    """
    plan = cards[0].plan
    scan = _largest_scan(plan)
    if scan is None:
        return None
    voxels = scan.inverse.source_voxels
    weights = sum(
        int(card.card["files"][name]["bytes"])
        for card in cards
        for name in card.card["weights"].values()
    )
    scoring = next(memory_plans(_needs(scan, [card.plan for card in cards]))).bytes
    stored = SCAN_BYTES * len(plan.channels) * voxels
    return PROCESS_BYTES + weights + stored + scoring, scan.inverse.source_shape


def _largest_scan(plan: Plan) -> ScanParts | None:
    """Return a scan of zeros, which takes no memory, of the largest shape of the training cases."""
    ranges = plan.training
    if ranges is None:
        return None
    sizes, edges = ([pair[1] for pair in ranges.size], [pair[0] for pair in ranges.spacing])
    source = three([math.ceil(size / edge) for size, edge in zip(sizes, edges, strict=True)])
    network = three(
        [
            math.ceil(size / (edge or own))
            for size, edge, own in zip(sizes, plan.spacing, edges, strict=True)
        ]
    )
    box = whole_box(source)
    inverse = InverseTransform(
        AxisMap((0, 1, 2), (False, False, False)), source, box, source, network
    )
    zeros = np.broadcast_to(np.float32(0), (len(plan.channels), *source))
    grid = Grid(source, np.diag([*edges, 1.0]), plan.unit)
    return ScanParts(zeros, None, [], inverse, grid, (0.0,) * len(plan.channels))


def _needs(scan: ScanParts, plans: Sequence[Plan]) -> MemoryNeeds:
    plan = plans[0]
    added = [
        missing(length, edge, USUAL_OVERLAP)
        for length, edge in zip(scan.shape, plan.patch, strict=True)
    ]
    classes = len(plan.label_values)
    return MemoryNeeds(
        scan=scan,
        plan=plan,
        channels=classes,
        classes=classes,
        overlap=USUAL_OVERLAP,
        margins=[(count // 2, count - count // 2) for count in added],
        networks=tuple(plan.network for plan in plans),
        result_bytes=label_dtype(plan.label_values).itemsize,
    )
