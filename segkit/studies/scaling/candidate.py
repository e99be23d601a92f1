"""Candidates of a study of scaling: networks of one dataset that differ in size, and their plans.

A candidate has four axes: width (channels), depth (convolutions in each stage), patch (how much of
the scan the network sees) and channels per group. This module does not import torch.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from segkit.config.schema import NetworkConfig
from segkit.errors import UsageError
from segkit.planning.network_stages import build_stages, default_features
from segkit.planning.norm_groups import LEAST_VALUES
from segkit.planning.topology import LEAST_EDGE, Topology, find_topology
from segkit.plans.norm_catalogue import NORMS
from segkit.plans.plan import Plan
from segkit.volume import Shape

WIDTH_STEP = 16
"""Widths are multiples of it: processors compute channels in blocks of 8 or 16, and on a CPU a 3D
convolution of 8 channels was seen to take several times as long as one of 16."""
GROUP_SIZES = (2, 4, 8, 16)
"""Channels per group that can be chosen; all divide WIDTH_STEP."""
SCALABLE = ("unet",)
"""Networks with all axes whose costs are exact counts."""

ShapeOfWidths = Literal["doubling", "flat"]
"""How the widths of the stages follow from the first: as the planner's, or all alike."""


@dataclass(frozen=True)
class Candidate:
    """A network and its patch, in values that the planner takes as they are."""

    widths: tuple[int, ...]
    """Channels of each stage."""
    convs: int
    """Convolutions in each stage."""
    patch: Shape
    """Voxels along X, Y and Z."""
    channels_per_group: int | None
    """Channels of each group; None with a norm that does not take a number."""

    @property
    def overrides(self) -> list[str]:
        """The overrides with which ``segkit train`` plans this network for its dataset.

        >>> Candidate((16, 32), 2, (24, 24, 16), 2).overrides[0]
        'network.features=[16,32]'
        """
        words = [
            f"network.features={_list(self.widths)}",
            f"network.convs={self.convs}",
            f"plan.patch={_list(self.patch)}",
        ]
        if self.channels_per_group is not None:
            words.append(f"network.channels_per_group={self.channels_per_group}")
        return words

    @property
    def name(self) -> str:
        """Name of a folder for it.

        >>> Candidate((16, 32), 2, (24, 24, 16), 2).name
        'w16-32_c2_p24x24x16_g2'
        """
        groups = "" if self.channels_per_group is None else f"_g{self.channels_per_group}"
        widths, patch = "-".join(map(str, self.widths)), "x".join(map(str, self.patch))
        return f"w{widths}_c{self.convs}_p{patch}{groups}"


@dataclass(frozen=True)
class Frame:
    """Origin and limits of the axes, the same for all candidates of a dataset."""

    plan: Plan
    """Plan that the planner makes without any of the axes being set: all factors are 1."""
    network: NetworkConfig
    """Settings of the network."""
    size: Shape
    """Typical scan (X, Y, Z) in voxels at the spacing of the plan; no patch is larger."""

    @cached_property
    def axes(self) -> tuple[int, ...]:
        """Axes of the convolutions: in 2D without the slice axis."""
        return tuple(axis for axis in range(3) if axis != self.plan.slice_axis)

    @property
    def has_groups(self) -> bool:
        """True if the norm takes a number of channels per group."""
        return NORMS[self.network.norm].groups == "fitted"

    @cached_property
    def spacing(self) -> tuple[float, ...]:
        """Voxel spacing of the plan; 1 along axes where it keeps that of the scan."""
        return tuple(edge or 1.0 for edge in self.plan.spacing)

    @cached_property
    def largest_patch(self) -> Shape:
        """Patch that covers a typical scan, or the planner's if that is larger."""
        whole = self.topology(self.size).patch
        x, y, z = (max(pair) for pair in zip(whole, self.plan.patch, strict=True))
        return (x, y, z)

    def topology(self, patch: Shape, stages: int | None = None) -> Topology:
        """Return strides and kernels for a patch, enlarged to edges that can be halved."""
        return _topology(patch, self.spacing, self.axes, stages)

    def candidate(
        self,
        *,
        width: float = 1.0,
        depth: float = 1.0,
        patch: float = 1.0,
        channels_per_group: float = GROUP_SIZES[0],
        shape: ShapeOfWidths = "doubling",
    ) -> Candidate:
        """Return the candidate nearest to factors of the planner's own choice.

        Widths are rounded to multiples of 16, edges of the patch to multiples of the strides and
        to a typical scan, convolutions to whole numbers, and channels per group to a power of two
        that gives every group 64 values or more.

        Args:
            width: factor of the channels of all stages.
            depth: factor of the convolutions in each stage.
            patch: factor of each edge of the patch.
            channels_per_group: channels of each group.
            shape: whether deeper stages are wider.
        """
        edges = self.patch(patch)
        stages = len(self.topology(edges).strides)
        widths = self.widths(stages, width, shape)
        convs = max(1, round(depth * self.network.convs))
        return Candidate(widths, convs, edges, self.group_size(channels_per_group, widths, edges))

    def patch(self, factor: float) -> Shape:
        """Return the patch nearest to ``factor`` times the planner's that the network can halve."""
        wanted = [
            min(max(round(edge * factor), 2 * LEAST_EDGE), most) if axis in self.axes else 1
            for axis, (edge, most) in enumerate(
                zip(self.plan.patch, self.largest_patch, strict=True)
            )
        ]
        divisor = self.topology((wanted[0], wanted[1], wanted[2])).divisor
        x, y, z = (
            max(round(edge / step), 1) * step for edge, step in zip(wanted, divisor, strict=True)
        )
        return self.topology((x, y, z)).patch

    def widths(self, stages: int, factor: float, shape: ShapeOfWidths) -> tuple[int, ...]:
        """Return the channels of each stage: ``factor`` times the planner's, in steps of 16."""
        usual = default_features(stages, self.plan.dims, self.network.name, self.network.widths)
        if shape == "flat":
            usual = usual[:1] * stages
        steps = (max(1, round(channels * factor / WIDTH_STEP)) for channels in usual)
        return tuple(step * WIDTH_STEP for step in steps)

    def group_size(self, wanted: float, widths: tuple[int, ...], patch: Shape) -> int | None:
        """Return the power of two nearest to a number of channels per group that all layers allow.

        None if the norm does not take one.

        Raises:
            UsageError: no number gives the groups of the smallest map 64 values.
        """
        if not self.has_groups:
            return None
        return _group_size(wanted, min(widths), self.topology(patch, len(widths)).sizes[-1])

    def plan_of(self, candidate: Candidate) -> Plan:
        """Return the plan of a candidate, which is the one that its overrides lead to.

        Reasons are those of the planner's own plan.
        """
        topology = self.topology(candidate.patch, len(candidate.widths))
        network = dataclasses.replace(
            self.network,
            features=list(candidate.widths),
            convs=candidate.convs,
            channels_per_group=candidate.channels_per_group or self.network.channels_per_group,
        )
        stages = build_stages(
            topology, candidate.widths, inputs=len(self.plan.channels), config=network
        )
        return dataclasses.replace(self.plan, patch=topology.patch, network=stages)


def _group_size(wanted: float, narrowest: int, smallest: Shape) -> int:
    """Return the channels per group; arguments are those of the narrowest and the smallest map."""
    least = LEAST_VALUES / math.prod(smallest)
    fitting = [size for size in GROUP_SIZES if least <= size <= narrowest // 2]
    if not fitting:
        raise UsageError(
            f"a smallest map of {' x '.join(map(str, smallest))} voxels needs groups of "
            f"{math.ceil(least)} channels or more, and {narrowest} channels make no two of them: "
            "give a larger width or patch"
        )
    return min(fitting, key=lambda size: abs(math.log(size / wanted)))


@lru_cache(maxsize=4096)
def _topology(
    patch: Shape, spacing: tuple[float, ...], axes: tuple[int, ...], stages: int | None
) -> Topology:
    return find_topology(patch, spacing, axes=axes, stages=stages)


def _list(values: Sequence[int]) -> str:
    return f"[{','.join(map(str, values))}]"
