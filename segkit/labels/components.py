"""Connected components of a label map, found slab by slab to save memory.

A component consists of the voxels of one label that touch at least at a corner (26 neighbors). Each
slab shares a plane with the next one, and components of two slabs that share a voxel in that plane
are joined. Memory holds one slab and a few numbers for each component.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
import scipy
from numpy.typing import NDArray

from segkit.volume import Box

SLAB_VOXELS = 1 << 22
"""Number of voxels of a slab, which has at least two planes."""

MergedLabels = Sequence[int] | None
"""Labels that count as one, while all others are background; None to treat labels separately."""


@dataclass(frozen=True, eq=False)
class Components:
    """Components of a label map: each array has one entry for each of the N components."""

    values: NDArray[Any]
    """Label of each component, or 1 where several labels count as one."""
    voxels: NDArray[np.int64]
    """Number of voxels of each component."""
    first: NDArray[np.int64]
    """Lowest index (N, 3) of each component along X, Y and Z."""
    last: NDArray[np.int64]
    """Highest index (N, 3) of each component along X, Y and Z."""
    merged: MergedLabels
    """Labels that count as one."""
    axis: int
    """Axis along which slabs follow each other."""
    slab_components: tuple[NDArray[np.int64], ...]
    """For each slab, an array from its components to the components of the whole label map."""


@dataclass(frozen=True, eq=False)
class _SlabComponents:
    """Components of one slab."""

    values: NDArray[Any]
    voxels: NDArray[np.int64]
    """Number of voxels, without those in the plane that is shared with the next slab."""
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def find_components(labels: NDArray[Any], merged: MergedLabels = None) -> Components:
    """Return the connected components of a label map.

    Args:
        labels: writable integers (X, Y, Z); 0 is background.
        merged: labels that count as one; all others are then background.

    >>> row = np.array([1, 1, 0, 2, 1], np.uint8).reshape(5, 1, 1)
    >>> components = find_components(row)
    >>> components.values.tolist(), components.voxels.tolist(), components.first[:, 0].tolist()
    ([1, 2, 1], [2, 1, 1], [0, 3, 4])
    >>> find_components(row, merged=[1, 2]).voxels.tolist()
    [2, 2]
    """
    axis, count = _slab_axis(labels), 0
    slabs: list[_SlabComponents] = []
    links = [np.empty((2, 0), np.int64)]
    shared_plane = np.empty(0, np.int64)
    for box in _slab_boxes(labels, axis):
        slab = _foreground(labels[box], merged)
        numbers = cc3d.connected_components(slab, connectivity=26)
        if slabs:
            links.append(_links(shared_plane, _plane_numbers(numbers, axis, 0, count)))
        shared_plane = _plane_numbers(numbers, axis, -1, count)
        is_last = box[axis].stop == labels.shape[axis]
        slabs.append(_measure_slab(slab, numbers, box, axis, is_last=is_last))
        count += len(slabs[-1].values)
    return _join(slabs, np.concatenate(links, axis=1), merged, axis)


def components_per_label(labels: NDArray[Any]) -> Counter[int]:
    """Return the number of components of each label of a label map (X, Y, Z).

    It is the number of components that `find_components` returns, but faster for a small map.

    >>> components_per_label(np.array([1, 1, 0, 2, 1], np.uint8).reshape(5, 1, 1))
    Counter({1: 2, 2: 1})
    """
    if labels.size > SLAB_VOXELS:
        return Counter(find_components(labels).values.tolist())
    foreground = _foreground(labels, None)
    numbers, count = cc3d.connected_components(foreground, connectivity=26, return_N=True)
    values = np.zeros(count + 1, labels.dtype)
    values[numbers] = labels
    return Counter(values[1:].tolist())


def erase_components(
    labels: NDArray[Any], components: Components, erased: NDArray[np.bool_]
) -> None:
    """Set some components of a label map to background, in place.

    Args:
        labels: the label map (X, Y, Z) in which ``components`` were found.
        components: its components.
        erased: for each component, True if it is to be erased.
    """
    axis = components.axis
    for box, component_of in zip(
        _slab_boxes(labels, axis), components.slab_components, strict=True
    ):
        is_erased = np.concatenate([[False], erased[component_of]])
        if not is_erased.any():
            continue
        foreground = _foreground(labels[box], components.merged)
        numbers = cc3d.connected_components(foreground, connectivity=26)
        planes = list(
            zip(np.moveaxis(labels[box], axis, 0), np.moveaxis(numbers, axis, 0), strict=True)
        )
        # Leave the plane that is shared with the next slab unchanged, so that the components of
        # that slab keep their numbers.
        if box[axis].stop != labels.shape[axis]:
            planes = planes[:-1]
        for plane, plane_numbers in planes:
            # One plane at a time, because numpy converts indices to 8 bytes.
            plane[is_erased[plane_numbers]] = 0


def label_box(labels: NDArray[Any], value: int) -> Box | None:
    """Return the bounding box of one label of a label map (X, Y, Z); None if no voxel has it.

    >>> label_box(np.array([0, 2, 0, 2], np.uint8).reshape(4, 1, 1), 2)
    (slice(1, 4, None), slice(0, 1, None), slice(0, 1, None))
    """
    projections = [np.zeros(size, np.bool_) for size in labels.shape]
    for box in _slab_boxes(labels, _slab_axis(labels)):
        mask = labels[box] == value
        for axis, projection in enumerate(projections):
            others = tuple(other for other in range(3) if other != axis)
            projection[box[axis]] |= mask.any(axis=others)
    if not projections[0].any():
        return None
    indices = [np.flatnonzero(projection) for projection in projections]
    x, y, z = (slice(int(index[0]), int(index[-1]) + 1) for index in indices)
    return x, y, z


def _slab_axis(labels: NDArray[Any]) -> int:
    """Return the slowest axis in memory, so that the voxels of a slab are contiguous."""
    return max(range(3), key=lambda axis: (labels.shape[axis] > 1, abs(labels.strides[axis])))


def _slab_boxes(labels: NDArray[Any], axis: int) -> Iterator[Box]:
    """Yield the boxes of the slabs, each with the first plane of the next slab."""
    size = labels.shape[axis]
    planes = max(1, SLAB_VOXELS * size // max(1, labels.size))
    for start in range(0, max(1, size - 1), planes):
        box = [slice(0, length) for length in labels.shape]
        box[axis] = slice(start, min(size, start + planes + 1))
        yield box[0], box[1], box[2]


def _foreground(slab: NDArray[Any], merged: MergedLabels) -> NDArray[Any]:
    if merged is not None:
        mask = slab == merged[0]
        for value in merged[1:]:
            mask |= slab == value
        slab = mask
    # cc3d 4.1 fails on a row of booleans.
    return slab.view(np.uint8) if slab.dtype == np.bool_ else slab


def _plane_numbers(
    numbers: NDArray[Any], axis: int, plane: int, previous: int
) -> NDArray[np.int64]:
    """Return one plane of component numbers, offset by ``previous``; background is -1."""
    flat = numbers.take(plane, axis).ravel().astype(np.int64)
    return np.where(flat > 0, flat + (previous - 1), -1)


def _links(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pairs (2, N) of components of two slabs that share a voxel."""
    inside = above >= 0
    return np.unique(np.stack([above[inside], below[inside]]), axis=1)


def _measure_slab(
    slab: NDArray[Any], numbers: NDArray[Any], box: Box, axis: int, *, is_last: bool
) -> _SlabComponents:
    statistics = cc3d.statistics(numbers, no_slice_conversion=True)
    voxels = statistics["voxel_counts"].astype(np.int64)
    if not is_last:
        voxels -= np.bincount(numbers.take(-1, axis).ravel(), minlength=voxels.size)
    values = np.zeros(voxels.size, slab.dtype)
    for plane_numbers, plane in zip(
        np.moveaxis(numbers, axis, 0), np.moveaxis(slab, axis, 0), strict=True
    ):
        values[plane_numbers] = plane
    bounds = statistics["bounding_boxes"].astype(np.int64)[1:]
    start = [span.start for span in box]
    return _SlabComponents(values[1:], voxels[1:], bounds[:, ::2] + start, bounds[:, 1::2] + start)


def _join(
    slabs: Sequence[_SlabComponents],
    links: NDArray[np.int64],
    merged: MergedLabels,
    axis: int,
) -> Components:
    """Join the components of all slabs along the links between them."""
    values = np.concatenate([slab.values for slab in slabs])
    count, joined = _joined_numbers(len(values), links)
    joined_values, voxels = np.zeros(count, values.dtype), np.zeros(count, np.int64)
    first, last = np.full((count, 3), np.iinfo(np.int64).max), np.zeros((count, 3), np.int64)
    joined_values[joined] = values
    np.add.at(voxels, joined, np.concatenate([slab.voxels for slab in slabs]))
    np.minimum.at(first, joined, np.concatenate([slab.first for slab in slabs]))
    np.maximum.at(last, joined, np.concatenate([slab.last for slab in slabs]))
    cuts = np.cumsum([len(slab.values) for slab in slabs])[:-1]
    per_slab = tuple(np.split(joined, cuts))
    return Components(joined_values, voxels, first, last, merged, axis, per_slab)


def _joined_numbers(size: int, links: NDArray[np.int64]) -> tuple[int, NDArray[Any]]:
    """Return the number of joined components, and the one to which each slab component belongs."""
    if not links.size:  # as in a map of one slab
        return size, np.arange(size)
    links_as_ones = (np.ones(links.shape[1], np.bool_), tuple(links))
    graph = scipy.sparse.coo_array(links_as_ones, shape=(size, size))
    count, joined = scipy.sparse.csgraph.connected_components(graph, directed=False)
    return count, joined
