"""The way back: scores on the network's grid to labels on the scan's grid.

Scores are resampled, not labels, which keeps borders smooth; slab by slab, because all scores on the scan's grid would
take labels x voxels x 4 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from segkit.postprocessing import merge_regions
from segkit.preprocessing.chain import WayBack
from segkit.preprocessing.resample import apply_matrix, axis_matrix

SLAB_BYTES = 16 << 20
"""Scores that are held at the scan's resolution at a time."""


def label_dtype(values: Sequence[int]) -> np.dtype[Any]:
    """The smallest integer type that holds all ``values``.

    >>> label_dtype((0, 5, 300)).name
    'uint16'
    """
    return np.result_type(*(np.min_scalar_type(value) for value in values))


def labels_of_scores(
    scores: NDArray[np.float32],
    way_back: WayBack,
    label_values: Sequence[int],
    *,
    regions: bool = False,
    slab_bytes: int = SLAB_BYTES,
) -> NDArray[Any]:
    """Label values (X, Y, Z) on the scan's own grid; background outside the box that the network saw.

    Args:
        scores: (K, X, Y, Z) on the network's grid.
        way_back: what `preprocessing.chain.prepare` kept of the scan's grid.
        label_values: the value of each of the K outputs.
        regions: they may overlap: every output with a score above 0 (a probability above 1/2) is written, later ones
            over earlier ones; else the output with the highest score is.
        slab_bytes: memory for scores at the scan's resolution.
    """
    table = np.asarray(label_values, dtype=label_dtype(label_values))
    labels = np.empty(way_back.cropped_shape, dtype=table.dtype)
    planes = _planes_per_slab(scores.shape[0], way_back, slab_bytes)
    matrices = [_matrix(n, wanted) for n, wanted in zip(way_back.network_shape, way_back.cropped_shape, strict=True)]
    for start in range(0, labels.shape[0], planes):
        stop = min(start + planes, labels.shape[0])
        slab = _resampled(scores, matrices, start, stop)
        labels[start:stop] = (
            merge_regions(slab > 0, label_values, table.dtype) if regions else table[np.argmax(slab, axis=0)]
        )
    return way_back.restore(labels)


def _planes_per_slab(classes: int, way_back: WayBack, slab_bytes: int) -> int:
    # The in-plane steps pass through grids of either resolution.
    rows, columns = (max(way_back.network_shape[axis], way_back.cropped_shape[axis]) for axis in (1, 2))
    return max(1, slab_bytes // (4 * classes * rows * columns))


def _matrix(n_in: int, n_out: int) -> sparse.csr_array | None:
    return None if n_in == n_out else axis_matrix(n_in, n_out, "linear")


def _resampled(
    scores: NDArray[np.float32], matrices: Sequence[sparse.csr_array | None], start: int, stop: int
) -> NDArray[np.float32]:
    """Scores (K, stop - start, Y, Z) of the planes ``start`` to ``stop`` of the cropped grid."""
    along_x, *in_plane = matrices
    if along_x is None:
        slab = scores[:, start:stop]
    else:
        rows = along_x[start:stop]
        first, last = int(rows.indices.min()), int(rows.indices.max()) + 1
        slab = apply_matrix(rows[:, first:last], scores[:, first:last], 1)
    for axis, matrix in enumerate(in_plane, start=2):
        if matrix is not None:
            slab = apply_matrix(matrix, slab, axis)
    return slab
