"""A model whose answer can be worked out by hand: bright where the scan is above 50."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from segkit.bundle.bundle import Bundle, write_bundle
from segkit.networks import build_network
from segkit.plans.plan import ChannelPlan, LayerPlan, NetworkPlan, Plan, Scheme, StagePlan

Make = Callable[..., Bundle]


def threshold_plan(
    dims: int = 3, channels: int = 1, *, normalise: Scheme = "none", **changes: object
) -> Plan:
    slice_axis = 2 if dims == 2 else None
    kernel, stride = ((1, 1, 1), (2, 2, 1 if dims == 2 else 2))
    layer = LayerPlan("layer", channels, "none", 1, 512)
    values: dict[str, object] = {
        "name": "threshold",
        "dims": dims,
        "slice_axis": slice_axis,
        "channels": tuple(ChannelPlan(f"channel{i}", normalise) for i in range(channels)),
        "labels": {"bright": 7},
        "spacing": (1.0, 1.0, None if dims == 2 else 1.0),
        "unit": "mm",
        "patch": (8, 8, 1 if dims == 2 else 8),
        "batch_size": 2,
        "mirror_axes": (0,),
        "crop_to_content": False,
        "network": NetworkPlan(
            "unet",
            "relu",
            encoder=(StagePlan(kernel, (1, 1, 1), (layer,)), StagePlan(kernel, stride, (layer,))),
            decoder=(StagePlan(kernel, stride, (layer,)),),
            deep_supervision=False,
        ),
    }
    return Plan(**{**values, **changes})  # type: ignore[arg-type]


def threshold_state(plan: Plan, threshold: float = 50.0) -> dict[str, torch.Tensor]:
    """Return weights of a network with the scores 0 and (last channel - threshold)."""
    state = {
        name: torch.zeros_like(value) for name, value in build_network(plan).state_dict().items()
    }
    width = len(plan.channels)
    for channel in range(width):
        state["encoder.0.0.conv.weight"][channel, channel] = 1
        state["decoder.0.convs.0.conv.weight"][channel, width + channel] = 1
    state["head.weight"][1, width - 1] = 1
    state["head.bias"][1] = -threshold
    return state


@pytest.fixture
def make_bundle(tmp_path: Path) -> Make:
    """Return make_bundle(dims=3, channels=1, threshold=50, folder="model", **plan_changes)."""

    def make(
        dims: int = 3,
        channels: int = 1,
        *,
        threshold: float = 50.0,
        folder: str = "model",
        **changes: object,
    ) -> Bundle:
        plan = threshold_plan(dims, channels, **changes)
        return write_bundle(tmp_path / folder, plan, {}, {"0": threshold_state(plan, threshold)})

    return make
