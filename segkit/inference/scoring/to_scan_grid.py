"""The way back: scores on the network's grid to labels on the scan's grid, slab by slab as they come.

Scores are resampled, not labels, which keeps borders smooth. What is held at the scan's resolution is a few planes, and
of the network's grid the planes that the next ones still need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from segkit.io.memory_map import drop_pages
from segkit.labels.postprocessing import merge_regions
from segkit.preprocessing.chain import WayBack
from segkit.preprocessing.resample import apply_matrix, axis_matrices, resample
from segkit.volume import Box, Shape

Scores = NDArray[np.float32]
"""(K, X, Y, Z) of some planes."""
Decide = Callable[[Scores], NDArray[Any]]
"""Scores to one value of a voxel, (X, Y, Z), or to several, (K, X, Y, Z)."""

SLAB_BYTES = 16 << 20
"""Scores that are held at the scan's resolution at a time."""
IN_CACHE = 1 << 15
"""Voxels whose highest score is found at a time."""


@dataclass(frozen=True, eq=False)
class Output:
    """Something that is decided by the scores of a voxel, and where it is written."""

    decide: Decide
    into: NDArray[Any]
    """(X, Y, Z) or (K, X, Y, Z) on the scan's grid; outside the box that the network saw it stays as it is."""


@dataclass(frozen=True)
class Part:
    """A box of the cropped grid, and the box of the network's grid that it is made of."""

    lines: Box
    made_of: Box


def parts_of(way_back: WayBack, axis: int, count: int, box: Box | None = None) -> list[Part]:
    """The cropped grid, or a box of it, in ``count`` parts along ``axis``, fewer where it has fewer lines."""
    whole = box or whole_box(way_back.cropped_shape)
    first, last = whole[axis].start, whole[axis].stop
    cuts = [first + round(number * (last - first) / count) for number in range(count + 1)]
    matrices, found = _matrices(way_back), []
    for start, stop in pairwise(cuts):
        if start < stop:
            x, y, z = (
                slice(start, stop) if each == axis else lines for each, lines in enumerate(whole)
            )
            found.append(Part((x, y, z), _made_of((x, y, z), matrices)))
    return found


def whole_box(shape: Shape) -> Box:
    """All of a grid."""
    x, y, z = (slice(0, size) for size in shape)
    return x, y, z


def _made_of(lines: Box, matrices: Mapping[int, sparse.csr_array]) -> Box:
    needed = list(lines)
    for axis, matrix in matrices.items():
        columns = matrix[lines[axis]].indices
        needed[axis] = slice(int(columns.min()), int(columns.max()) + 1)
    x, y, z = needed
    return x, y, z


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
    if np.array_equal(table, np.arange(len(table))):
        return highest
    return lambda scores: table[highest(scores)]


def highest(scores: Scores) -> NDArray[Any]:
    """Index (X, Y, Z) of the highest of the scores (K, X, Y, Z), the first of equal ones, in `label_dtype`.

    As `numpy.argmax`, which took eight times as long for 15 scores, and four times for 118.

    >>> highest(np.array([0.5, 2.0, 2.0], np.float32).reshape(3, 1, 1, 1)).item()
    1
    """
    dtype = label_dtype(range(len(scores)))
    flat = scores.reshape(len(scores), -1)
    found = np.empty(flat.shape[1], dtype)
    for start in range(0, found.size, IN_CACHE):
        _highest(flat[:, start : start + IN_CACHE], found[start : start + IN_CACHE])
    return found.reshape(scores.shape[1:])


def _highest(scores: NDArray[np.float32], found: NDArray[Any]) -> None:
    """Of (K, n) into (n,). Arithmetic instead of masks, for which processors have fast instructions."""
    found[...] = 0
    best = scores[0].copy()
    for index, score in enumerate(scores[1:], start=1):
        higher = (score > best).view(np.uint8)
        np.maximum(best, score, out=best)
        # Of the indices that were once the highest the largest was the last.
        np.maximum(
            found, np.multiply(higher, found.dtype.type(index), dtype=found.dtype), out=found
        )


def restore(
    slabs: Iterable[Scores],
    way_back: WayBack,
    outputs: Sequence[Output],
    *,
    axis: int = 0,
    part: Part | None = None,
    scores_of: Callable[[Scores], Scores] | None = None,
    classes: int = 1,
    slab_bytes: int = SLAB_BYTES,
) -> None:
    """Write what follows from consecutive slabs of scores on the network's grid, first to last, on the scan's grid.

    Args:
        slabs: (K, ...) planes along ``axis`` of the network's grid; each is done with before the next is asked for.
        way_back: what `preprocessing.chain` kept of the scan's grid.
        outputs: what is written.
        axis: 0 is X of the network's grid.
        part: what the slabs are of; None is the whole.
        scores_of: makes what the slabs hold into scores, linearly; None where they hold scores.
        classes: how many scores that makes of a voxel.
        slab_bytes: memory for scores at the scan's resolution.
    """
    place = list(part.lines if part else whole_box(way_back.cropped_shape))
    targets, done = (
        [Output(output.decide, way_back.view(output.into)) for output in outputs],
        place[axis].start,
    )
    # The in-plane steps pass through grids of either resolution.
    sizes = zip(way_back.network_shape, way_back.cropped_shape, strict=True)
    plane = math.prod(max(pair) for each, pair in enumerate(sizes) if each != axis)
    for found in _resampled(slabs, _matrices(way_back, part), axis, int(slab_bytes / 4 / plane)):
        place[axis] = slice(done, done + found.shape[1 + axis])
        done += found.shape[1 + axis]
        for lines in _lines(
            found.shape[1:], slab_bytes // (4 * max(classes, found.shape[0])), axis
        ):
            scores = found[:, *lines] if scores_of is None else scores_of(found[:, *lines])
            for target in targets:
                written: NDArray[Any] = target.into[_of_all(place)]
                written[_of_all(lines)] = target.decide(scores)
                drop_pages(target.into)


def _of_all(box: Sequence[slice]) -> Any:
    """Return the index of a box in an array (X, Y, Z) or (K, X, Y, Z)."""
    return (..., *box)


def _lines(shape: Sequence[int], voxels: int, along: int) -> Iterator[Box]:
    """Yield some planes ``along`` an axis at a time that have so many voxels, or else some lines of the longest axis.

    Whole planes lie together in a temporary file, of which fewer pages are then touched at a time.
    """
    axis = along if math.prod(shape) <= voxels * shape[along] else int(np.argmax(shape))
    many = max(1, voxels * shape[axis] // math.prod(shape))
    for start in range(0, shape[axis], many):
        x, y, z = (slice(start, start + many) if each == axis else slice(None) for each in range(3))
        yield x, y, z


def _matrices(way_back: WayBack, part: Part | None = None) -> dict[int, sparse.csr_array]:
    """What resamples the axes that change."""
    matrices = axis_matrices(way_back.network_shape, way_back.cropped_shape, "linear")
    if part is None:
        return matrices
    return {
        axis: matrix[part.lines[axis]][:, part.made_of[axis]] for axis, matrix in matrices.items()
    }


def _resampled(
    slabs: Iterable[Scores], matrices: Mapping[int, sparse.csr_array], axis: int, planes: int
) -> Iterator[Scores]:
    """The same scores on the cropped grid, at most so many planes of one class at a time, fewer of more classes."""
    in_plane = {each: matrix for each, matrix in matrices.items() if each != axis}
    for scores in _along(_cut(slabs, axis, planes), matrices.get(axis), axis, planes):
        yield resample(scores, in_plane)


def _cut(slabs: Iterable[Scores], axis: int, planes: int) -> Iterator[Scores]:
    for slab in slabs:
        many = max(1, planes // slab.shape[0])
        for start in range(0, slab.shape[1 + axis], many):
            box = [slice(None)] * 3
            box[axis] = slice(start, start + many)
            yield slab[:, *box]


def _along(
    pieces: Iterable[Scores], matrix: sparse.csr_array | None, axis: int, planes: int
) -> Iterator[Scores]:
    """Planes of the other grid, as soon as those are there that they are made of."""
    if matrix is None:
        yield from pieces
        return
    first = np.minimum.reduceat(matrix.indices, matrix.indptr[:-1])
    last = np.maximum.reduceat(matrix.indices, matrix.indptr[:-1])
    done = begin = 0
    held: Scores | None = None
    for piece in pieces:
        held = piece if held is None else np.concatenate([held, piece], axis=1 + axis)
        end = begin + held.shape[1 + axis]
        ready = int(np.searchsorted(last, end))  # rows whose last plane is there
        many = max(1, planes // held.shape[0])
        for start in range(done, ready, many):
            yield apply_matrix(
                matrix[start : min(start + many, ready)][:, begin:end], held, 1 + axis
            )
        done = ready
        kept = int(first[done]) - begin if done < len(first) else end - begin
        # Copied: the slab that a piece is part of is overwritten.
        held, begin = np.take(held, range(kept, end - begin), axis=1 + axis), begin + kept
