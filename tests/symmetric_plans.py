"""Small plans of equivariant U-Nets, made by hand."""

from __future__ import annotations

from typing import Any, Literal

from segkit.config.schema import NetworkConfig
from segkit.planning.network_stages import build_stages
from segkit.planning.topology import Topology
from segkit.plans.plan import ChannelPlan, Plan, SymmetryPlan
from segkit.plans.symmetry import SYMMETRIES

GROUPS: list[tuple[str, Literal[2, 3]]] = [
    ("mirror", 2),
    ("mirror", 3),
    ("p4", 2),
    ("p4m", 2),
    ("d4", 3),
    ("octahedral24", 3),
    ("octahedral48", 3),
]
"""Every group, with every number of dimensions that it has."""


def symmetric_plan(
    group: str,
    *,
    axes: tuple[int, ...] | None = None,
    slice_axis: int | None = None,
    inputs: int = 2,
    stages: int = 3,
    **settings: Any,
) -> Plan:
    """Return a plan of ``stages`` stages for labels left, right and other, in 3D unless sliced.

    Each layer has one or two orbits; left and right exchange names where a reflection is part of
    the group.
    """
    row = SYMMETRIES[group]
    free = tuple(axis for axis in range(3) if axis != slice_axis)
    ones = tuple(int(axis not in free) for axis in range(3))
    kernel, stride, patch = (tuple(1 if one else edge for one in ones) for edge in (3, 2, 16))
    topology = Topology(patch, (kernel,) * stages, ((1, 1, 1), *[stride] * (stages - 1)))  # type: ignore[arg-type]
    symmetry = SymmetryPlan(group, axes or free[: row.axes])
    config = NetworkConfig(name="equivariant_unet", symmetry=group, **settings)
    widths = [2 * row.order if row.order <= 8 else row.order] * stages
    network = build_stages(topology, widths, inputs=inputs, config=config, symmetry=symmetry)
    return Plan(
        name="by hand",
        dims=3 if slice_axis is None else 2,
        slice_axis=slice_axis,
        channels=tuple(ChannelPlan(f"MR{index}", "zscore") for index in range(inputs)),
        labels={"left": 1, "right": 2, "other": 3},
        spacing=tuple(None if axis == slice_axis else 1.0 for axis in range(3)),  # type: ignore[arg-type]
        unit="mm",
        patch=topology.patch,
        batch_size=1,
        mirror_axes=(),
        crop_to_content=False,
        network=network,
        mirror_swaps=(("left", "right"),),
    )


def planned(group: str, dims: int, **settings: Any) -> Plan:
    """Return `symmetric_plan` in ``dims`` dimensions, with slices across Z in 2D."""
    return symmetric_plan(group, slice_axis=None if dims == 3 else 2, **settings)
