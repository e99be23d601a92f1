"""Windows of a network over an image: where they start, what their voxels weigh, and where they reach beyond it.

Everything here follows the image when an axis of it is reversed: starts, weights and padding. So a network that treats
both directions alike gives the reversed scores for the reversed image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import Protocol

import torch
from torch import Tensor

from segkit.errors import UsageError
from segkit.volume import Box

Edges = tuple[int, int, int]
"""Voxels along X, Y, Z."""

Network = Callable[[Tensor], Tensor | list[Tensor]]

BATCH_VOXELS = 2**18
"""Windows are put through the network together up to this many voxels: more gains nothing on a CPU."""

SIGMA = 1 / 8
"""Standard deviation of the weights in window edges, as in nnU-Net and MONAI."""

SMALLEST_WEIGHT = 1e-3
"""Keeps a corner that only one window sees well above rounding; the same as MONAI's."""


Margins = list[tuple[int, int]]
"""Voxels added below and above along X, Y, Z."""


class LazyImage(Protocol):
    """An image (C, X, Y, Z) of which parts are made when they are asked for."""

    @property
    def shape(self) -> Edges:
        """Voxels along X, Y, Z."""
        ...

    def part(self, box: Box) -> Tensor:
        """The voxels of a box, float32 (C, and those along X, Y, Z)."""
        ...


class WholeImage:
    """A tensor (C, X, Y, Z) as a `LazyImage`."""

    def __init__(self, voxels: Tensor) -> None:
        self.voxels = voxels

    @property
    def shape(self) -> Edges:
        _, x, y, z = self.voxels.shape
        return (x, y, z)

    def part(self, box: Box) -> Tensor:
        return self.voxels[:, *box]


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """First indices of the windows along one axis of ``size >= window`` voxels.

    As few windows as reach from end to end with neighbours sharing at least ``overlap`` of an edge (less by up to one
    voxel of rounding), spread evenly. Reversing the axis gives the same windows, if it is padded as `missing` says.

    Raises:
        UsageError: ``overlap`` outside [0, 1).
    """
    span, count = size - window, _count(size, window, overlap)
    if count == 1:
        return [0]
    gaps = count - 1
    lower = [(2 * index * span + gaps) // (2 * gaps) for index in range((count + 1) // 2)]
    return lower + [span - start for start in reversed(lower[: count // 2])]


def _count(size: int, window: int, overlap: float) -> int:
    if not 0 <= overlap < 1:
        raise UsageError(f"overlap must be at least 0 and below 1, not {overlap}")
    # Rounded, because 40 * (1 - 0.8) is a little less than 8 in floating-point numbers, and 80 / 8 windows are enough.
    return math.ceil(round((size - window) / max(1.0, window * (1 - overlap)), 9)) + 1


def missing(size: int, window: int, overlap: float) -> int:
    """Voxels to add to an axis so that windows fit, and begin at the same voxels when the axis is reversed.

    One where the middle one of an odd number of windows would have to begin between two voxels.

    >>> missing(5, 8, 0.5), missing(16, 8, 0.5), missing(15, 8, 0.5)
    (3, 0, 1)
    """
    if size < window:
        return window - size
    return (size - window) % 2 if _count(size, window, overlap) % 2 else 0


def own_spans(starts: Sequence[int], window: int) -> dict[int, tuple[int, int]]:
    """As few of the windows at ``starts`` as still cover the axis: start -> first voxel of its own, and the one after.

    Where two of them overlap they share what they have in common.

    >>> own_spans([0, 3, 6, 8], 6)
    {0: (0, 6), 6: (6, 10), 8: (10, 14)}
    """
    kept = [starts[0]]
    for start, following in pairwise([*starts[1:], math.inf]):
        if following > kept[-1] + window:
            kept.append(int(start))
    cuts = [
        kept[0],
        *((left + right + window) // 2 for left, right in pairwise(kept)),
        kept[-1] + window,
    ]
    return dict(zip(kept, pairwise(cuts), strict=True))


def covering_starts(starts: Sequence[int], window: int, first: int, stop: int) -> list[int]:
    """The fewest neighbouring windows of those at ``starts`` that cover the voxels ``first`` to ``stop``.

    >>> covering_starts([0, 4, 8, 12, 16], 8, 9, 15)  # 8 to 15
    [8]
    """
    lowest = max(start for start in starts if start <= first)
    highest = min(start for start in starts if start + window >= stop)
    return [start for start in starts if lowest <= start <= max(lowest, highest)]


def count_windows(size: Sequence[int], window: Sequence[int], overlap: float) -> int:
    """How many windows cover an image of ``size``, padded as `missing` says."""
    edges = zip(size, window, strict=True)
    return math.prod(
        _count(voxels + missing(voxels, edge, overlap), edge, overlap) for voxels, edge in edges
    )


def gaussian_weights(window: Sequence[int]) -> Tensor:
    """Weight of each voxel of a window's scores, float32 of shape ``window``, at most 1 and never 0."""
    weights = torch.ones(())
    for edge in window:
        distance = torch.arange(edge, dtype=torch.float64) - (edge - 1) / 2
        profile = torch.exp(-0.5 * (distance / (SIGMA * edge)) ** 2)
        weights = weights[..., None] * profile
    return weights.clamp(min=SMALLEST_WEIGHT).float()


def apply_network(
    network: Network, windows: Tensor, slice_axis: int | None
) -> Tensor | list[Tensor]:
    """Scores (B, K, X, Y, Z), or a list of them in training, of windows (B, C, X, Y, Z).

    With a ``slice_axis`` the windows are 1 voxel thick along it, and the network gets (B, C, and the two other axes).
    """
    if slice_axis is None:
        return network(windows)
    axis = 2 + slice_axis
    scores = network(windows.squeeze(axis))
    if isinstance(scores, list):
        return [each.unsqueeze(axis) for each in scores]
    return scores.unsqueeze(axis)


def margins(image: LazyImage, window: Sequence[int], overlap: float) -> Margins:
    """Voxels to add below and above along X, Y and Z: what is `missing` there."""
    return [
        _margins(image, axis, missing(image.shape[axis], edge, overlap))
        for axis, edge in enumerate(window)
    ]


def _margins(image: LazyImage, axis: int, added: int) -> tuple[int, int]:
    lower, upper = added // 2, added - added // 2
    if added % 2 and _darker_below(image, axis):
        return upper, lower
    return lower, upper


def _darker_below(image: LazyImage, axis: int) -> bool:
    """Is the first of the outermost pairs of planes that differ in mean darker at the lower end?

    The odd voxel of padding goes to the end where this says so, not always to the same one: reversing the axis then
    reverses the padding with the image, and the scores as well.
    """
    size = image.shape[axis]
    for below in range(size // 2):
        lower, upper = (_mean(image, axis, plane) for plane in (below, size - 1 - below))
        if lower != upper:
            return lower < upper
    return False


def _mean(image: LazyImage, axis: int, plane: int) -> float:
    x, y, z = (
        slice(plane, plane + 1) if each == axis else slice(0, size)
        for each, size in enumerate(image.shape)
    )
    # Copied, because the order of the sum, and with it the last digit, depends on how the voxels lie in memory.
    voxels = image.part((x, y, z)).clone(memory_format=torch.contiguous_format)
    return float(voxels.mean(dtype=torch.float64))


def boxes(starts: Sequence[Sequence[int]], window: Sequence[int]) -> list[Box]:
    """The windows that start at every combination of ``starts`` along X, Y and Z, Z running fastest."""
    found = []
    for corner in product(*starts):
        x, y, z = (slice(start, start + edge) for start, edge in zip(corner, window, strict=True))
        found.append((x, y, z))
    return found
