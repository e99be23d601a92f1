"""Windows over an image: their starts, the weights of their voxels, and the padding of the image.

Starts, weights and padding are reversed with the image when one of its axes is reversed. A network
that treats both directions alike therefore gives the reversed scores for the reversed image.
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
"""Number of voxels along X, Y, Z."""

Network = Callable[[Tensor], Tensor | list[Tensor]]
"""Function from a batch of windows to scores, or in training to a list of scores."""

BATCH_VOXELS = 2**18
"""Largest number of voxels of a batch of windows; larger batches are not faster on a CPU."""

SIGMA = 1 / 8
"""Standard deviation of the Gaussian weights in window edges, as in nnU-Net and MONAI."""

SMALLEST_WEIGHT = 1e-3
"""Smallest weight, the same as MONAI's: it is far above rounding errors where a corner of the image
is covered by one window only."""

Margins = list[tuple[int, int]]
"""Number of voxels added below and above the image along X, Y, Z."""


class LazyImage(Protocol):
    """Image (C, X, Y, Z) whose parts are computed on request."""

    @property
    def shape(self) -> Edges:
        """Number of voxels along X, Y, Z."""
        ...

    def part(self, box: Box) -> Tensor:
        """Return the voxels (C, X, Y, Z) of a box, float32."""
        ...


class WholeImage:
    """Tensor (C, X, Y, Z) as a `LazyImage`."""

    def __init__(self, voxels: Tensor) -> None:
        self.voxels = voxels

    @property
    def shape(self) -> Edges:
        """Number of voxels along X, Y, Z."""
        _, x, y, z = self.voxels.shape
        return (x, y, z)

    def part(self, box: Box) -> Tensor:
        """Return the voxels (C, X, Y, Z) of a box; a view."""
        return self.voxels[:, *box]


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """Return the first voxels of the windows along one axis.

    There are as few windows as possible, spread evenly, that reach from end to end with neighbors
    that share at least ``overlap`` of an edge (up to one voxel less by rounding). Reversing the
    axis gives the same windows if the axis is padded by `missing`.

    Args:
        size: number of voxels of the axis, at least ``window``.
        window: edge of a window in voxels.
        overlap: smallest fraction of an edge that neighbors share, 0 or more and below 1.

    Raises:
        UsageError: ``overlap`` is outside [0, 1).

    >>> window_starts(16, 8, 0.5)
    [0, 4, 8]
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
    # Rounded, because 40 * (1 - 0.8) is a little less than 8 in floating-point numbers, which
    # would count one window too many.
    return math.ceil(round((size - window) / max(1.0, window * (1 - overlap)), 9)) + 1


def missing(size: int, window: int, overlap: float) -> int:
    """Return how many voxels to add to an axis so that windows fit, in both directions alike.

    One voxel is added where the middle one of an odd number of windows would have to begin between
    two voxels.

    >>> missing(5, 8, 0.5), missing(16, 8, 0.5), missing(15, 8, 0.5)
    (3, 0, 1)
    """
    if size < window:
        return window - size
    return (size - window) % 2 if _count(size, window, overlap) % 2 else 0


def own_spans(starts: Sequence[int], window: int) -> dict[int, tuple[int, int]]:
    """Return as few of the windows as still cover the axis, and the span that each of them owns.

    A span is a first voxel and the one after the last; overlapping windows share their overlap.

    Args:
        starts: first voxels of the windows along the axis.
        window: edge of a window in voxels.

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
    """Return the first voxels of the fewest windows that cover a part of an axis.

    Args:
        starts: first voxels of the windows along the axis.
        window: edge of a window in voxels.
        first: first voxel of the part.
        stop: the voxel after the last one.

    >>> covering_starts([0, 4, 8, 12, 16], 8, 9, 15)  # 8 to 15
    [8]
    """
    lowest = max(start for start in starts if start <= first)
    highest = min(start for start in starts if start + window >= stop)
    return [start for start in starts if lowest <= start <= max(lowest, highest)]


def count_windows(size: Sequence[int], window: Sequence[int], overlap: float) -> int:
    """Return how many windows cover an image.

    Args:
        size: voxels of the image along each axis, before padding.
        window: voxels of a window along each axis.
        overlap: smallest fraction of an edge that neighbors share.

    >>> count_windows((16, 8), (8, 8), 0.5)
    3
    """
    axes = zip(size, window, strict=True)
    return math.prod(
        _count(voxels + missing(voxels, edge, overlap), edge, overlap) for voxels, edge in axes
    )


def gaussian_weights(window: Sequence[int]) -> Tensor:
    """Return the weight of each voxel of a window (X, Y, Z): float32, at most 1, never 0."""
    weights = torch.ones(())
    for edge in window:
        distance = torch.arange(edge, dtype=torch.float64) - (edge - 1) / 2
        profile = torch.exp(-0.5 * (distance / (SIGMA * edge)) ** 2)
        weights = weights[..., None] * profile
    return weights.clamp(min=SMALLEST_WEIGHT).float()


def apply_network(
    network: Network, windows: Tensor, slice_axis: int | None
) -> Tensor | list[Tensor]:
    """Return the scores (B, K, X, Y, Z) of windows (B, C, X, Y, Z), or a list of them in training.

    With a ``slice_axis`` the windows are one voxel thick along it, and a 2D network gets them
    without that axis.
    """
    if slice_axis is None:
        return network(windows)
    axis = 2 + slice_axis
    scores = network(windows.squeeze(axis))
    if isinstance(scores, list):
        return [level.unsqueeze(axis) for level in scores]
    return scores.unsqueeze(axis)


def margins(image: LazyImage, window: Sequence[int], overlap: float) -> Margins:
    """Return how many voxels to add below and above an image along X, Y and Z (see `missing`)."""
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
    """Return whether the lower end of an axis is darker than the upper one.

    The outermost pair of planes with different means decides. The odd voxel of padding goes to the
    darker end, not always to the same one, so that reversing the axis reverses the padding as well.
    """
    size = image.shape[axis]
    for below in range(size // 2):
        lower, upper = (_mean(image, axis, plane) for plane in (below, size - 1 - below))
        if lower != upper:
            return lower < upper
    return False


def _mean(image: LazyImage, axis: int, plane: int) -> float:
    x, y, z = (
        slice(plane, plane + 1) if index == axis else slice(0, size)
        for index, size in enumerate(image.shape)
    )
    # Copied, because the order of the sum, and so its last digit, depends on the memory format.
    voxels = image.part((x, y, z)).clone(memory_format=torch.contiguous_format)
    return float(voxels.mean(dtype=torch.float64))


def boxes(starts: Sequence[Sequence[int]], window: Sequence[int]) -> list[Box]:
    """Return the windows at every combination of ``starts`` along X, Y and Z; Z changes fastest."""
    windows = []
    for corner in product(*starts):
        x, y, z = (slice(start, start + edge) for start, edge in zip(corner, window, strict=True))
        windows.append((x, y, z))
    return windows
