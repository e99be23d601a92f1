"""How well a trained network's label maps in bfloat16 agree with those in float32, on parts of a few cases."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segkit.bundle.precision_agreement import AGREEMENT
from segkit.networks.precision import ComputeMode, bfloat16_time_ratio
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.sliding_window.rows import Windows
from segkit.sliding_window.scores import predict_scores
from segkit.sliding_window.windows import count_windows
from segkit.volume import Box

CASES = 3
"""At most."""
REACHES = (2.0, 1.5, 1.0)
"""Edges of the part of a case that is predicted, in windows: the largest that there is time for. It lies around the
middle of what is labelled. Overlapping windows agree better than a single one, as they average rounding out."""
OVERLAP = 0.5


@torch.inference_mode()
def agreement(
    network: nn.Module,
    cases: Sequence[PreparedCase],
    plan: Plan,
    *,
    device: torch.device,
    seconds: float,
) -> dict[str, Any]:
    """What a bundle's card says of bfloat16 (`segkit.bundle.precision_agreement`); empty where there is no time for it.

    Dice per label, each the mean over the cases in which either precision finds the label.

    Args:
        network: in evaluation mode.
        cases: the first ones are used.
        plan: of the network.
        device: where the network is.
        seconds: what it may take, about; the time of a window decides how much is predicted.
    """
    cases = cases[:CASES]
    fitting = int(seconds / _window_seconds(network, plan, device))
    parts = [parts_to_predict(cases, plan, reach, fitting) for reach in REACHES]
    boxes = next((found for found in parts if len(found) == len(cases)), parts[-1])
    found: dict[str, list[float]] = {}
    for case, box in zip(cases, boxes, strict=False):
        image = torch.from_numpy(np.array(case.image[:, *box])).to(device)
        rounded, exact = (
            _masks(network, image, plan, precision) for precision in ("bfloat16", "float32")
        )
        for name, ours, theirs in zip(plan.labels, rounded, exact, strict=True):
            if size := int(ours.sum() + theirs.sum()):
                found.setdefault(name, []).append(2 * int((ours & theirs).sum()) / size)
    dice = {name: round(float(np.mean(values)), 6) for name, values in found.items()}
    return {AGREEMENT: {"dice": dice, "cases": len(boxes)}} if dice else {}


def _window_seconds(network: nn.Module, plan: Plan, device: torch.device) -> float:
    """About what a window takes in both precisions, without computing it where bfloat16 is emulated."""
    window, times = torch.zeros(len(plan.channels), *plan.patch, device=device), []
    for _ in range(2):  # kernels are made in the first one
        start = time.perf_counter()
        _scores(network, window, plan, "float32").sum().item()  # a GPU's work is waited for
        times.append(time.perf_counter() - start)
    share = (
        bfloat16_time_ratio(nn.Conv3d(32, 32, 3), torch.zeros(1, 32, 12, 12, 12))
        if device.type == "cpu"
        else 1.0
    )
    return min(times) * (1 + share)


def parts_to_predict(
    cases: Sequence[PreparedCase], plan: Plan, reach: float, fitting: int
) -> list[Box]:
    """Of the first cases, until their windows are more than ``fitting``, what is predicted."""
    found: list[Box] = []
    for case in cases:
        box = _around(case, plan, reach)
        sizes = [
            min(part.stop, size) - part.start
            for part, size in zip(box, case.labels.shape, strict=True)
        ]
        fitting -= count_windows(sizes, plan.patch, OVERLAP)
        if fitting < 0:
            break
        found.append(box)
    return found


def _around(case: PreparedCase, plan: Plan, reach: float) -> Box:
    """So many windows' edges around the middle of what is labelled, or of the scan; an axis may be shorter."""
    shape = case.labels.shape
    labelled = [
        places
        for index, places in case.voxels.items()
        if 1 <= index <= len(plan.targets) and len(places)
    ]
    middle = np.median(np.concatenate(labelled), axis=0) if labelled else np.array(shape) / 2
    edges = [int(reach * edge) for edge in plan.patch]
    starts = [
        int(np.clip(centre - edge // 2, 0, max(0, size - edge)))
        for centre, edge, size in zip(middle, edges, shape, strict=True)
    ]
    x, y, z = (slice(start, start + edge) for start, edge in zip(starts, edges, strict=True))
    return x, y, z


def _masks(network: nn.Module, image: Tensor, plan: Plan, precision: str) -> Iterator[Tensor]:
    """Of every label or region its voxels (X, Y, Z)."""
    scores = _scores(network, image, plan, precision)
    if plan.regions:
        return iter(scores > 0)
    labels = scores.argmax(0)
    return (labels == index for index in range(1, 1 + len(plan.labels)))


def _scores(network: nn.Module, image: Tensor, plan: Plan, precision: str) -> Tensor:
    """(K, X, Y, Z) of an image (C, X, Y, Z), computed as in prediction."""
    mode = ComputeMode(precision, "channels_last")
    with mode.autocast(image.device):
        return predict_scores(
            mode.wrap(network), image, Windows(plan.patch, OVERLAP, slice_axis=plan.slice_axis)
        )
