"""Plans made by hand, small enough to work out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from segkit.plans import ChannelPlan, LayerPlan, NetworkPlan, Plan, StagePlan

MakePlan = Callable[..., Plan]


def _stages(
    part: str, widths: Sequence[int], strides: Sequence[tuple[int, int, int]], layer: Callable[[str, int], LayerPlan]
) -> tuple[StagePlan, ...]:
    return tuple(
        StagePlan(
            kernel=(3, 3, 3),
            stride=stride,
            layers=tuple(layer(f"{part}{index}.{number}", width) for number in range(2)),
        )
        for index, (width, stride) in enumerate(zip(widths, strides, strict=True))
    )


def plan_by_hand(
    *,
    widths: Sequence[int] = (4, 8, 16),
    norm: str = "group",
    per_group: int = 2,
    activation: str = "leaky_relu",
    channels: int = 1,
    deep_supervision: bool = True,
    patch: tuple[int, int, int] = (8, 8, 8),
) -> Plan:
    """A 3D U-Net with two convolutions per stage that halves every axis per stage."""

    def layer(name: str, width: int) -> LayerPlan:
        return LayerPlan(name, channels=width, norm=norm, groups=width // per_group, voxels=64)

    strides = [(1, 1, 1)] + [(2, 2, 2)] * (len(widths) - 1)
    network = NetworkPlan(
        name="unet",
        activation=activation,
        encoder=_stages("encoder", widths, strides, layer),
        decoder=_stages("decoder", widths[-2::-1], strides[:0:-1], layer),
        deep_supervision=deep_supervision,
    )
    return Plan(
        name="by hand",
        dims=3,
        slice_axis=None,
        channels=tuple(ChannelPlan(f"channel {index}", "zscore") for index in range(channels)),
        labels={"one": 1, "two": 2},
        spacing=(1.0, 1.0, 1.0),
        unit="mm",
        patch=patch,
        batch_size=2,
        mirror_axes=(),
        crop_to_content=True,
        network=network,
    )


@pytest.fixture
def make_plan() -> MakePlan:
    return plan_by_hand
