"""Connected pieces of a label map, found slab by slab: what is held is a slab and a few numbers for each piece.

A piece is voxels of one label that touch, at a corner at least (26 neighbours). A slab shares a plane with the next
one; components that meet in it are one piece.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

SLAB_VOXELS = 1 << 22
"""Voxels that are looked at together, but two planes at the least."""

Box = tuple[slice, slice, slice]
Labels = Sequence[int] | None
"""Labels that are looked at as one, while all others are background; None: each for itself."""


@dataclass(frozen=True, eq=False)
class Components:
    """The pieces of a label map; the arrays have an entry for each, in the order in which they begin."""

    values: NDArray[Any]
    """The label; 1 where several are looked at as one."""
    voxels: NDArray[np.int64]
    first: NDArray[np.int64]
    """(N, 3): the lowest index along X, Y and Z."""
    last: NDArray[np.int64]
    """(N, 3): the highest."""
    of: Labels
    axis: int
    """Along which slabs follow each other."""
    numbers: tuple[NDArray[np.int64], ...]
    """For each slab, which piece each of its components is part of."""


@dataclass(frozen=True, eq=False)
class _Part:
    """What is known of the components of one slab."""

    values: NDArray[Any]
    voxels: NDArray[np.int64]
    """Without those of the plane that the next slab has as well."""
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def find_components(labels: NDArray[Any], of: Labels = None) -> Components:
    """The pieces of a label map (X, Y, Z) of whole numbers, which must be writeable; 0 is background.

    >>> found = find_components(np.array([1, 1, 0, 2, 1], np.uint8).reshape(5, 1, 1))
    >>> found.values.tolist(), found.voxels.tolist(), found.first[:, 0].tolist()
    ([1, 2, 1], [2, 1, 1], [0, 3, 4])
    """
    axis, parts, links = _axis(labels), list[_Part](), [np.empty((2, 0), np.int64)]
    count, shared = 0, np.empty(0, np.int64)
    for box in _boxes(labels, axis):
        slab = _looked_at(labels[box], of)
        components = cc3d.connected_components(slab, connectivity=26)
        if parts:
            links.append(_links(shared, _numbered(components, axis, 0, count)))
        shared = _numbered(components, axis, -1, count)
        parts.append(_part(slab, components, box, axis, last=box[axis].stop == labels.shape[axis]))
        count += len(parts[-1].values)
    return _joined(parts, np.concatenate(links, axis=1), of, axis)


def components_per_label(labels: NDArray[Any]) -> Counter[int]:
    """Number of pieces of each label of a label map (X, Y, Z); as `find_components`, but faster for a small map.

    >>> components_per_label(np.array([1, 1, 0, 2, 1], np.uint8).reshape(5, 1, 1))
    Counter({1: 2, 2: 1})
    """
    if labels.size > SLAB_VOXELS:
        return Counter(find_components(labels).values.tolist())
    components, count = cc3d.connected_components(
        _looked_at(labels, None), connectivity=26, return_N=True
    )
    values = np.zeros(count + 1, labels.dtype)
    values[components] = labels
    return Counter(values[1:].tolist())


def erase_components(labels: NDArray[Any], pieces: Components, gone: NDArray[np.bool_]) -> None:
    """Make those of a label map's ``pieces`` that are ``gone`` background, in the map that is given."""
    axis = pieces.axis
    for box, numbers in zip(_boxes(labels, axis), pieces.numbers, strict=True):
        leaves = np.concatenate([[False], gone[numbers]])
        if leaves.any():
            components = cc3d.connected_components(
                _looked_at(labels[box], pieces.of), connectivity=26
            )
            planes = list(
                zip(
                    np.moveaxis(labels[box], axis, 0), np.moveaxis(components, axis, 0), strict=True
                )
            )
            # The plane that the next slab has as well stays as it is, for that slab's components must be the same.
            for plane, places in planes if box[axis].stop == labels.shape[axis] else planes[:-1]:
                plane[leaves[places]] = 0  # a plane at a time: numpy widens an index to 8 bytes


def label_box(labels: NDArray[Any], value: int) -> Box | None:
    """The smallest box around the voxels of a label map (X, Y, Z) with this value; None without any."""
    lines = [np.zeros(size, np.bool_) for size in labels.shape]
    for box in _boxes(labels, _axis(labels)):
        mask = labels[box] == value
        for axis, line in enumerate(lines):
            line[box[axis]] |= mask.any(axis=tuple(other for other in range(3) if other != axis))
    if not lines[0].any():
        return None
    x, y, z = (slice(int(places[0]), int(places[-1]) + 1) for places in map(np.flatnonzero, lines))
    return x, y, z


def _axis(labels: NDArray[Any]) -> int:
    """Along which slabs follow each other, so that each lies together in memory."""
    return max(range(3), key=lambda axis: (labels.shape[axis] > 1, abs(labels.strides[axis])))


def _boxes(labels: NDArray[Any], axis: int) -> Iterator[Box]:
    """Slabs, each with the first plane of the next one."""
    size = labels.shape[axis]
    many = max(1, SLAB_VOXELS * size // max(1, labels.size))
    for start in range(0, max(1, size - 1), many):
        box = [slice(0, length) for length in labels.shape]
        box[axis] = slice(start, min(size, start + many + 1))
        yield box[0], box[1], box[2]


def _looked_at(slab: NDArray[Any], of: Labels) -> NDArray[Any]:
    """As cc3d takes it: version 4.1 fails on a row of booleans."""
    if of is not None:
        found = slab == of[0]
        for value in of[1:]:
            found |= slab == value
        slab = found
    return slab.view(np.uint8) if slab.dtype == np.bool_ else slab


def _numbered(components: NDArray[Any], axis: int, plane: int, count: int) -> NDArray[np.int64]:
    """One plane, its components numbered behind the ``count`` of the slabs before; -1 is background."""
    found = components.take(plane, axis).ravel().astype(np.int64)
    return np.where(found > 0, found + (count - 1), -1)


def _links(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.int64]:
    """(2, N): components of two slabs that have a voxel in common."""
    inside = above >= 0
    return np.unique(np.stack([above[inside], below[inside]]), axis=1)


def _part(
    slab: NDArray[Any], components: NDArray[Any], box: Box, axis: int, *, last: bool
) -> _Part:
    figures = cc3d.statistics(components, no_slice_conversion=True)
    voxels = figures["voxel_counts"].astype(np.int64)
    if not last:
        voxels -= np.bincount(components.take(-1, axis).ravel(), minlength=voxels.size)
    values = np.zeros(voxels.size, slab.dtype)
    for places, plane in zip(
        np.moveaxis(components, axis, 0), np.moveaxis(slab, axis, 0), strict=True
    ):
        values[places] = plane
    bounds = figures["bounding_boxes"].astype(np.int64)[1:]
    start = [span.start for span in box]
    return _Part(values[1:], voxels[1:], bounds[:, ::2] + start, bounds[:, 1::2] + start)


def _joined(parts: Sequence[_Part], links: NDArray[np.int64], of: Labels, axis: int) -> Components:
    values, voxels, lowest, highest = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("values", "voxels", "first", "last")
    )
    graph = sparse.coo_array(
        (np.ones(links.shape[1], np.bool_), tuple(links)), shape=(len(values), len(values))
    )
    count, number = (
        sparse.csgraph.connected_components(graph, directed=False)
        if len(values)
        else (0, np.empty(0, int))
    )
    label, sizes = np.zeros(count, values.dtype), np.zeros(count, np.int64)
    first, last = np.full((count, 3), np.iinfo(np.int64).max), np.zeros((count, 3), np.int64)
    label[number] = values
    np.add.at(sizes, number, voxels)
    np.minimum.at(first, number, lowest)
    np.maximum.at(last, number, highest)
    cuts = np.cumsum([len(part.values) for part in parts])[:-1]
    return Components(label, sizes, first, last, of, axis, tuple(np.split(number, cuts)))
