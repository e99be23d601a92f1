"""Agreement of a trained network's label maps in bfloat16 with those in float32.

It is measured on parts of a few cases.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segkit.bundle.precision_agreement import AGREEMENT_KEY
from segkit.networks.precision import ComputeMode, cpu_bfloat16_time_ratio
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.sliding_window.rows import Windows
from segkit.sliding_window.scores import predict_scores
from segkit.sliding_window.windows import count_windows
from segkit.volume import Box

CASES = 3
"""Largest number of cases to compare."""
REACHES = (2.0, 1.5, 1.0)
"""Edges of the predicted part of a case, in windows; the largest that time allows is taken.

The part lies around the center of the labeled voxels. Overlapping windows agree better than
a single one, because averaging reduces rounding errors.
"""
OVERLAP = 0.5
"""Overlap of neighboring windows, as a share of the window's edge."""


@torch.inference_mode()
def precision_agreement(
    network: nn.Module,
    cases: Sequence[PreparedCase],
    plan: Plan,
    *,
    device: torch.device,
    seconds: float,
) -> dict[str, Any]:
    """Return the agreement for a bundle's card (`segkit.bundle.precision_agreement`).

    It is the Dice per label, each the mean over the cases in which either precision finds the
    label; empty if there is no time to measure it.

    Args:
        network: in evaluation mode.
        cases: prepared cases, of which the first ones are used.
        plan: the plan of the network.
        device: where the network is.
        seconds: approximate limit; the time of a window decides how much is predicted.
    """
    cases = cases[:CASES]
    fitting = int(seconds / _window_seconds(network, plan, device))
    boxes_by_reach = [boxes_to_predict(cases, plan, reach, fitting) for reach in REACHES]
    complete = (boxes for boxes in boxes_by_reach if len(boxes) == len(cases))
    boxes = next(complete, boxes_by_reach[-1])
    values: dict[str, list[float]] = {}
    for case, box in zip(cases, boxes, strict=False):
        image = torch.from_numpy(np.array(case.image[:, *box])).to(device)
        masks_in_bfloat16 = _masks(network, image, plan, "bfloat16")
        masks_in_float32 = _masks(network, image, plan, "float32")
        for name, rounded, exact in zip(
            plan.labels, masks_in_bfloat16, masks_in_float32, strict=True
        ):
            size = int(rounded.sum() + exact.sum())
            if size:
                values.setdefault(name, []).append(2 * int((rounded & exact).sum()) / size)
    dice = {name: round(float(np.mean(cases_dice)), 6) for name, cases_dice in values.items()}
    return {AGREEMENT_KEY: {"dice": dice, "cases": len(boxes)}} if dice else {}


def _window_seconds(network: nn.Module, plan: Plan, device: torch.device) -> float:
    """Return the approximate time of a window in both precisions together.

    On a CPU the time in bfloat16 is inferred from one small layer.
    """
    window, times = torch.zeros(len(plan.channels), *plan.patch, device=device), []
    for _ in range(2):  # the first pass also compiles kernels
        start = time.perf_counter()
        _scores(network, window, plan, "float32").sum().item()  # waits for a GPU
        times.append(time.perf_counter() - start)
    share = 1.0
    if device.type == "cpu":
        share = cpu_bfloat16_time_ratio()
    return min(times) * (1 + share)


def boxes_to_predict(
    cases: Sequence[PreparedCase], plan: Plan, reach: float, fitting: int
) -> list[Box]:
    """Return the box to predict of each of the first cases, as many as fit.

    Args:
        cases: prepared cases.
        plan: the plan, for the patch and the labels.
        reach: edge of a box in windows.
        fitting: number of windows that there is time for.
    """
    boxes: list[Box] = []
    for case in cases:
        box = _box_around_labels(case, plan, reach)
        sizes = [
            min(side.stop, size) - side.start
            for side, size in zip(box, case.labels.shape, strict=True)
        ]
        fitting -= count_windows(sizes, plan.patch, OVERLAP)
        if fitting < 0:
            break
        boxes.append(box)
    return boxes


def _box_around_labels(case: PreparedCase, plan: Plan, reach: float) -> Box:
    """Return a box of ``reach`` windows around the center of the labels, or else of the scan.

    It may end beyond a scan that is shorter than the box.
    """
    shape = case.labels.shape
    labeled = [
        voxels
        for index, voxels in case.voxels.items()
        if 1 <= index <= len(plan.targets) and len(voxels)
    ]
    center = np.median(np.concatenate(labeled), axis=0) if labeled else np.array(shape) / 2
    edges = [int(reach * edge) for edge in plan.patch]
    starts = [
        int(np.clip(middle - edge // 2, 0, max(0, size - edge)))
        for middle, edge, size in zip(center, edges, shape, strict=True)
    ]
    x, y, z = (slice(start, start + edge) for start, edge in zip(starts, edges, strict=True))
    return x, y, z


def _masks(network: nn.Module, image: Tensor, plan: Plan, precision: str) -> Iterator[Tensor]:
    """Return the mask (X, Y, Z) of each label or region."""
    scores = _scores(network, image, plan, precision)
    if plan.regions:
        return iter(scores > 0)
    labels = scores.argmax(0)
    return (labels == index for index in range(1, 1 + len(plan.labels)))


def _scores(network: nn.Module, image: Tensor, plan: Plan, precision: str) -> Tensor:
    """Return the scores (K, X, Y, Z) of an image (C, X, Y, Z), computed as in prediction."""
    mode = ComputeMode(precision, "channels_last")
    windows = Windows(plan.patch, OVERLAP, slice_axis=plan.slice_axis)
    with mode.autocast(image.device):
        return predict_scores(mode.wrap(network), image, windows)
