"""Where a patch samples its scan: rotation, scaling and mirroring. Numbers come from the generator that is passed in.

Images are (C, X, Y, Z) float32, labels (X, Y, Z) unsigned integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.config.schema import AugmentConfig
from segkit.plans.plan import LEFT_RIGHT, Plan
from segkit.training.data.indexing import along, at

SLAB = 3.0
"""A patch whose longest edge is more than this many times that across the thickest slices is a slab (nnU-Net)."""
BLOCK = 1 << 16
"""Voxels that are interpolated at once: what is computed on the way stays in the cache."""

Step = tuple[int, Tensor]
"""From one voxel of a box to the next along an axis: how far in memory, and the weight of the next."""


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a patch samples the scan: offset in voxels = matrix @ (offset in the patch), from centre to centre."""

    matrix: NDArray[np.float64] | None = None
    """(3, 3), None for a plain cut."""

    @property
    def moved(self) -> NDArray[np.bool_]:
        """(3,): along which axes of the scan voxels are sampled elsewhere than in a plain cut."""
        return np.zeros(3, dtype=bool) if self.matrix is None else _moved(self.matrix)

    def reach(self, patch: Sequence[int]) -> NDArray[np.int64]:
        """Edges of the box that must be cut so that every sample lies inside it."""
        size = np.array(patch, dtype=np.int64)
        if self.matrix is None:
            return size
        grown = 2 * np.ceil(np.abs(self.matrix) @ ((size - 1) / 2)).astype(np.int64) + 2
        # The same parity keeps the centre of the box on the centre of the patch.
        return np.where(self.moved, grown + (grown - size) % 2, size)


def _moved(matrix: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((matrix != np.eye(3)).any(axis=1))


def flat_axis(plan: Plan, dummy_2d: str | int) -> int | None:
    """The axis that no change but mirroring acts along: the slice axis of a 2D network, or that of a slab.

    ``dummy_2d`` is auto, none or an axis. auto is nnU-Net's rule with the same name: where the patch has few slices
    along the axis of the coarsest voxels, mixing them would make pictures that no scanner takes.
    """
    if plan.slice_axis is not None or dummy_2d == "none":
        return plan.slice_axis
    if dummy_2d != "auto":
        return int(dummy_2d)
    coarsest = max(range(3), key=lambda axis: (plan.spacing[axis] or 0, -plan.patch[axis]))
    return coarsest if max(plan.patch) > SLAB * plan.patch[coarsest] else None


def draw_placement(plan: Plan, augment: AugmentConfig, random: np.random.Generator) -> Placement:
    """A rotation with probability ``rotate`` and a scaling with probability ``scale``; in-plane with a flat axis."""
    angles = np.radians(random.uniform(-augment.rotate_degrees, augment.rotate_degrees, 3))
    factor = float(random.uniform(augment.scale_range[0], augment.scale_range[1]))
    rotated, scaled = random.random() < augment.rotate, random.random() < augment.scale
    if not (rotated or scaled):
        return Placement()
    flat = flat_axis(plan, augment.dummy_2d)
    free = [axis for axis in range(3) if axis != flat]
    matrix = np.eye(3)
    if rotated:
        for axis in range(3) if flat is None else [flat]:
            matrix = _rotation(axis, angles[axis]) @ matrix
    if scaled:
        matrix[np.ix_(free, free)] /= factor
    # Turning is rigid in mm, not in voxels.
    spacing = np.array([1.0 if edge is None else edge for edge in plan.spacing])
    return Placement(matrix * spacing[None, :] / spacing[:, None])


def _rotation(axis: int, angle: float) -> NDArray[np.float64]:
    first, second = [other for other in range(3) if other != axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


def resample_patch(
    image: Tensor, labels: Tensor, placement: Placement, patch: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Sample the cut box at the placement's positions, which lie inside it: linear for the image, nearest for labels.

    Voxels are gathered by index rather than by `torch.nn.functional.grid_sample`, which took twice as long.
    """
    matrix = placement.matrix
    if matrix is None:
        return image, labels
    turned = (matrix != np.diag(matrix.diagonal())).any()
    return (_turned if turned else _stretched)(image, labels, matrix, patch)


def _turned(
    image: Tensor, labels: Tensor, matrix: NDArray[np.float64], patch: Sequence[int]
) -> tuple[Tensor, Tensor]:
    moved = torch.empty((len(image), *patch), dtype=image.dtype)
    nearest = torch.empty(tuple(patch), dtype=labels.dtype)
    channels, values = image.flatten(1), labels.flatten()
    planes = max(1, BLOCK // (patch[1] * patch[2]))
    for start in range(0, patch[0], planes):
        rows = slice(start, start + planes)
        positions = _positions(matrix, patch, labels.shape, rows)
        index, steps = _lower_corner(positions, labels.shape, _moved(matrix))
        for channel, target in zip(channels, moved, strict=True):
            target[rows] = _interpolated(channel, index, steps)
        nearest[rows] = at(values, _nearest(index, steps))
    return moved, nearest


def _stretched(
    image: Tensor, labels: Tensor, matrix: NDArray[np.float64], patch: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """What `_turned` finds, bit for bit, for a diagonal matrix: axis by axis, with fewer passes."""
    positions, nearest = _positions(matrix, patch, labels.shape, slice(None)), {}
    for axis in (axis for axis in (2, 1, 0) if _moved(matrix)[axis]):
        last, position = labels.shape[axis] - 1, positions[axis]
        low = position.floor().clamp_(0, max(0, last - 1))
        index, weight = low.flatten().int(), position - low
        after = (index + 1).clamp_max_(last)
        image = along(image, axis + 1, index).lerp_(along(image, axis + 1, after), weight)
        nearest[axis] = torch.where(weight.flatten() >= 0.5, after, index)
    for axis, index in reversed(
        nearest.items()
    ):  # the last axis last: fewer voxels are left, and it is the slowest
        labels = along(labels, axis, index)
    return image, labels


def _positions(
    matrix: NDArray[np.float64], patch: Sequence[int], box: Sequence[int], rows: slice
) -> list[Tensor]:
    """For each axis, where the patch's voxels in ``rows`` lie in the box; shapes broadcast to (rows, Y, Z)."""
    offsets = []
    for axis, edge in enumerate(patch):
        offset = torch.arange(edge, dtype=torch.float32) - (edge - 1) / 2
        offsets.append(
            (offset[rows] if axis == 0 else offset).view(
                [-1 if other == axis else 1 for other in range(3)]
            )
        )
    positions = []
    for row, edge in zip(matrix, box, strict=True):
        position = torch.full((1, 1, 1), (edge - 1) / 2)
        for factor, offset in zip(row, offsets, strict=True):
            if factor:
                position = position + float(factor) * offset
        positions.append(position)
    return positions


def _lower_corner(
    positions: Sequence[Tensor], box: Sequence[int], moved: NDArray[np.bool_]
) -> tuple[Tensor, list[Step]]:
    """Index into the flattened box of the voxel below each position, and the steps to the seven others around it."""
    index, steps = torch.zeros((1, 1, 1), dtype=torch.int32), []
    for axis, position in enumerate(positions):
        stride = int(np.prod(box[axis + 1 :]))
        low = position.floor().clamp_(0, max(0, box[axis] - 2 if moved[axis] else box[axis] - 1))
        index = torch.add(index, low.int(), alpha=stride)
        if moved[axis] and box[axis] > 1:
            steps.append((stride, position - low))
    return index, steps


def _interpolated(values: Tensor, index: Tensor, steps: Sequence[Step]) -> Tensor:
    """Linear along each of ``steps``, one after the other."""
    if not steps:
        return at(values, index)
    (stride, weight), *rest = steps
    return _interpolated(values, index, rest).lerp_(
        _interpolated(values[stride:], index, rest), weight
    )


def _nearest(index: Tensor, steps: Sequence[Step]) -> Tensor:
    """Index of the nearest of the eight voxels; half-way it is the next one."""
    for stride, weight in steps:
        index = torch.add(index, (weight >= 0.5).int(), alpha=stride)
    return index


def mirror(
    image: Tensor, labels: Tensor, plan: Plan, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Flip each of the plan's mirror axes with probability 1/2; with left and right, paired labels change places."""
    chosen = [axis for axis in plan.mirror_axes if random.random() < 0.5]
    if not chosen:
        return image, labels
    image, labels = image.flip([axis + 1 for axis in chosen]), labels.flip(chosen)
    if LEFT_RIGHT in chosen and plan.mirror_swaps:
        # Voxels that nobody has annotated have the index after the last.
        renamed = torch.tensor(
            [*plan.mirrored_outputs, len(plan.mirrored_outputs)], dtype=labels.dtype
        )
        labels = at(renamed, labels.int())
    return image, labels
