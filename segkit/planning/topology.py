"""Depth, strides and kernel sizes of a network for one patch, by nnU-Net's rules.

Source: network_topology.py of nnU-Net (dynamic_network_architectures).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from segkit.volume import Shape

LEAST_EDGE = 4
"""Smallest number of voxels to which an axis may be halved."""
SPACING_FACTOR = 2.0
"""Ratio to the finest spacing below which an axis is halved and has kernels of size 3."""


@dataclass(frozen=True)
class Topology:
    """Kernel sizes and strides (X, Y, Z) of each stage, from the full resolution to the bottleneck.

    The stride of a stage is that of its first convolution; ``patch`` (X, Y, Z) is in voxels.
    """

    patch: Shape
    kernels: tuple[Shape, ...]
    strides: tuple[Shape, ...]

    @property
    def divisor(self) -> Shape:
        """Product of all strides, of which the size of the patch is a multiple (X, Y, Z)."""
        return _three([math.prod(stride[axis] for stride in self.strides) for axis in range(3)])

    @property
    def sizes(self) -> tuple[Shape, ...]:
        """Size of the feature maps (X, Y, Z) in voxels at each stage."""
        sizes = []
        size = self.patch
        for stride in self.strides:
            size = _three([edge // step for edge, step in zip(size, stride, strict=True)])
            sizes.append(size)
        return tuple(sizes)


def find_topology(
    patch: Sequence[int],
    spacing: Sequence[float],
    *,
    axes: Sequence[int] = (0, 1, 2),
    stages: int | None = None,
) -> Topology:
    """Return the topology for a patch, enlarged to a multiple of all strides.

    Each axis is halved as long as it has enough voxels and its spacing is fine enough.

    Args:
        patch: patch size (X, Y, Z) in voxels.
        spacing: voxel spacing (X, Y, Z); only ratios matter.
        axes: axes that the network sees; the others keep stride 1 and kernel 1 (2D networks).
        stages: largest number of stages; None leaves it to the rule.

    >>> find_topology((40, 56, 40), (1.0, 1.0, 1.0)).strides
    ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    """
    size, edge, kernel = list(patch), list(spacing), [1, 1, 1]
    kernels: list[Shape] = []
    strides: list[Shape] = [(1, 1, 1)]
    while stages is None or len(strides) < stages:
        halved = _axes_to_halve(size, edge, axes)
        if not halved:
            break
        kernel = [_grown(kernel[axis], axis, edge, axes) for axis in range(3)]
        kernels.append(_three(kernel))
        strides.append(_three([2 if axis in halved else 1 for axis in range(3)]))
        for axis in halved:
            size[axis] = -(-size[axis] // 2)
            edge[axis] *= 2
    kernels.append(_three([3 if axis in axes else 1 for axis in range(3)]))
    topology = Topology(_three(patch), tuple(kernels), tuple(strides))
    padded = [
        -(-n // divisor) * divisor for n, divisor in zip(patch, topology.divisor, strict=True)
    ]
    return Topology(_three(padded), topology.kernels, topology.strides)


def _axes_to_halve(size: Sequence[int], edge: Sequence[float], axes: Sequence[int]) -> list[int]:
    long_enough = [axis for axis in axes if size[axis] >= 2 * LEAST_EDGE]
    if not long_enough:
        return []
    finest = min(edge[axis] for axis in long_enough)
    chosen = [axis for axis in long_enough if edge[axis] / finest < SPACING_FACTOR]
    if len(chosen) == 1 and size[chosen[0]] < 3 * LEAST_EDGE:
        return []
    return chosen


def _grown(kernel: int, axis: int, edge: Sequence[float], axes: Sequence[int]) -> int:
    if axis not in axes:
        return 1
    return 3 if kernel == 3 or edge[axis] / min(edge[a] for a in axes) < SPACING_FACTOR else 1


def _three(values: Sequence[int]) -> Shape:
    x, y, z = (int(value) for value in values)
    return (x, y, z)
