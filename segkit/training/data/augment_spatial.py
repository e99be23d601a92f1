"""Spatial augmentation: rotation, scaling, mirroring, and moves by elements of a group.

Images are (C, X, Y, Z) float32, labels are (X, Y, Z) integers. All random numbers come from the
generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.config.schema import AugmentConfig
from segkit.networks.equivariance import moved
from segkit.plans.plan import LEFT_RIGHT, Plan
from segkit.plans.symmetry import elements
from segkit.training.data.indexing import gather_along, gather_flat

SLAB = 3.0
"""Ratio of the longest edge of a patch to its edge across slices from which it is a slab."""
BLOCK = 1 << 16
"""Voxels that are interpolated at a time, so that intermediate results stay in the cache."""

Step = tuple[int, Tensor]
"""Interpolation along one axis: distance in memory to the next voxel, and its weight."""


@dataclass(frozen=True, eq=False)
class Placement:
    """Positions at which a patch samples the scan.

    Offset from the center of the box in voxels = matrix @ offset from the center of the patch.
    """

    matrix: NDArray[np.float64] | None = None
    """Matrix (3, 3), or None if the patch is cut without interpolation."""

    @property
    def moved(self) -> NDArray[np.bool_]:
        """Boolean array (3,) of the axes of the scan along which positions are changed."""
        return np.zeros(3, dtype=bool) if self.matrix is None else _moved(self.matrix)

    def reach(self, patch: Sequence[int]) -> NDArray[np.int64]:
        """Return the size (3,) of the box that contains every position that the patch samples."""
        size = np.array(patch, dtype=np.int64)
        if self.matrix is None:
            return size
        grown = 2 * np.ceil(np.abs(self.matrix) @ ((size - 1) / 2)).astype(np.int64) + 2
        # With the same parity, the center of the box is the center of the patch.
        return np.where(self.moved, grown + (grown - size) % 2, size)


def _moved(matrix: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray((matrix != np.eye(3)).any(axis=1))


def flat_axis(plan: Plan, dummy_2d: str | int) -> int | None:
    """Return the axis along which a patch is only mirrored: the slice axis in 2D, or a slab's.

    Args:
        plan: patch, spacing and slice axis.
        dummy_2d: an axis, "none", or "auto" for the rule of the same name in nnU-Net. If the patch
            has few slices along the axis of the coarsest voxels, mixing them would produce images
            that no scanner acquires.
    """
    if plan.slice_axis is not None or dummy_2d == "none":
        return plan.slice_axis
    if dummy_2d != "auto":
        return int(dummy_2d)
    coarsest = max(range(3), key=lambda axis: (plan.spacing[axis] or 0, -plan.patch[axis]))
    return coarsest if max(plan.patch) > SLAB * plan.patch[coarsest] else None


def draw_placement(plan: Plan, augment: AugmentConfig, random: np.random.Generator) -> Placement:
    """Return a random placement: rotation with probability ``rotate``, scaling with ``scale``.

    If there is a flat axis (`flat_axis`), both act in-plane.
    """
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
    # A rotation is rigid in mm, not in voxels.
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
    """Sample a box at the positions of ``placement``: linear for images, nearest for labels.

    Voxels are gathered by index, because `torch.nn.functional.grid_sample` took twice as long.

    Args:
        image: box (C, X, Y, Z) of the size of `Placement.reach`.
        labels: the same box (X, Y, Z).
        placement: positions in the box.
        patch: size (X, Y, Z) of the patch that is returned.
    """
    matrix = placement.matrix
    if matrix is None:
        return image, labels
    if (matrix != np.diag(matrix.diagonal())).any():
        return _rotated(image, labels, matrix, patch)
    return _scaled(image, labels, matrix, patch)


def _rotated(
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
        nearest[rows] = gather_flat(values, _nearest(index, steps))
    return moved, nearest


def _scaled(
    image: Tensor, labels: Tensor, matrix: NDArray[np.float64], patch: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return the result of `_rotated` for a diagonal matrix, bitwise the same, in fewer passes."""
    positions, nearest = _positions(matrix, patch, labels.shape, slice(None)), {}
    for axis in (axis for axis in (2, 1, 0) if _moved(matrix)[axis]):
        last, position = labels.shape[axis] - 1, positions[axis]
        low = position.floor().clamp_(0, max(0, last - 1))
        index, weight = low.flatten().int(), position - low
        after = (index + 1).clamp_max_(last)
        image = gather_along(image, axis + 1, index).lerp_(
            gather_along(image, axis + 1, after), weight
        )
        nearest[axis] = torch.where(weight.flatten() >= 0.5, after, index)
    # Gathering along the last axis is slowest, so it comes last, when fewer voxels are left.
    for axis, index in reversed(nearest.items()):
        labels = gather_along(labels, axis, index)
    return image, labels


def _positions(
    matrix: NDArray[np.float64], patch: Sequence[int], box: Sequence[int], rows: slice
) -> list[Tensor]:
    """Return the positions along each axis of the box of the patch's voxels in ``rows`` (along X).

    The three tensors broadcast to (rows, Y, Z).
    """
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
    """Return the index, in the flattened box, of the lower corner around each position.

    The steps lead from it to the seven other corners.
    """
    index, steps = torch.zeros((1, 1, 1), dtype=torch.int32), []
    for axis, position in enumerate(positions):
        stride = int(np.prod(box[axis + 1 :]))
        low = position.floor().clamp_(0, max(0, box[axis] - 2 if moved[axis] else box[axis] - 1))
        index = torch.add(index, low.int(), alpha=stride)
        if moved[axis] and box[axis] > 1:
            steps.append((stride, position - low))
    return index, steps


def _interpolated(values: Tensor, index: Tensor, steps: Sequence[Step]) -> Tensor:
    """Interpolate linearly along each of ``steps``, one after the other."""
    if not steps:
        return gather_flat(values, index)
    (stride, weight), *rest = steps
    return _interpolated(values, index, rest).lerp_(
        _interpolated(values[stride:], index, rest), weight
    )


def _nearest(index: Tensor, steps: Sequence[Step]) -> Tensor:
    """Return the index of the nearest of the eight corners; half-way it is the upper one."""
    for stride, weight in steps:
        index = torch.add(index, (weight >= 0.5).int(), alpha=stride)
    return index


def mirror(
    image: Tensor, labels: Tensor, plan: Plan, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Flip each of the plan's mirror axes with probability 1/2.

    If left and right are exchanged, the labels of each pair in ``mirror_swaps`` are exchanged too.

    Args:
        image: (C, X, Y, Z).
        labels: target indices (X, Y, Z).
        plan: mirror axes and pairs of labels.
        random: generator of all random numbers.
    """
    chosen = [axis for axis in plan.mirror_axes if random.random() < 0.5]
    if not chosen:
        return image, labels
    image, labels = image.flip([axis + 1 for axis in chosen]), labels.flip(chosen)
    if LEFT_RIGHT in chosen and plan.mirror_swaps:
        labels = _renamed(labels, plan.mirrored_outputs)
    return image, labels


def move(
    image: Tensor, labels: Tensor, plan: Plan, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Move a patch by a random element of the plan's ``training_poses``, without interpolation.

    A reflection exchanges the labels of each pair in ``mirror_swaps``. Arguments as of `mirror`.
    """
    group = plan.training_poses
    if group is None:
        return image, labels
    found = elements(group.group, group.axes, 3)
    element = found[random.integers(len(found))]
    image, labels = moved(image[None], element)[0], moved(labels[None, None], element)[0, 0]
    if plan.mirror_swaps and element.is_reflection:
        labels = _renamed(labels, plan.mirrored_outputs)
    return image.contiguous(), labels.contiguous()


def _renamed(labels: Tensor, outputs: Sequence[int]) -> Tensor:
    """Return labels by the output that each output becomes."""
    # Voxels that are not annotated have the index after the last one.
    renamed = torch.tensor([*outputs, len(outputs)], dtype=labels.dtype)
    return gather_flat(renamed, labels.int())
