"""Tile mismatch: how many labels depend on where the windows lie.

A scan is predicted twice with windows of the same size and overlap. The second time, all windows
are shifted by half the distance between neighboring windows. If the prediction of a voxel did not
depend on its place in a window, both results would be the same.

This is the disagreement that arXiv 2503.19545 traces back to norms, measured on the final labels.
Besides the norm, the zeros with which convolutions pad a window contribute, and its limited view.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from segkit.sliding_window.rows import Windows
from segkit.sliding_window.windows import Edges, WholeImage, margins, missing, window_starts


def shift(size: int, window: int, overlap: float, divisor: int = 1) -> int:
    """Return by how many voxels to shift the windows along an axis; 0 where there is one window.

    It is half the distance of neighboring windows, rounded down to a multiple of ``divisor`` if it
    is large enough, so that a network that halves the resolution halves it at the same places.

    Args:
        size: voxels of the axis, already padded to fit the windows.
        window: edge of a window in voxels.
        overlap: smallest fraction of an edge that neighbors share.
        divisor: the product of the network's strides along the axis.

    >>> shift(64, 32, 0.0), shift(64, 32, 0.5), shift(32, 32, 0.0)
    (16, 8, 0)
    >>> shift(64, 32, 0.0, divisor=12)
    12
    """
    starts = window_starts(size, window, overlap)
    half = (starts[1] - starts[0]) // 2 if len(starts) > 1 else 0
    multiples = range(half - half % divisor, 0, -divisor)
    # The rest of the axis must not need a voxel of padding, which would be a change of the image.
    fitting = [
        voxels
        for voxels in (*multiples, *range(half, 0, -1))
        if not missing(size - voxels, window, overlap)
    ]
    return fitting[0] if fitting else 0


def padded(image: Tensor, windows: Windows) -> tuple[Tensor, tuple[slice, slice, slice]]:
    """Return an image (C, X, Y, Z), padded with zeros to fit the windows, and where it lies there.

    The sliding window pads the padded image no further.
    """
    around = margins(WholeImage(image), windows.edges, windows.overlap)
    x, y, z = (
        slice(lower, lower + size) for (lower, _), size in zip(around, image.shape[1:], strict=True)
    )
    widths = [width for pair in reversed(around) for width in pair]
    return functional.pad(image, widths), (x, y, z)


def shifts(shape: Sequence[int], windows: Windows, divisor: Edges) -> Edges:
    """Return the `shift` along X, Y and Z for a padded image of this shape."""
    x, y, z = (
        shift(size, edge, windows.overlap, step)
        for size, edge, step in zip(shape, windows.edges, divisor, strict=True)
    )
    return (x, y, z)


def cut(image: Tensor, moved: Edges) -> Tensor:
    """Return an image (C, X, Y, Z) without its first ``moved`` voxels along X, Y and Z."""
    x, y, z = moved
    return image[:, x:, y:, z:].contiguous()


def changed(
    first: Tensor, second: Tensor, moved: Edges, inside: Sequence[slice]
) -> tuple[Tensor, Tensor]:
    """Return where two predictions differ, and where either has a label, as booleans (X, Y, Z).

    They cover the part of the image that both predictions have.

    Args:
        first: labels (R, X, Y, Z) of the padded image; R is 1 unless labels overlap.
        second: labels of the padded image after `cut`.
        moved: the shift along X, Y and Z.
        inside: where the image lies in the padded one.
    """
    common = [
        slice(max(part.start, step), part.stop) for part, step in zip(inside, moved, strict=True)
    ]
    in_second = [
        slice(part.start - step, part.stop - step) for part, step in zip(common, moved, strict=True)
    ]
    one, other = first[:, *common], second[:, *in_second]
    return (one != other).any(0), ((one > 0) | (other > 0)).any(0)
