"""Separable resampling with one sparse matrix per axis, which is exact for any part of the output.

The field of view is preserved: n' = max(1, round(n s / s')), and the center of output voxel i is at
the input index (i + 0.5) n / n' - 0.5. When downsampling, the kernel is stretched by the factor, so
that voxels are averaged instead of skipped. Weights outside the field of view are dropped, and the
others are scaled to a sum of 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import scipy  # its submodules are imported on first use
from numpy.typing import NDArray

from segkit.volume import Box, Shape

Kind = Literal["cubic", "linear"]

RADIUS = {"cubic": 2.0, "linear": 1.0}
"""Radius of the kernels in voxels."""
LEAST_ANNOTATED = 0.25
"""Annotated share of a new voxel from which it counts as annotated.

It is the share of a single annotated slice in the nearest new slice when slices become twice as
thick.
"""
TIE = 1e-6
"""Difference up to which sums of weights in float32 count as equal."""


def grid_shape(
    shape: Sequence[int], spacing: Sequence[float], target: Sequence[float | None]
) -> Shape:
    """Return the shape (X, Y, Z) of the same field of view at another voxel spacing.

    Args:
        shape: number of voxels (X, Y, Z).
        spacing: voxel spacing (X, Y, Z).
        target: new voxel spacing (X, Y, Z); None leaves an axis unchanged.

    >>> grid_shape((10, 10, 5), (1.0, 1.0, 3.0), (2.0, None, 1.0))
    (5, 10, 15)
    """
    x, y, z = (
        n if wanted is None else max(1, round(n * edge / wanted))
        for n, edge, wanted in zip(shape, spacing, target, strict=True)
    )
    return (x, y, z)


def axis_matrix(n_in: int, n_out: int, kind: Kind) -> scipy.sparse.csr_array:
    """Return the weights (n_out, n_in) that resample one axis; every row sums to 1.

    The kernel of ``linear`` is a triangle; that of ``cubic`` is Keys' kernel with a = -0.5 (IEEE
    ASSP 29, 1981).

    >>> axis_matrix(2, 4, "linear").toarray().tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    factor = n_in / n_out
    stretch = max(1.0, factor)
    reach = math.ceil(RADIUS[kind] * stretch)
    centers = (np.arange(n_out) + 0.5) * factor - 0.5
    columns = np.floor(centers).astype(np.int64)[:, None] + np.arange(-reach, reach + 2)
    weights = _kernel((columns - centers[:, None]) / stretch, kind)
    weights[(columns < 0) | (columns >= n_in)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    kept = weights != 0
    rows = np.broadcast_to(np.arange(n_out)[:, None], columns.shape)
    return scipy.sparse.csr_array((weights[kept], (rows[kept], columns[kept])), shape=(n_out, n_in))


def axis_matrices(
    shape: Sequence[int], target: Sequence[int], kind: Kind
) -> dict[int, scipy.sparse.csr_array]:
    """Return a matrix for every axis that changes, in the order of application."""
    return {
        axis: axis_matrix(shape[axis], target[axis], kind) for axis in _changing_axes(shape, target)
    }


def matrices_of_part(
    matrices: Mapping[int, scipy.sparse.csr_array], box: Box
) -> tuple[Box, dict[int, scipy.sparse.csr_array]]:
    """Return the box of the input that a box of the output needs, and the matrices between them.

    >>> whole = slice(0, 5)
    >>> matrices_of_part({0: axis_matrix(2, 4, "linear")}, (slice(0, 1), whole, whole))[0]
    (slice(0, 1, None), slice(0, 5, None), slice(0, 5, None))
    """
    needed, cut = list(box), {}
    for axis, matrix in matrices.items():
        rows = matrix[box[axis]]
        needed[axis] = slice(int(rows.indices.min()), int(rows.indices.max()) + 1)
        cut[axis] = rows[:, needed[axis]]
    x, y, z = needed
    return (x, y, z), cut


def resample(
    array: NDArray[np.float32], matrices: Mapping[int, scipy.sparse.csr_array]
) -> NDArray[np.float32]:
    """Multiply the matrix of each axis into an array (C, X, Y, Z), one after the other."""
    for axis, matrix in matrices.items():
        array = apply_matrix(matrix, array, 1 + axis)
    return array


def resample_bytes(channels: int, shape: Sequence[int], target: Sequence[int]) -> int:
    """Return the peak memory of `resample` in bytes.

    Resampling an axis takes memory for its input twice (once reordered for the product) and for its
    output.

    Here Z comes first, and its output has 500 voxels; then X takes twice 500 voxels and 1000.

    >>> resample_bytes(1, (10, 10, 10), (20, 10, 5))
    10000
    """
    sizes, fullest = list(shape), 2 * math.prod(target)
    for axis in _changing_axes(shape, target):
        before = math.prod(sizes)
        sizes[axis] = target[axis]
        fullest = max(fullest, 2 * before + math.prod(sizes))
    return 4 * channels * fullest


def _changing_axes(shape: Sequence[int], target: Sequence[int]) -> list[int]:
    """Return the axes that change, those that shrink first, which saves work for the others."""
    order = sorted(range(3), key=lambda axis: target[axis] / shape[axis])
    return [axis for axis in order if target[axis] != shape[axis]]


def apply_matrix(
    matrix: scipy.sparse.csr_array, array: NDArray[np.float32], axis: int
) -> NDArray[np.float32]:
    """Multiply a matrix (n_out, n_in) into one axis of an array, in float32."""
    moved = np.moveaxis(array, axis, 0)
    flat = matrix.astype(np.float32) @ np.ascontiguousarray(moved).reshape(moved.shape[0], -1)
    return np.moveaxis(flat.reshape(-1, *moved.shape[1:]), 0, axis)


class SlabResampler:
    """Resamples an array (C, X, Y, Z) that arrives slab by slab along an axis.

    It holds only the planes that the next ones still need.
    """

    def __init__(
        self, matrices: Mapping[int, scipy.sparse.csr_array], *, axis: int, planes: int
    ) -> None:
        """
        Args:
            matrices: matrix of each axis that changes.
            axis: 0, 1 or 2 for X, Y or Z.
            planes: largest number of planes of one channel that are returned together; with several
                channels there are correspondingly fewer.
        """
        self._axis, self._planes = axis, planes
        self._in_plane = {index: matrix for index, matrix in matrices.items() if index != axis}
        self._matrix = matrices.get(axis)
        if self._matrix is not None:
            indices, rows = self._matrix.indices, self._matrix.indptr[:-1]
            self._first = np.minimum.reduceat(indices, rows)
            self._last = np.maximum.reduceat(indices, rows)
        self._held: NDArray[np.float32] | None = None
        self._begin = self._done = 0
        """First plane that is held, and number of planes that have been returned."""

    def add(self, slab: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield the planes that can be computed once ``slab``, the next one, has arrived."""
        count = max(1, self._planes // slab.shape[0])
        for start in range(0, slab.shape[1 + self._axis], count):
            box = [slice(None)] * 3
            box[self._axis] = slice(start, start + count)
            for planes in self._along_axis(slab[:, *box]):
                yield resample(planes, self._in_plane)

    def _along_axis(self, slab: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield planes resampled along the axis, as soon as all that they need have arrived."""
        if self._matrix is None:
            yield slab
            return
        axis, begin = 1 + self._axis, self._begin
        held = slab if self._held is None else np.concatenate([self._held, slab], axis=axis)
        end = begin + held.shape[axis]
        ready = int(np.searchsorted(self._last, end))  # rows whose last plane has arrived
        count = max(1, self._planes // held.shape[0])
        for start in range(self._done, ready, count):
            rows = self._matrix[start : min(start + count, ready)][:, begin:end]
            yield apply_matrix(rows, held, axis)
        self._done = ready
        kept_from = int(self._first[ready]) - begin if ready < len(self._first) else end - begin
        # Copied, because the slab that these planes are part of is overwritten.
        self._held = np.take(held, range(kept_from, end - begin), axis=axis)
        self._begin += kept_from


def resample_labels(
    labels: NDArray[Any], shape: Sequence[int], *, ignored: int | None = None
) -> NDArray[Any]:
    """Return label indices (X, Y, Z) resampled to ``shape``.

    The mask of every label is resampled linearly, and the label with the largest weight wins; in a
    tie, the lower index does. A new voxel counts as annotated if at least LEAST_ANNOTATED of it is
    not ``ignored``; otherwise single annotated slices would vanish between the new ones.
    """
    if labels.shape == tuple(shape):
        return labels
    matrices = [axis_matrix(*sizes, "linear") for sizes in zip(labels.shape, shape, strict=True)]
    result = np.zeros(tuple(shape), dtype=labels.dtype)
    best = np.zeros(tuple(shape), dtype=np.float32)
    boxes = scipy.ndimage.find_objects(labels.astype(np.int32) + 1)
    for index, box in enumerate(boxes):
        if box is not None and index != ignored:
            region, weights = _resampled_mask(labels[box] == index, box, matrices)
            wins = weights > best[region] + TIE
            best[region][wins] = weights[wins]
            result[region][wins] = index
    if ignored is not None and ignored < len(boxes):
        box = boxes[ignored]
        region, weights = _resampled_mask(labels[box] == ignored, box, matrices)
        result[region][weights > 1 - LEAST_ANNOTATED - TIE] = ignored
    return result


def _resampled_mask(
    mask: NDArray[np.bool_], box: tuple[slice, ...], matrices: Sequence[scipy.sparse.csr_array]
) -> tuple[tuple[slice, ...], NDArray[np.float32]]:
    """Return the box of the output that a mask inside ``box`` can reach, and its weights there."""
    weights: NDArray[np.float32] = mask.astype(np.float32)
    region: list[slice] = []
    for axis, (matrix, span) in enumerate(zip(matrices, box, strict=True)):
        columns = matrix[:, span]
        rows = np.flatnonzero(np.diff(columns.indptr))
        region.append(slice(rows[0], rows[-1] + 1) if rows.size else slice(0, 0))
        weights = apply_matrix(columns[region[-1]], weights, axis)
    return tuple(region), weights


def _kernel(distance: NDArray[np.float64], kind: Kind) -> NDArray[np.float64]:
    x = np.abs(distance)
    if kind == "linear":
        return np.maximum(0.0, 1.0 - x)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
