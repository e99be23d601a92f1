"""How well a trained network's label maps in bfloat16 agree with those in float32, on windows of a few cases."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segkit.bundle_agreement import AGREEMENT
from segkit.networks.mode import Mode, bfloat16_share
from segkit.plans import Plan
from segkit.preprocessing.crop import Box
from segkit.preprocessing.store import PreparedCase
from segkit.sliding_window import predict_scores
from segkit.window_rows import Windows

CASES = 8
"""At most; of each the window around the middle of its labels."""


@torch.inference_mode()
def agreement(
    network: nn.Module, cases: Sequence[PreparedCase], plan: Plan, *, device: torch.device, seconds: float
) -> dict[str, Any]:
    """What a bundle's card says of bfloat16 (`segkit.bundle_agreement`); empty where there is no time for it.

    Dice per label, each the mean over the cases in which either precision finds the label.

    Args:
        network: in evaluation mode.
        cases: the first ones are used.
        plan: of the network.
        device: where the network is.
        seconds: exceeded by a window at most, and by one in float32 only where one in bfloat16 would be too long.
    """
    found: dict[str, list[float]] = {}
    done, start = 0, time.perf_counter()
    for case in cases[:CASES]:
        image = torch.from_numpy(np.array(case.image[:, *_middle(case, plan)])).to(device)
        exact = _masks(network, image, plan, "float32")
        if not done and (time.perf_counter() - start) * (1 + _share(device)) > seconds:
            return {}
        rounded = _masks(network, image, plan, "bfloat16")
        for name, ours, theirs in zip(plan.labels, rounded, exact, strict=True):
            if size := int(ours.sum() + theirs.sum()):
                found.setdefault(name, []).append(2 * int((ours & theirs).sum()) / size)
        done += 1
        if (time.perf_counter() - start) * (done + 1) / done > seconds:
            break
    dice = {name: round(float(np.mean(values)), 6) for name, values in found.items()}
    return {AGREEMENT: {"dice": dice, "cases": done}} if dice else {}


def _share(device: torch.device) -> float:
    """How much longer than float32 bfloat16 takes, about; where it is emulated ten times."""
    if device.type != "cpu":
        return 1.0
    return bfloat16_share(nn.Conv3d(32, 32, 3), torch.zeros(1, 32, 12, 12, 12))


def _middle(case: PreparedCase, plan: Plan) -> Box:
    """The window around the middle of what is labelled, or of the scan; all of an axis that is shorter than it."""
    shape = case.labels.shape
    labelled = [places for index, places in case.voxels.items() if 1 <= index <= len(plan.targets) and len(places)]
    middle = np.median(np.concatenate(labelled), axis=0) if labelled else np.array(shape) / 2
    starts = [
        int(np.clip(centre - edge // 2, 0, max(0, size - edge)))
        for centre, edge, size in zip(middle, plan.patch, shape, strict=True)
    ]
    x, y, z = (slice(start, start + edge) for start, edge in zip(starts, plan.patch, strict=True))
    return x, y, z


def _masks(network: nn.Module, image: Tensor, plan: Plan, precision: str) -> Iterator[Tensor]:
    """Of every label or region its voxels (X, Y, Z)."""
    mode = Mode(precision, "channels_last")
    with mode.autocast(image.device):
        scores = predict_scores(mode.wrap(network), image, Windows(plan.patch, slice_axis=plan.slice_axis))
    if plan.regions:
        return iter(scores > 0)
    labels = scores.argmax(0)
    return (labels == index for index in range(1, 1 + len(plan.labels)))
