"""Scores of a whole scan from overlapping windows, for any network that maps windows to scores.

Everything here follows the scan when an axis of it is reversed: window starts, padding and weights. So a network that
treats both directions alike gives the reversed scores for the reversed scan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from segkit.errors import UsageError

Box = tuple[slice, slice, slice]
"""A part of a grid, along X, Y, Z."""

Network = Callable[[Tensor], Tensor | list[Tensor]]

BATCH_VOXELS = 2**18
"""Windows are put through the network together up to this many voxels: more gains nothing on a CPU."""

SIGMA = 1 / 8
"""Standard deviation of the weights in window edges, as in nnU-Net and MONAI."""

SMALLEST_WEIGHT = 1e-3
"""Keeps a corner that only one window sees well above rounding; the same as MONAI's."""


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """First indices of the windows along one axis of ``size >= window`` voxels.

    As few windows as reach from end to end with neighbours sharing at least ``overlap`` of an edge (less by up to one
    voxel of rounding), spread evenly. Reversing the axis gives the same windows.

    Raises:
        UsageError: ``overlap`` outside [0, 1).
    """
    if not 0 <= overlap < 1:
        raise UsageError(f"overlap must be at least 0 and below 1, not {overlap}")
    span = size - window
    count = math.ceil(span / max(1.0, window * (1 - overlap))) + 1
    if count == 1:
        return [0]
    if count % 2 and span % 2:
        # The middle one of an odd number of windows would have to start between two voxels.
        count += 1
    gaps = count - 1
    lower = [(2 * index * span + gaps) // (2 * gaps) for index in range((count + 1) // 2)]
    return lower + [span - start for start in reversed(lower[: count // 2])]


def count_windows(size: Sequence[int], window: Sequence[int], overlap: float) -> int:
    """How many windows cover an image of ``size``, which is padded where it is smaller than the window."""
    edges = zip(size, window, strict=True)
    return math.prod(len(window_starts(max(voxels, edge), edge, overlap)) for voxels, edge in edges)


def gaussian_weights(window: Sequence[int]) -> Tensor:
    """Weight of each voxel of a window's scores, float32 of shape ``window``, at most 1 and never 0."""
    weights = torch.ones(())
    for edge in window:
        distance = torch.arange(edge, dtype=torch.float64) - (edge - 1) / 2
        profile = torch.exp(-0.5 * (distance / (SIGMA * edge)) ** 2)
        weights = weights[..., None] * profile
    return weights.clamp(min=SMALLEST_WEIGHT).float()


def pad_to(image: Tensor, window: Sequence[int]) -> tuple[Tensor, Box]:
    """Surround ``image`` (C, X, Y, Z) with zeros where it is smaller than ``window``.

    Returns the padded image and the box in which the image lies in it.
    """
    margins = [_margins(image, axis, edge) for axis, edge in enumerate(window)]
    padded = functional.pad(image, [width for pair in reversed(margins) for width in pair])
    x, y, z = (slice(lower, lower + size) for (lower, _), size in zip(margins, image.shape[1:], strict=True))
    return padded, (x, y, z)


def apply_network(network: Network, windows: Tensor, slice_axis: int | None) -> Tensor | list[Tensor]:
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


def predict_scores(
    network: Network,
    image: Tensor,
    *,
    window: tuple[int, int, int],
    overlap: float = 0.5,
    slice_axis: int | None = None,
    batch: int | None = None,
) -> Tensor:
    """Scores (K, X, Y, Z), float32 and on the image's device, of ``image`` (C, X, Y, Z).

    Args:
        network: maps (B, C, *window) to (B, K, *window), in eval mode. Device, precision and memory layout are its own
            business (wrap it), as `torch.inference_mode` is the caller's.
        window: voxels along X, Y, Z; an image that is smaller is padded with zeros.
        slice_axis: the axis along which the window is 1 thick and which a 2D network does not get.
        batch: windows per call of the network; None chooses by their size.
    """
    padded, inside = pad_to(image, window)
    boxes = list(_boxes(padded.shape[1:], window, overlap))
    batch = batch or max(1, BATCH_VOXELS // math.prod(window))
    scored = _scored(network, padded, boxes, slice_axis=slice_axis, batch=batch)
    if len(boxes) == 1:
        _, scores = next(scored)
        return scores[:, *inside]
    return _weighted_mean(scored, gaussian_weights(window).to(image.device), padded.shape[1:])[:, *inside]


def _weighted_mean(scored: Iterator[tuple[Box, Tensor]], weights: Tensor, shape: Sequence[int]) -> Tensor:
    """Mean of the windows' scores at every voxel of a grid of ``shape``."""
    total = torch.zeros(tuple(shape), device=weights.device)
    sums: Tensor | None = None
    for box, scores in scored:
        if sums is None:
            sums = torch.zeros((scores.shape[0], *shape), device=weights.device)
        # One pass over memory: a product written out first takes 1.5 to 9 times as long.
        sums[:, *box].addcmul_(scores, weights)
        total[box] += weights
    if sums is None:
        raise ValueError("no windows")
    return sums.div_(total)


def _scored(
    network: Network, image: Tensor, boxes: Sequence[Box], *, slice_axis: int | None, batch: int
) -> Iterator[tuple[Box, Tensor]]:
    """Every box with its scores (K, X, Y, Z), float32."""
    for first in range(0, len(boxes), batch):
        group = boxes[first : first + batch]
        windows = torch.stack([image[:, *box] for box in group])
        scores = apply_network(network, windows, slice_axis)
        if isinstance(scores, list):
            raise TypeError("a network in training mode: call its eval() before predicting")
        yield from zip(group, scores.to(image.device, torch.float32), strict=True)


def _boxes(shape: Sequence[int], window: Sequence[int], overlap: float) -> Iterator[Box]:
    starts = [window_starts(size, edge, overlap) for size, edge in zip(shape, window, strict=True)]
    for corner in product(*starts):
        x, y, z = (slice(start, start + edge) for start, edge in zip(corner, window, strict=True))
        yield x, y, z


def _margins(image: Tensor, axis: int, edge: int) -> tuple[int, int]:
    """Voxels to add below and above along ``axis`` to reach ``edge``."""
    missing = max(0, edge - image.shape[1 + axis])
    lower, upper = missing // 2, missing - missing // 2
    if missing % 2 and _darker_below(image, axis):
        return upper, lower
    return lower, upper


def _darker_below(image: Tensor, axis: int) -> bool:
    """Is the first of the outermost pairs of planes that differ in mean darker at the lower end?

    The odd voxel of padding goes to the end where this says so, not always to the same one: reversing the axis then
    reverses the padding with the scan, and the scores as well.
    """
    others = [other for other in range(4) if other != 1 + axis]
    means = image.mean(dim=others, dtype=torch.float64)
    differing = torch.nonzero(means != means.flip(0))
    if not len(differing):
        return False
    first = int(differing[0])
    return bool(means[first] < means[-1 - first])
