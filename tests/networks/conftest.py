"""Small plans made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from segkit.plans.norm_catalogue import has_groups
from segkit.plans.plan import ChannelPlan, LayerPlan, NetworkPlan, NormKind, Plan, StagePlan

MakePlan = Callable[..., Plan]


@pytest.fixture
def make_plan() -> MakePlan:
    return plan_by_hand


@pytest.fixture
def residual() -> Callable[[Plan], Plan]:
    return with_residual_encoder


def plan_by_hand(
    *,
    widths: Sequence[int] = (4, 8, 16),
    norm: NormKind = "group",
    per_group: int = 2,
    dims: int = 3,
    activation: str = "leaky_relu",
    deep_supervision: bool = True,
) -> Plan:
    """Return a plan of a U-Net for 2 channels and 3 classes, two convolutions per stage.

    In 3D the first stage has flat kernels (3, 3, 1) and the stride into the second one does not
    halve Z, as for thick slices; in 2D the slices are perpendicular to Z.
    """
    z = 3 if dims == 3 else 1
    kernels = [(3, 3, 1)] + [(3, 3, z)] * (len(widths) - 1)
    strides = [(1, 1, 1), (2, 2, 1)] + [(2, 2, (z + 1) // 2)] * (len(widths) - 2)
    groups = per_group if has_groups(norm) else 0

    def stage(part: str, index: int, stride: tuple[int, int, int]) -> StagePlan:
        width = widths[index]
        layers = [
            LayerPlan(
                f"{part}{index}.conv{number}",
                width,
                norm,
                width // groups if groups else 0,
                voxels=64,
            )
            for number in (1, 2)
        ]
        return StagePlan(kernels[index], stride, tuple(layers))

    levels = range(len(widths))
    network = NetworkPlan(
        name="unet",
        activation=activation,
        encoder=tuple(stage("encoder", level, strides[level]) for level in levels),
        decoder=tuple(
            stage("decoder", level, strides[level + 1]) for level in reversed(levels[:-1])
        ),
        deep_supervision=deep_supervision,
    )
    return Plan(
        name="by hand",
        dims=2 if dims == 2 else 3,
        slice_axis=2 if dims == 2 else None,
        channels=(ChannelPlan("T1", "zscore"), ChannelPlan("T2", "zscore")),
        labels={"one": 1, "two": 2},
        spacing=(1.0, 1.0, 2.0 if dims == 3 else None),
        unit="mm",
        patch=(16, 16, 8 if dims == 3 else 1),
        batch_size=2,
        mirror_axes=(),
        crop_to_content=True,
        network=network,
    )


def with_residual_encoder(plan: Plan) -> Plan:
    """Return the plan with one residual block, with a shortcut layer, per encoder stage."""
    stages = tuple(
        replace(
            stage, layers=(*stage.layers, replace(stage.layers[1], name=f"encoder{index}.skip"))
        )
        for index, stage in enumerate(plan.network.encoder)
    )
    return replace(plan, network=replace(plan.network, name="residual_unet", encoder=stages))
