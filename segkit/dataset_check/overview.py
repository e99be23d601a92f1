"""A scan and its label map in few voxels, which stay in memory while others are read."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # its submodules are imported on first use
from numpy.typing import NDArray

from segkit.dataset_check.edge_profiles import EdgeProfile, edge_profile
from segkit.volume import Shape

MOST_VOXELS = 1 << 16
"""Largest number of voxels of an overview."""
FEWEST_VOXELS = 50
"""Smallest number of voxels of a label in an overview for its edge to say something."""
MOST_LABELS = 12
"""Largest number of labels of an overview that are used, the largest first."""


@dataclass(frozen=True, eq=False)
class Overview:
    """Every k-th voxel of the first channel as 8 bits, and of the label map, compressed."""

    shape: Shape
    """Number of voxels along X, Y, Z of the whole scan."""
    image: NDArray[np.uint8]
    packed: bytes
    """Label indices as uint16, X slowest."""

    @property
    def indices(self) -> NDArray[np.uint16]:
        """Label indices (X, Y, Z)."""
        return np.frombuffer(zlib.decompress(self.packed), np.uint16).reshape(self.image.shape)


def overview(array: NDArray[Any], indices: NDArray[Any]) -> Overview:
    """Return the overview of a scan (C, X, Y, Z) and its label indices (X, Y, Z).

    Voxels are left out along the longest axes first, and alike at both ends.
    """
    steps = _steps(indices.shape)
    kept = tuple(
        slice((size - 1) % step // 2, None, step)
        for size, step in zip(indices.shape, steps, strict=True)
    )
    image = np.asarray(array[0][kept], dtype=np.float64)
    low, high = np.percentile(image, (0.5, 99.5))
    scaled = np.clip((image - low) / max(high - low, 1e-12), 0, 1) * 255
    packed = zlib.compress(np.ascontiguousarray(indices[kept], dtype=np.uint16).tobytes(), 1)
    x, y, z = indices.shape
    return Overview((x, y, z), np.rint(scaled).astype(np.uint8), packed)


def _steps(shape: tuple[int, ...]) -> list[int]:
    """Return the distance of the voxels along each axis.

    >>> _steps((35, 50, 36)), _steps((512, 512, 300))
    ([1, 1, 1], [13, 13, 8])
    """
    steps = [1] * len(shape)
    counts = list(shape)
    while math.prod(counts) > MOST_VOXELS:
        longest = max(range(len(shape)), key=lambda axis: counts[axis])
        steps[longest] += 1
        counts[longest] = math.ceil(shape[longest] / steps[longest])
    return steps


def overview_profiles(
    image: NDArray[np.uint8], indices: NDArray[np.uint16], holds: NDArray[np.bool_]
) -> dict[int, EdgeProfile]:
    """Return number of the label -> its profile in an overview, for its largest labels.

    Args:
        image: the image (X, Y, Z) of an overview.
        indices: label indices of the same or of another case, of the same shape.
        holds: whether each label (rows) contains the class of each index (columns), as
            `segkit.labels.scheme.membership`.
    """
    boxes = scipy.ndimage.find_objects(indices)
    counts = np.bincount(indices.ravel(), minlength=holds.shape[1])[: holds.shape[1]]
    voxels = holds @ counts
    largest = np.argsort(-voxels, kind="stable")[:MOST_LABELS]
    profiles = {}
    for number in largest[voxels[largest] >= FEWEST_VOXELS].tolist():
        classes = np.flatnonzero(holds[number]).tolist()
        box = joined_box([boxes[index - 1] for index in classes if index <= len(boxes)])
        if box is not None:
            labels = holds.shape[1] - 1
            profiles[number] = edge_profile(image[None], indices, classes, box, labels)
    return profiles


def joined_box(boxes: list[Any]) -> Any:
    """Return the smallest box around some boxes, of which those that are None are left out."""
    found = [box for box in boxes if box is not None]
    if not found:
        return None
    return tuple(
        slice(min(box[axis].start for box in found), max(box[axis].stop for box in found))
        for axis in range(3)
    )
