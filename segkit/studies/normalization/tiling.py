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


def trim(size: int, window: int, overlap: float, divisor: int = 1) -> tuple[int, int]:
    """Return how many voxels to cut off both ends of an axis, so that its windows are shifted.

    Together they are the distance of neighboring windows; the rest of the axis has one window less.
    The first number is half of it, rounded down to a multiple of ``divisor`` if it is large enough,
    so that a network that halves the resolution halves it at the same places. Both are 0 where
    there is one window.

    Args:
        size: voxels of the axis, already padded to fit the windows.
        window: edge of a window in voxels.
        overlap: smallest fraction of an edge that neighbors share.
        divisor: the product of the network's strides along the axis.

    >>> trim(96, 32, 0.0), trim(96, 32, 0.0, divisor=12), trim(64, 32, 0.5), trim(32, 32, 0.0)
    ((16, 16), (12, 20), (8, 8), (0, 0))
    """
    starts = window_starts(size, window, overlap)
    if len(starts) == 1:
        return 0, 0
    distance = starts[1] - starts[0]
    half = distance // 2
    lower = half - half % divisor or half
    upper = distance - lower
    # The rest must not be padded, which would change the image.
    return lower, upper + missing(size - distance, window, overlap)


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


def trimmed(
    image: Tensor, windows: Windows, divisor: Edges
) -> tuple[Tensor, list[slice]] | tuple[None, None]:
    """Return a padded image (C, X, Y, Z) without what `trim` cuts off, and where that lies in it.

    Both are None where one window covers the image.
    """
    ends = [
        trim(size, edge, windows.overlap, step)
        for size, edge, step in zip(image.shape[1:], windows.edges, divisor, strict=True)
    ]
    if not any(lower or upper for lower, upper in ends):
        return None, None
    part = [
        slice(lower, size - upper)
        for size, (lower, upper) in zip(image.shape[1:], ends, strict=True)
    ]
    return image[:, *part].contiguous(), part


def changed(
    first: Tensor, second: Tensor, part: Sequence[slice], inside: Sequence[slice]
) -> tuple[Tensor, Tensor]:
    """Return where two predictions differ, and where either has a label, as booleans (X, Y, Z).

    They cover the part of the image that both predictions have.

    Args:
        first: labels (R, X, Y, Z) of the padded image; R is 1 unless labels overlap.
        second: labels of a part of the padded image.
        part: where this part lies in it.
        inside: where the image without padding lies in it.
    """
    common = [
        slice(max(one.start, other.start), min(one.stop, other.stop))
        for one, other in zip(part, inside, strict=True)
    ]
    in_second = [
        slice(box.start - whole.start, box.stop - whole.start)
        for box, whole in zip(common, part, strict=True)
    ]
    one, other = first[:, *common], second[:, *in_second]
    return (one != other).any(0), ((one > 0) | (other > 0)).any(0)
