"""Resample scores from the network's grid to the scan's grid, and write labels and other results.

Scores are resampled, not labels, which keeps borders smooth. Scores arrive slab by slab; only a few
planes are held at the scan's resolution, and of the network's grid only the planes that the next
ones still need.
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
from segkit.preprocessing.chain import InverseTransform
from segkit.preprocessing.resample import apply_matrix, axis_matrices, resample
from segkit.volume import Box, Shape

Scores = NDArray[np.float32]
"""Scores (K, X, Y, Z) of some planes."""
Decide = Callable[[Scores], NDArray[Any]]
"""Function from scores to one value (X, Y, Z) or several values (K, X, Y, Z) of each voxel."""

SLAB_BYTES = 16 << 20
"""Bytes of the scores that are held at the scan's resolution."""
VOXELS_IN_CACHE = 1 << 15
"""Number of voxels whose highest score is found together, so that they stay in the cache."""


@dataclass(frozen=True, eq=False)
class Output:
    """Array to fill, and the function from a voxel's scores to its values."""

    decide: Decide
    array: NDArray[Any]
    """Values (X, Y, Z) or (K, X, Y, Z) on the scan's grid; unchanged outside the cropped grid."""


@dataclass(frozen=True)
class Part:
    """Part of a scan: a box of the cropped grid, and the box of the network's grid it needs."""

    box: Box
    network_box: Box


def split_into_parts(
    inverse: InverseTransform, axis: int, count: int, box: Box | None = None
) -> list[Part]:
    """Split the cropped grid, or a box of it, along an axis.

    Args:
        inverse: the grids of the scan.
        axis: 0, 1 or 2 for X, Y or Z of the cropped grid.
        count: number of parts; there are fewer where the box has fewer voxels along the axis.
        box: box of the cropped grid; None is all of it.
    """
    whole = box or whole_box(inverse.cropped_shape)
    first, last = whole[axis].start, whole[axis].stop
    cuts = [first + round(number * (last - first) / count) for number in range(count + 1)]
    matrices, parts = _matrices(inverse), []
    for start, stop in pairwise(cuts):
        if start < stop:
            x, y, z = (
                slice(start, stop) if index == axis else span for index, span in enumerate(whole)
            )
            parts.append(Part((x, y, z), _network_box((x, y, z), matrices)))
    return parts


def whole_box(shape: Shape) -> Box:
    """Return the box that holds all voxels of a grid."""
    x, y, z = (slice(0, size) for size in shape)
    return x, y, z


def _network_box(box: Box, matrices: Mapping[int, sparse.csr_array]) -> Box:
    spans = list(box)
    for axis, matrix in matrices.items():
        columns = matrix[box[axis]].indices
        spans[axis] = slice(int(columns.min()), int(columns.max()) + 1)
    x, y, z = spans
    return x, y, z


def label_dtype(values: Sequence[int]) -> np.dtype[Any]:
    """Return the smallest integer type that holds all ``values``.

    >>> label_dtype((0, 5, 300)).name
    'uint16'
    """
    return np.result_type(*(np.min_scalar_type(value) for value in values))


def decide_by(label_values: Sequence[int], *, regions: bool = False) -> Decide:
    """Return the function from scores to a label map: the value of the highest score of a voxel.

    With ``regions``, which may overlap, every output with a score above 0 (a probability above 1/2)
    is written, later ones over earlier ones.
    """
    table = np.asarray(label_values, dtype=label_dtype(label_values))
    if regions:
        return lambda scores: merge_regions(scores > 0, label_values, table.dtype)
    if np.array_equal(table, np.arange(len(table))):
        return highest
    return lambda scores: table[highest(scores)]


def highest(scores: Scores) -> NDArray[Any]:
    """Return the index (X, Y, Z) of the highest of scores (K, X, Y, Z), the first of equal ones.

    The result is that of `numpy.argmax`, which took eight times as long for 15 scores and four
    times as long for 118, in the type of `label_dtype`.

    >>> highest(np.array([0.5, 2.0, 2.0], np.float32).reshape(3, 1, 1, 1)).item()
    1
    """
    dtype = label_dtype(range(len(scores)))
    flat = scores.reshape(len(scores), -1)
    indices = np.empty(flat.shape[1], dtype)
    for start in range(0, indices.size, VOXELS_IN_CACHE):
        voxels = slice(start, start + VOXELS_IN_CACHE)
        _write_highest(flat[:, voxels], indices[voxels])
    return indices.reshape(scores.shape[1:])


def _write_highest(scores: NDArray[np.float32], indices: NDArray[Any]) -> None:
    """Write the index of the highest of (K, n) scores into (n,).

    Arithmetic replaces masks, because processors have fast instructions for it.
    """
    indices[...] = 0
    best = scores[0].copy()
    for index, score in enumerate(scores[1:], start=1):
        higher = (score > best).view(np.uint8)
        np.maximum(best, score, out=best)
        # Indices ascend, so the maximum of all candidates is the index of the last new highest.
        candidate = np.multiply(higher, indices.dtype.type(index), dtype=indices.dtype)
        np.maximum(indices, candidate, out=indices)


def write_on_scan_grid(
    slabs: Iterable[Scores],
    inverse: InverseTransform,
    outputs: Sequence[Output],
    *,
    axis: int = 0,
    part: Part | None = None,
    scores_of: Callable[[Scores], Scores] | None = None,
    classes: int = 1,
    slab_bytes: int = SLAB_BYTES,
) -> None:
    """Fill ``outputs`` on the scan's grid from consecutive slabs of scores on the network's grid.

    Args:
        slabs: (K, ...) planes along ``axis`` of the network's grid, from first to last; each is
            used before the next one is requested.
        inverse: the scan's grid, as `preprocessing.chain` kept it.
        outputs: arrays to fill.
        axis: 0 is X of the network's grid.
        part: the part of the scan that the slabs belong to; None is the whole scan.
        scores_of: linear function from a slab's values to scores; None where slabs hold scores.
        classes: number of scores of a voxel that ``scores_of`` returns.
        slab_bytes: memory for scores at the scan's resolution.
    """
    box = list(part.box if part else whole_box(inverse.cropped_shape))
    targets = [Output(output.decide, inverse.view(output.array)) for output in outputs]
    done = box[axis].start
    # The in-plane resampling steps pass through grids of either resolution.
    sizes = zip(inverse.network_shape, inverse.cropped_shape, strict=True)
    plane = math.prod(max(pair) for index, pair in enumerate(sizes) if index != axis)
    planes = int(slab_bytes / 4 / plane)
    for values in _resampled(slabs, _matrices(inverse, part), axis=axis, planes=planes):
        box[axis] = slice(done, done + values.shape[1 + axis])
        done += values.shape[1 + axis]
        voxels = slab_bytes // (4 * max(classes, values.shape[0]))
        for lines in _lines(values.shape[1:], voxels, axis):
            scores = values[:, *lines] if scores_of is None else scores_of(values[:, *lines])
            for target in targets:
                written: NDArray[Any] = target.array[_spatial(box)]
                written[_spatial(lines)] = target.decide(scores)
                drop_pages(target.array)


def _spatial(box: Sequence[slice]) -> Any:
    """Return the index of a box in an array (X, Y, Z) or (K, X, Y, Z)."""
    return (..., *box)


def _lines(shape: Sequence[int], voxels: int, axis: int) -> Iterator[Box]:
    """Yield boxes of about ``voxels`` voxels: planes along ``axis``, or lines of the longest axis.

    Whole planes lie together in a temporary file, so fewer of its pages are touched at a time.
    """
    if math.prod(shape) > voxels * shape[axis]:
        axis = int(np.argmax(shape))
    count = max(1, voxels * shape[axis] // math.prod(shape))
    for start in range(0, shape[axis], count):
        x, y, z = (
            slice(start, start + count) if index == axis else slice(None) for index in range(3)
        )
        yield x, y, z


def _matrices(inverse: InverseTransform, part: Part | None = None) -> dict[int, sparse.csr_array]:
    """Return the matrices that resample the axes whose spacing changes, for a part of the scan."""
    matrices = axis_matrices(inverse.network_shape, inverse.cropped_shape, "linear")
    if part is None:
        return matrices
    return {
        axis: matrix[part.box[axis]][:, part.network_box[axis]] for axis, matrix in matrices.items()
    }


def _resampled(
    slabs: Iterable[Scores], matrices: Mapping[int, sparse.csr_array], *, axis: int, planes: int
) -> Iterator[Scores]:
    """Yield the scores on the cropped grid, at most ``planes`` planes of one class at a time.

    With several classes there are correspondingly fewer planes.
    """
    in_plane = {index: matrix for index, matrix in matrices.items() if index != axis}
    thin_slabs = _cut(slabs, axis=axis, planes=planes)
    for scores in _resampled_along(thin_slabs, matrices.get(axis), axis=axis, planes=planes):
        yield resample(scores, in_plane)


def _cut(slabs: Iterable[Scores], *, axis: int, planes: int) -> Iterator[Scores]:
    for slab in slabs:
        count = max(1, planes // slab.shape[0])
        for start in range(0, slab.shape[1 + axis], count):
            box = [slice(None)] * 3
            box[axis] = slice(start, start + count)
            yield slab[:, *box]


def _resampled_along(
    slabs: Iterable[Scores], matrix: sparse.csr_array | None, *, axis: int, planes: int
) -> Iterator[Scores]:
    """Yield planes resampled along ``axis`` as soon as all planes that they need have arrived."""
    if matrix is None:
        yield from slabs
        return
    first = np.minimum.reduceat(matrix.indices, matrix.indptr[:-1])
    last = np.maximum.reduceat(matrix.indices, matrix.indptr[:-1])
    done = begin = 0
    held: Scores | None = None
    for slab in slabs:
        held = slab if held is None else np.concatenate([held, slab], axis=1 + axis)
        end = begin + held.shape[1 + axis]
        ready = int(np.searchsorted(last, end))  # rows whose last plane has arrived
        count = max(1, planes // held.shape[0])
        for start in range(done, ready, count):
            rows = matrix[start : min(start + count, ready)][:, begin:end]
            yield apply_matrix(rows, held, 1 + axis)
        done = ready
        kept_from = int(first[done]) - begin if done < len(first) else end - begin
        # Copied, because the slab that these planes are part of is overwritten.
        held = np.take(held, range(kept_from, end - begin), axis=1 + axis)
        begin += kept_from
