"""Cost of a prediction before there is a scan: memory by its size, seconds from one window."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from segkit.bundle.bundle import Bundle
from segkit.bundle.overlap_dice import USUAL_OVERLAP
from segkit.inference.ensemble import check_ensemble
from segkit.inference.prediction import Wanted
from segkit.inference.scoring.memory_plan import MemoryNeeds, memory_plans
from segkit.inference.scoring.ready_networks import ReadyNetworks, ready_networks
from segkit.inference.scoring.to_scan_grid import bytes_after_scoring, decisions_of
from segkit.plans.plan import Plan
from segkit.preprocessing.chain import InverseTransform, ScanParts
from segkit.preprocessing.orient_and_crop import AxisMap
from segkit.sliding_window.windows import missing
from segkit.volume import Grid, Shape

WITHOUT_RANGES = 2
"""Edge of the scan in patches, for a model that does not record the size of its training scans."""


@dataclass(frozen=True)
class ScanCost:
    """Cost of predicting a scan of a certain size."""

    shape: Shape
    """Voxels (X, Y, Z) of the scan at the plan's spacing."""
    device: str
    precision: str
    memory: int
    """Bytes of this machine's memory for a prediction at full speed, besides those of PyTorch."""
    least_memory: int
    """Bytes with which it is still possible, part by part."""
    seconds: float
    """Seconds for all windows, from the time of one; without reading and writing."""


def scan_cost(bundles: Sequence[Bundle], *, device: str = "auto") -> ScanCost:
    """Load the networks, and return the cost of a scan as large as the largest of the training.

    Args:
        bundles: one model, or several as an ensemble.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        InputError: a model that cannot be used.
        UsageError: no such device.
    """
    plan = check_ensemble(bundles)
    ready = ready_networks(
        bundles, plan, tta=False, device=device, precision="auto", engine="torch"
    )
    shape = largest_scan(plan)
    needs = scan_needs(bundles, plan, ready, shape)
    plans = list(memory_plans(needs))
    batch, count = plans[0].windows.batch_size, plans[0].count(shape)
    return ScanCost(
        shape,
        str(ready.scorer.device),
        ready.precision,
        plans[0].bytes,
        min(plan.bytes for plan in plans),
        count * _seconds_of_window(ready, plan, min(batch, count)),
    )


def largest_scan(plan: Plan) -> Shape:
    """Return the voxels (X, Y, Z) of the largest field of view of the training, at its spacing."""
    ranges = plan.training
    if ranges is None:
        x, y, z = (WITHOUT_RANGES * edge for edge in plan.patch)
        return (x, y, z)
    x, y, z = (
        max(1, math.ceil(high / (spacing or finest)))
        for (_, high), spacing, (finest, _) in zip(
            ranges.size, plan.spacing, ranges.spacing, strict=True
        )
    )
    return (x, y, z)


def scan_needs(
    bundles: Sequence[Bundle], plan: Plan, ready: ReadyNetworks, shape: Shape
) -> MemoryNeeds:
    """Return what the memory of a scan of this shape at the plan's spacing depends on."""
    decisions = decisions_of(plan, Wanted())
    on_cpu = ready.scorer.device.type == "cpu"
    added = [
        missing(size, edge, USUAL_OVERLAP) for size, edge in zip(shape, plan.patch, strict=True)
    ]
    return MemoryNeeds(
        scan=_blank(plan, shape),
        plan=plan,
        channels=ready.scorer.channels,
        classes=ready.scorer.classes,
        overlap=USUAL_OVERLAP,
        margins=[(count // 2, count - count // 2) for count in added],
        networks=tuple(model.plan.network for model in bundles) if on_cpu else (),
        result_bytes=sum(decision.bytes for decision in decisions.values()),
        holds_sums=on_cpu,
        after=bytes_after_scoring(
            decisions,
            math.prod(shape),
            rules=len(bundles[0].postprocessing),
            is_compared=plan.training is not None,
            is_tilted=False,
        ),
    )


def _blank(plan: Plan, shape: Shape) -> ScanParts:
    """Return an empty scan that takes no memory."""
    x, y, z = (slice(0, size) for size in shape)
    straight = AxisMap((0, 1, 2), (False, False, False))
    return ScanParts(
        np.broadcast_to(np.float32(0), (len(plan.channels), *shape)),
        None,
        [],
        InverseTransform(straight, shape, (x, y, z), shape, shape),
        Grid(shape, np.eye(4), plan.unit),
        (0.0,) * len(plan.channels),
    )


def _seconds_of_window(ready: ReadyNetworks, plan: Plan, batch: int) -> float:
    """Return the seconds of a window in a batch; a first call prepares kernels and is not timed."""
    edges = [edge for axis, edge in enumerate(plan.patch) if axis != plan.slice_axis]
    generator = torch.Generator().manual_seed(0)
    windows = torch.randn((batch, len(plan.channels), *edges), generator=generator)
    with torch.inference_mode():
        ready.scorer(windows).cpu()
        start = time.perf_counter()
        ready.scorer(windows).cpu()
    return (time.perf_counter() - start) / batch
