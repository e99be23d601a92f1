"""Windows over a scan for `seams.py`: where they lie, how a network predicts and joins them."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product

import torch
from torch import Tensor, nn

from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.sliding_window.windows import apply_network, gaussian_weights


@dataclass
class Tiles:
    """Windows over an image, and how they are predicted."""

    plan: Plan
    shape: tuple[int, ...]
    """Voxels of the image along X, Y, Z, no axis shorter than a window."""
    context: int = 0
    """Voxels that are predicted around a window and cut off."""
    trimmed: bool = False
    aligned: bool = False
    """True where windows begin at multiples of the network's strides."""
    work: int = 0
    """Voxels that the network has computed so far."""
    edges: list[int] = field(init=False)
    """Edges of what the network gets."""

    def __post_init__(self) -> None:
        self.edges = [
            min(window + 2 * self.context, size // step * step) if window > 1 else window
            for window, size, step in zip(
                self.plan.patch, self.shape, self.plan.network.divisor, strict=True
            )
        ]

    def starts(self, overlap: float, *, moved: bool) -> list[list[int]]:
        """Return the first voxels of windows along X, Y, Z; ``moved`` moves them by half a step."""
        axes = zip(self.shape, self.plan.patch, strict=True)
        even = [_even(size, window, overlap) for size, window in axes]
        chosen = [_moved(starts) if moved else starts for starts in even]
        if not self.aligned:
            return chosen
        steps = self.plan.network.divisor
        return [
            sorted({start // step * step for start in starts})
            for starts, step in zip(chosen, steps, strict=True)
        ]

    def predict(self, network: nn.Module, image: Tensor, starts: list[list[int]]) -> Tensor:
        """Return the mean scores (K, X, Y, Z) of the windows that begin at ``starts``."""
        weights = gaussian_weights(self.plan.patch)
        scores: Tensor | None = None
        total = torch.zeros(self.shape)
        for corner in product(*starts):
            window = self._scores(network, image, corner)
            if scores is None:
                scores = torch.zeros(len(window), *self.shape)
            ends = [start + edge for start, edge in zip(corner, self.plan.patch, strict=True)]
            box = [slice(start, end) for start, end in zip(corner, ends, strict=True)]
            kept = self._nearest(corner, starts) if self.trimmed else weights
            scores[:, *box] += window * kept
            total[*box] += kept
        assert scores is not None
        return scores / total

    def _scores(self, network: nn.Module, image: Tensor, corner: Sequence[int]) -> Tensor:
        """Return the scores (K, ...) of one window, predicted with its context."""
        box = self.box(corner)
        self.work += math.prod(self.edges)
        fast = ComputeMode("float32", "channels_last").wrap(network)
        scores = apply_network(fast, image[None, :, *box], self.plan.slice_axis)
        if isinstance(scores, list):
            raise TypeError("the network is in training mode")
        inside = [
            slice(start - part.start, start - part.start + window)
            for start, part, window in zip(corner, box, self.plan.patch, strict=True)
        ]
        return scores[0][:, *inside]

    def box(self, corner: Sequence[int]) -> list[slice]:
        """Return the box that the network gets for the window that begins at ``corner``."""
        begin = [
            min(max(0, start - (edge - window) // 2), size - edge)
            for start, window, edge, size in zip(
                corner, self.plan.patch, self.edges, self.shape, strict=True
            )
        ]
        return [slice(start, start + edge) for start, edge in zip(begin, self.edges, strict=True)]

    def _nearest(self, corner: Sequence[int], starts: list[list[int]]) -> Tensor:
        """Return 1 where no other window's center is nearer than this one's, else 0."""
        own = torch.ones(self.plan.patch)
        for axis, (start, window) in enumerate(zip(corner, self.plan.patch, strict=True)):
            kept = torch.zeros(window)
            index = starts[axis].index(start)
            before, after = starts[axis][max(0, index - 1) :][:1], starts[axis][index + 1 :][:1]
            low = (before[0] + start + window) // 2 - start if index else 0
            high = (start + after[0] + window) // 2 - start if after else window
            kept[low:high] = 1
            own = own * kept.view([-1 if other == axis else 1 for other in range(3)])
        return own


def _even(size: int, window: int, overlap: float) -> list[int]:
    """Return as few starts as possible, spread evenly, of windows that overlap at least so much."""
    gaps = math.ceil(round((size - window) / max(1.0, window * (1 - overlap)), 9))
    return [round(index * (size - window) / gaps) for index in range(gaps + 1)] if gaps else [0]


def _moved(starts: list[int]) -> list[int]:
    """Return starts in the middle between neighbors, and at both ends.

    >>> _moved([0, 8, 16])
    [0, 4, 12, 16]
    """
    between = [(low + high) // 2 for low, high in pairwise(starts)]
    return sorted({starts[0], *between, starts[-1]})


class PooledNorm(nn.Module):
    """Group norm with statistics over all samples of a batch, which it then keeps."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm
        self.scale: Tensor | None = None
        self.shift: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (B, C, ...), by the statistics of the first batch that it was given."""
        if self.scale is None or self.shift is None:
            groups = x.double().reshape(len(x), self.norm.num_groups, -1).transpose(0, 1).flatten(1)
            per_group = self.norm.num_channels // self.norm.num_groups
            mean = groups.mean(1).repeat_interleave(per_group)
            variance = groups.var(1, correction=0).repeat_interleave(per_group)
            scale = self.norm.weight.double() * torch.rsqrt(variance + self.norm.eps)
            self.shift = (self.norm.bias.double() - mean * scale).float()
            self.scale = scale.float()
        shape = (1, -1, *[1] * (x.ndim - 2))
        return x * self.scale.view(shape) + self.shift.view(shape)


def frozen(network: nn.Module, tiles: Tiles, image: Tensor) -> nn.Module:
    """Return a copy whose group norms use the statistics of all windows without overlap.

    These windows are computed as one batch, layer by layer, so that the statistics of a layer are
    those of inputs that were normalized with frozen statistics too.
    """
    fixed = copy.deepcopy(network)
    for name, norm in list(fixed.named_modules()):
        if isinstance(norm, nn.GroupNorm):
            parent, _, last = name.rpartition(".")
            setattr(fixed.get_submodule(parent), last, PooledNorm(norm))
    corners = product(*tiles.starts(0.0, moved=False))
    windows = torch.stack([image[:, *tiles.box(corner)] for corner in corners])
    apply_network(fixed, windows, tiles.plan.slice_axis)
    return fixed


def padded(network: nn.Module, mode: str) -> nn.Module:
    """Return a copy whose convolutions pad by ``mode``, a padding mode of torch."""
    changed = copy.deepcopy(network)
    for layer in changed.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d) and any(layer.padding):
            layer.padding_mode = mode
            layer._reversed_padding_repeated_twice = [
                edge for edge in reversed(layer.padding) for _ in range(2)
            ]
    return changed
