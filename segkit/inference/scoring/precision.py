"""Float32 or bfloat16: what the model allows and this machine is faster in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from segkit.bundle.bundle import Bundle
from segkit.bundle.precision_agreement import smallest_agreement
from segkit.errors import UsageError
from segkit.inference.scoring.window_scorer import LAYOUT
from segkit.networks.kernels.convolution import Conv2d, Conv3d
from segkit.networks.precision import (
    AUTOCAST,
    bfloat16_time_ratio,
    network_to_memory_format,
    to_memory_format,
)
from segkit.networks.unet import spatial_axes
from segkit.plans.plan import Plan

AGREEMENT = 0.999
"""Dice between the label maps of both precisions, of the label that agrees worst, from which bfloat16 may be chosen."""
SHARE = 0.75
"""Of float32's time that a convolution may take. Machines lie far to either side: about 0.35 and 0.5 where bfloat16 has
fast instructions, more than 1 where it has none, so that one machine does not choose now this, now that."""
TIMED_VOXELS = 2**16
"""Of a window, at most: a turn in float32 then takes some hundredths of a second."""


def choose_precision(name: str, device: torch.device, bundles: Sequence[Bundle]) -> tuple[str, str]:
    """The precision that ``name`` means, and why in words.

    ``auto`` takes bfloat16 where the label maps of both precisions agree (the bundle knows), and where it is faster:
    on a GPU that computes it, on a CPU by the clock.

    Raises:
        UsageError: another word.
    """
    if name != "auto":
        if name not in AUTOCAST:
            raise UsageError(f"--precision {name}: must be auto, {', '.join(AUTOCAST)}")
        return name, "asked for"
    agreement = smallest_agreement([bundle.card for bundle in bundles])
    if agreement is not None and agreement < AGREEMENT:
        return (
            "float32",
            f"in bfloat16 the model's label maps agree to a Dice of {agreement:.4f} only",
        )
    if device.type == "cuda":
        known = torch.cuda.is_bf16_supported()
        return (
            ("bfloat16", "the GPU computes it") if known else ("float32", "the GPU has no bfloat16")
        )
    if agreement is None:
        return "float32", "how well bfloat16 agrees with it is not known of the model"
    return by_time(bfloat16_time_ratio(*first_stage(bundles[0].plan)), agreement)


def by_time(share: float, agreement: float) -> tuple[str, str]:
    """As `choose_precision`, where bfloat16 is allowed and takes this share of float32's time."""
    timed = f"a convolution in bfloat16 takes {share:.2f} of its time in float32"
    if share > SHARE:
        return "float32", timed
    return "bfloat16", f"{timed}, and label maps agree to a Dice of {agreement:.4f}"


def first_stage(plan: Plan) -> tuple[nn.Module, torch.Tensor]:
    """A convolution as the network's first stage has it, where most of the time goes, and what it reads of a window."""
    channels = plan.network.encoder[0].layers[-1].channels
    edges = [plan.patch[axis] for axis in spatial_axes(plan)]
    while math.prod(edges) > TIMED_VOXELS:
        longest = edges.index(max(edges))
        edges[longest] = (edges[longest] + 1) // 2
    with torch.random.fork_rng(devices=[]):  # what else the process draws stays as it is
        layer = (Conv2d if plan.dims == 2 else Conv3d)(channels, channels, 3, padding=1)
    return network_to_memory_format(layer, LAYOUT), to_memory_format(
        torch.zeros(1, channels, *edges), LAYOUT
    )
