"""The way back: scores on the network's grid to labels on the scan's grid, slab by slab as they come.

Scores are resampled, not labels, which keeps borders smooth. What is held at the scan's resolution is a few planes, and
of the network's grid the planes that the next ones still need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from segkit.postprocessing import merge_regions
from segkit.preprocessing.chain import WayBack
from segkit.preprocessing.resample import apply_matrix, axis_matrix

Scores = NDArray[np.float32]
"""(K, X, Y, Z) of some planes."""
Decide = Callable[[Scores], NDArray[Any]]
"""Scores to label values, without the first axis."""

SLAB_BYTES = 16 << 20
"""Scores that are held at the scan's resolution at a time."""


@dataclass(frozen=True)
class Part:
    """Lines of the cropped grid along ``axis``, and the lines of the network's grid that they are made of."""

    axis: int
    lines: slice
    made_of: slice


def parts_of(way_back: WayBack, axis: int, count: int) -> list[Part]:
    """The cropped grid in ``count`` parts along ``axis``, fewer where it has fewer lines."""
    size = way_back.cropped_shape[axis]
    cuts = [round(number * size / count) for number in range(count + 1)]
    matrix = _matrix(way_back, axis)
    found = []
    for start, stop in pairwise(cuts):
        if start < stop:
            needed = range(start, stop) if matrix is None else matrix[start:stop].indices
            found.append(Part(axis, slice(start, stop), slice(int(min(needed)), int(max(needed)) + 1)))
    return found


def label_dtype(values: Sequence[int]) -> np.dtype[Any]:
    """The smallest integer type that holds all ``values``.

    >>> label_dtype((0, 5, 300)).name
    'uint16'
    """
    return np.result_type(*(np.min_scalar_type(value) for value in values))


def decide_by(label_values: Sequence[int], *, regions: bool = False) -> Decide:
    """Labels of scores: the value of the highest score of a voxel.

    ``regions`` may overlap: every output with a score above 0 (a probability above 1/2) is written, later ones over
    earlier ones.
    """
    table = np.asarray(label_values, dtype=label_dtype(label_values))
    if regions:
        return lambda scores: merge_regions(scores > 0, label_values, table.dtype)
    return lambda scores: table[np.argmax(scores, axis=0)]


def restore(
    slabs: Iterable[Scores],
    way_back: WayBack,
    decide: Decide,
    *,
    into: NDArray[Any],
    axis: int = 0,
    part: Part | None = None,
    classes: int = 1,
    slab_bytes: int = SLAB_BYTES,
) -> None:
    """Write the labels of consecutive slabs of scores on the network's grid, first to last, on the scan's own grid.

    Args:
        slabs: (K, ...) planes along ``axis`` of the network's grid; each is done with before the next is asked for.
        way_back: what `preprocessing.chain` kept of the scan's grid.
        decide: see `decide_by`.
        into: zeros (X, Y, Z) of the scan's shape; outside the box that the network saw they stay.
        axis: 0 is X of the network's grid.
        part: what the slabs are of, along another axis; None is the whole.
        classes: what ``decide`` makes K of the slabs into on its way, if that is more.
        slab_bytes: memory for scores at the scan's resolution.
    """
    place = [slice(None)] * 3
    if part:
        place[part.axis] = part.lines
    target, done = way_back.view(into), 0
    matrices = _matrices(way_back, part)
    # What one plane of the network's grid becomes; the in-plane steps pass through grids of either resolution.
    sizes = list(zip(way_back.network_shape, way_back.cropped_shape, strict=True))
    voxels = math.prod(max(pair) for pair in sizes) / sizes[axis][0]
    for scores in _resampled(_cut(slabs, axis, classes, int(slab_bytes / 4 / voxels)), matrices, axis):
        place[axis] = slice(done, done + scores.shape[1 + axis])
        target[tuple(place)] = decide(scores)
        done += scores.shape[1 + axis]


def _matrices(way_back: WayBack, part: Part | None) -> list[sparse.csr_array | None]:
    """What resamples each axis; None where an axis stays."""
    matrices = [_matrix(way_back, axis) for axis in range(3)]
    if part:
        whole = matrices[part.axis]
        matrices[part.axis] = None if whole is None else whole[part.lines][:, part.made_of]
    return matrices


def _matrix(way_back: WayBack, axis: int) -> sparse.csr_array | None:
    n_in, n_out = way_back.network_shape[axis], way_back.cropped_shape[axis]
    return None if n_in == n_out else axis_matrix(n_in, n_out, "linear")


def _resampled(pieces: Iterable[Scores], matrices: Sequence[sparse.csr_array | None], axis: int) -> Iterator[Scores]:
    """The same scores on the cropped grid, a few planes at a time."""
    for planes in _along(pieces, matrices[axis], axis):
        result = planes
        for each, matrix in enumerate(matrices):
            if matrix is not None and each != axis:
                result = apply_matrix(matrix, result, 1 + each)
        yield result


def _cut(slabs: Iterable[Scores], axis: int, classes: int, planes: int) -> Iterator[Scores]:
    """The same slabs in pieces of so many planes of one class, or fewer where there are more classes."""
    for slab in slabs:
        many = max(1, planes // max(classes, slab.shape[0]))
        for start in range(0, slab.shape[1 + axis], many):
            yield slab[
                (slice(None), *(slice(start, start + many) if each == axis else slice(None) for each in range(3)))
            ]


def _along(pieces: Iterable[Scores], matrix: sparse.csr_array | None, axis: int) -> Iterator[Scores]:
    """Planes of the other grid, as soon as those are there that they are made of."""
    if matrix is None:
        yield from pieces
        return
    needed = [(row.indices.min(), row.indices.max() + 1) for row in (matrix[[n]] for n in range(matrix.shape[0]))]
    done = begin = 0
    held: Scores | None = None
    for piece in pieces:
        held = piece if held is None else np.concatenate([held, piece], axis=1 + axis)
        end = begin + held.shape[1 + axis]
        stop = done
        while stop < len(needed) and needed[stop][1] <= end:
            stop += 1
        if stop > done:
            yield apply_matrix(matrix[done:stop][:, begin:end], held, 1 + axis)
            done = stop
        kept = needed[done][0] - begin if done < len(needed) else end - begin
        # Copied: the slab that a piece is part of is overwritten.
        held, begin = np.take(held, range(kept, end - begin), axis=1 + axis), begin + kept
