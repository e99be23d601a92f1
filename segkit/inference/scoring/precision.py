"""Choose float32 or bfloat16 by what the model allows and what is faster on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import nn

from segkit.bundle.bundle import Bundle
from segkit.bundle.precision_agreement import smallest_agreement
from segkit.errors import UsageError
from segkit.inference.scoring.window_scorer import MEMORY_FORMAT
from segkit.networks.kernels.convolution import Conv2d, Conv3d
from segkit.networks.precision import (
    AUTOCAST,
    EMULATED,
    bfloat16_time_ratio,
    cpu_bfloat16_time_ratio,
    network_to_memory_format,
    to_memory_format,
)
from segkit.networks.unet import spatial_axes
from segkit.plans.plan import Plan

MIN_DICE = 0.999
"""Dice between the label maps of both precisions, for the label that agrees least, from which
bfloat16 may be chosen."""
MAX_TIME_RATIO = 0.75
"""Largest time of a convolution in bfloat16, as a fraction of the time in float32, for bfloat16.

Processors are far from this limit: about 0.35 to 0.5 with fast bfloat16 instructions, and more than
1 without. So the same machine always chooses the same precision.
"""
MAX_TIMED_VOXELS = 2**16
"""Number of voxels of the window that is timed; float32 then takes some hundredths of a second."""


def choose_precision(name: str, device: torch.device, bundles: Sequence[Bundle]) -> tuple[str, str]:
    """Return the precision to compute in, and the reason in words.

    ``auto`` is bfloat16 where the label maps of both precisions agree (the bundle says so) and
    bfloat16 is faster: on a GPU that supports it, or on a CPU where it is measured to be.

    Raises:
        UsageError: ``name`` is not a precision.
    """
    if name != "auto":
        if name not in AUTOCAST:
            raise UsageError(f"--precision {name}: must be auto, {', '.join(AUTOCAST)}")
        return name, "asked for"
    agreement = smallest_agreement([bundle.card for bundle in bundles])
    if agreement is not None and agreement < MIN_DICE:
        return (
            "float32",
            f"in bfloat16 the model's label maps agree to a Dice of {agreement:.4f} only",
        )
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported():
            return "bfloat16", "the GPU computes it"
        return "float32", "the GPU has no bfloat16"
    if agreement is None:
        return "float32", "how well bfloat16 agrees with it is not known of the model"
    with torch.random.fork_rng(devices=[]):  # leaves the random numbers of the process unchanged
        small = cpu_bfloat16_time_ratio()
    ratio = time_ratio(small, lambda: bfloat16_time_ratio(*first_stage(bundles[0].plan)))
    return by_time(ratio, agreement)


def time_ratio(small: float, measure: Callable[[], float]) -> float:
    """Return the time of the first stage in bfloat16 by that in float32.

    Args:
        small: the same of a small layer. Where it shows that bfloat16 is emulated, it is returned,
            because the first stage would take seconds.
        measure: times the first stage.

    >>> time_ratio(1.0, lambda: 0.4), time_ratio(12.0, lambda: 77.0)
    (0.4, 12.0)
    """
    return small if small >= EMULATED else measure()


def by_time(time_ratio: float, agreement: float) -> tuple[str, str]:
    """Return precision and reason where bfloat16 is allowed.

    Args:
        time_ratio: time of a convolution in bfloat16, divided by its time in float32.
        agreement: smallest Dice between the label maps of both precisions.
    """
    timed = f"a convolution in bfloat16 takes {time_ratio:.2f} of its time in float32"
    if time_ratio > MAX_TIME_RATIO:
        return "float32", timed
    return "bfloat16", f"{timed}, and label maps agree to a Dice of {agreement:.4f}"


def first_stage(plan: Plan) -> tuple[nn.Module, torch.Tensor]:
    """Return a convolution of the network's first stage, which takes most time, and its input."""
    channels = plan.network.encoder[0].layers[-1].channels
    edges = [plan.patch[axis] for axis in spatial_axes(plan)]
    while math.prod(edges) > MAX_TIMED_VOXELS:
        longest = edges.index(max(edges))
        edges[longest] = (edges[longest] + 1) // 2
    with torch.random.fork_rng(devices=[]):  # leaves the random numbers of the process unchanged
        layer = (Conv2d if plan.dims == 2 else Conv3d)(channels, channels, 3, padding=1)
    return network_to_memory_format(layer, MEMORY_FORMAT), to_memory_format(
        torch.zeros(1, channels, *edges), MEMORY_FORMAT
    )
