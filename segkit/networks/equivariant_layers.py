"""Layers of an equivariant U-Net: convolutions of orbits, GroupNorm of orbits, invariant head.

They take and return ordinary tensors (B, C, X, Y[, Z]), whose channels are orbits of the group one
after the other (`segkit.networks.kernels.orbit_kernel`). Each layer is made from a plain one and
keeps its numbers of channels. What it stores is smaller: weight and bias hold one filter, scale or
shift per orbit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from segkit.networks.kernels.convolution import (
    Conv2d,
    Conv3d,
    ConvTranspose2d,
    ConvTranspose3d,
)
from segkit.networks.kernels.group_norm import GroupNorm
from segkit.networks.kernels.orbit_kernel import (
    Movement,
    Permutations,
    orbit_channels,
    orbit_kernel,
)
from segkit.networks.kernels.weight_standardization import (
    StandardizedConv2d,
    StandardizedConv3d,
    standardized,
)
from segkit.plans.symmetry import Element

Plain = Conv2d | Conv3d | ConvTranspose2d | ConvTranspose3d


@dataclass(frozen=True)
class WindowSymmetry:
    """Elements of a group that acts on windows, and what they do to the network's outputs."""

    elements: tuple[Element, ...]
    outputs: Permutations
    """For each element, the output that each output becomes."""

    @property
    def order(self) -> int:
        """Number of elements, and of channels of an orbit."""
        return len(self.elements)


def per_channel(values: Tensor, order: int) -> Tensor:
    """Return values of orbits (F,) as values of their channels (F * order,).

    >>> per_channel(torch.tensor([1.0, 2.0]), 3)
    tensor([1., 1., 1., 2., 2., 2.])
    """
    return values[:, None].expand(-1, order).reshape(-1)


class _Kept:
    """Kernel of a weight, for use without gradients as long as the weight stays the same.

    A weight that was changed in place has another version, one that was replaced or moved has
    another place in memory.
    """

    def __init__(self, weight: Tensor, kernel: Tensor) -> None:
        self.kernel = kernel
        self._key = self._key_of(weight)
        self._weight = weight
        # Held, so that no other tensor can take its place in memory, also if `weight.data` is
        # replaced.
        self._values = weight.detach()

    def is_of(self, weight: Tensor) -> bool:
        """Return whether the kernel is that of ``weight``."""
        return self._weight is weight and self._key == self._key_of(weight)

    @staticmethod
    def _key_of(weight: Tensor) -> tuple[int, int, torch.dtype]:
        return weight.data_ptr(), weight._version, weight.dtype

    def __deepcopy__(self, _memo: object) -> None:
        """Return None: the copy of a layer has a weight of its own, and keeps nothing."""


class Filters:
    """Part of a layer whose kernel is computed from ``weight``, one filter per orbit.

    With gradients it is computed in every forward pass, and the gradient of ``weight`` is the sum
    over the orbit. Without gradients it is kept as long as the weight does not change.
    """

    weight: Tensor
    bias: Tensor | None
    symmetry: WindowSymmetry
    movement: Movement
    standardize: bool = False
    """True if the kernel is standardized (`segkit.networks.kernels.weight_standardization`)."""
    _kept: _Kept | None = None

    def kernel(self) -> Tensor:
        """Return the kernel that the convolution uses."""
        weight = self.weight
        if torch.is_grad_enabled() or weight.is_inference() or weight.is_meta:
            return self._computed_kernel()
        kept = self._kept
        if kept is None or not kept.is_of(weight):
            self._kept = kept = _Kept(weight, self._computed_kernel())
        return kept.kernel

    def offset(self) -> Tensor | None:
        """Return the bias that the convolution adds: that of an orbit for all its channels."""
        return None if self.bias is None else per_channel(self.bias, self.symmetry.order)

    def _computed_kernel(self) -> Tensor:
        # The channels of an orbit have the same filter, moved: standardized alike before or after.
        filters = standardized(self.weight) if self.standardize else self.weight
        return orbit_kernel(filters, self.movement)

    def _take(self, symmetry: WindowSymmetry, channels: Permutations, plain: Plain) -> None:
        """Replace weight and bias by those of one filter per orbit, without values."""
        self.symmetry = symmetry
        self.movement = Movement(symmetry.elements, channels, tuple(plain.kernel_size))
        self.standardize = isinstance(plain, StandardizedConv2d | StandardizedConv3d)
        weight, bias = self.weight, self.bias
        self.weight = nn.Parameter(
            weight.new_empty(len(weight) // symmetry.order, *weight.shape[1:])
        )
        if bias is not None:
            self.bias = nn.Parameter(bias.new_empty(len(bias) // symmetry.order))


def _like(plain: Plain) -> dict[str, Any]:
    """Return the arguments of the constructor of a layer like ``plain``."""
    return {
        "in_channels": plain.in_channels,
        "out_channels": plain.out_channels,
        "kernel_size": plain.kernel_size,
        "stride": plain.stride,
        "padding": plain.padding,
        "bias": plain.bias is not None,
    }


class OrbitConv2d(Filters, Conv2d):
    """Convolution from an image, or from orbits, to orbits."""

    def __init__(self, plain: Conv2d, symmetry: WindowSymmetry, channels: Permutations) -> None:
        super().__init__(**_like(plain))
        self._take(symmetry, channels, plain)


class OrbitConv3d(Filters, Conv3d):
    """Convolution from an image, or from orbits, to orbits."""

    def __init__(self, plain: Conv3d, symmetry: WindowSymmetry, channels: Permutations) -> None:
        super().__init__(**_like(plain))
        self._take(symmetry, channels, plain)


class OrbitConvTranspose2d(Filters, ConvTranspose2d):
    """Transposed convolution from orbits to orbits, with a kernel of the stride's size."""

    def __init__(self, plain: ConvTranspose2d, symmetry: WindowSymmetry) -> None:
        super().__init__(**_like(plain))
        self._take(symmetry, orbit_channels(symmetry.elements), plain)


class OrbitConvTranspose3d(Filters, ConvTranspose3d):
    """Transposed convolution from orbits to orbits, with a kernel of the stride's size."""

    def __init__(self, plain: ConvTranspose3d, symmetry: WindowSymmetry) -> None:
        super().__init__(**_like(plain))
        self._take(symmetry, orbit_channels(symmetry.elements), plain)


class ScoreFilters(Filters):
    """Part of a 1x1 convolution from orbits to scores, with a weight (K, F, 1, 1[, 1]).

    A score is the same sum over all channels of an orbit. If a reflection exchanges two scores, the
    channels of the reflections count for the other one, and both have the same bias.
    """

    def offset(self) -> Tensor | None:
        """Return the bias of every score: the mean over those that are exchanged."""
        if self.bias is None:
            return None
        ones = [1] * (self.weight.ndim - 2)
        moved = orbit_kernel(self.bias.view(1, -1, *ones), self.movement)
        return moved.mean(0).flatten()

    def _computed_kernel(self) -> Tensor:
        # Here the orbits are those of the input.
        return orbit_kernel(self.weight.transpose(0, 1), self.movement).transpose(0, 1)

    def _take(self, symmetry: WindowSymmetry, channels: Permutations, plain: Plain) -> None:
        self.symmetry = symmetry
        self.movement = Movement(symmetry.elements, channels, tuple(plain.kernel_size))
        scores, width, *ones = self.weight.shape
        self.weight = nn.Parameter(self.weight.new_empty(scores, width // symmetry.order, *ones))


class ScoreConv2d(ScoreFilters, Conv2d):
    """Last layer in 2D."""

    def __init__(self, plain: Conv2d, symmetry: WindowSymmetry) -> None:
        super().__init__(**_like(plain))
        self._take(symmetry, symmetry.outputs, plain)


class ScoreConv3d(ScoreFilters, Conv3d):
    """Last layer in 3D."""

    def __init__(self, plain: Conv3d, symmetry: WindowSymmetry) -> None:
        super().__init__(**_like(plain))
        self._take(symmetry, symmetry.outputs, plain)


class OrbitNorm(GroupNorm):
    """GroupNorm with one scale and one shift per orbit.

    It is equivariant if an element maps every group of channels onto a group: groups of whole
    orbits, or one group per channel.
    """

    def __init__(self, plain: nn.GroupNorm, symmetry: WindowSymmetry) -> None:
        super().__init__(plain.num_groups, plain.num_channels, plain.eps)
        self.order = symmetry.order
        orbits = plain.num_channels // symmetry.order
        self.weight = nn.Parameter(self.weight.new_ones(orbits))
        self.bias = nn.Parameter(self.bias.new_zeros(orbits))

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Return scale and shift (C,) of every channel."""
        return per_channel(self.weight, self.order), per_channel(self.bias, self.order)
