"""Random changes of a patch. Every random number comes from the generator that is passed in.

Images are (C, X, Y, Z) float32, labels (X, Y, Z) int64. The set and its ranges follow nnU-Net v2
(batchgeneratorsv2); see docs/decisions.md for what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from segkit.config import AugmentConfig
from segkit.plans import Plan


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a patch samples the scan: offset in voxels = matrix @ (offset in the patch)."""

    matrix: NDArray[np.float64] | None = None
    """(3, 3), None for a plain cut."""

    def reach(self, patch: Sequence[int]) -> NDArray[np.int64]:
        """Edges of the box that must be cut so that every sample lies inside it."""
        size = np.array(patch, dtype=np.int64)
        if self.matrix is None:
            return size
        half = np.abs(self.matrix) @ ((size - 1) / 2)
        grown = 2 * np.ceil(half).astype(np.int64) + 2
        # The same parity keeps the centre of the box on the centre of the patch; a single plane stays single.
        return np.where(size == 1, 1, grown + (grown - size) % 2)


def draw_placement(plan: Plan, augment: AugmentConfig, random: np.random.Generator) -> Placement:
    """A rotation with probability ``rotate`` and a scaling with probability ``scale``; in-plane for a 2D network."""
    angles = np.radians(random.uniform(-augment.rotate_degrees, augment.rotate_degrees, 3))
    factor = _within(augment.scale_range, random)
    rotated, scaled = random.random() < augment.rotate, random.random() < augment.scale
    if not (rotated or scaled):
        return Placement()
    free = [axis for axis in range(3) if axis != plan.slice_axis]
    matrix = np.eye(3)
    if rotated:
        for axis in range(3) if plan.slice_axis is None else [plan.slice_axis]:
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


def resample_patch(image: Tensor, labels: Tensor, placement: Placement, patch: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Sample the cut box at the placement's positions: linear for the image, nearest for the labels."""
    if placement.matrix is None:
        return image, labels
    grid = _grid(placement.matrix, patch, image.shape[1:])
    moved = F.grid_sample(image[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    nearest = F.grid_sample(
        labels[None, None].float(), grid, mode="nearest", padding_mode="zeros", align_corners=False
    )[0, 0]
    return moved, nearest.long()


def _grid(matrix: NDArray[np.float64], patch: Sequence[int], box: Sequence[int]) -> Tensor:
    """Positions (1, X, Y, Z, 3) in grid_sample's units: -1 to 1 over the box, last axis first."""
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in patch]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    positions = offsets @ torch.from_numpy(matrix.astype(np.float32)).T
    scaled = positions * (2 / torch.tensor(list(box), dtype=torch.float32))
    return scaled.flip(-1)[None]


def mirror(image: Tensor, labels: Tensor, axes: Sequence[int], random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Flip each of ``axes`` with probability 1/2."""
    chosen = [axis for axis in axes if random.random() < 0.5]
    if not chosen:
        return image, labels
    return image.flip([axis + 1 for axis in chosen]), labels.flip(chosen)


def augment_intensity(
    image: Tensor, augment: AugmentConfig, slice_axis: int | None, random: np.random.Generator
) -> Tensor:
    """Noise, blur, brightness, contrast and gamma, each with its own probability, in nnU-Net's order.

    A channel is left out at the end, so that it stays 0.
    """
    steps: list[tuple[float, Callable[[Tensor], Tensor]]] = [
        (augment.noise, lambda x: add_noise(x, random.uniform(0, augment.noise_std), random)),
        (augment.blur, lambda x: blur(x, _within(augment.blur_sigma, random), slice_axis)),
        (augment.brightness, lambda x: x * _within(augment.brightness_range, random)),
        (augment.contrast, lambda x: change_contrast(x, _within(augment.contrast_range, random))),
        (augment.gamma_inverted, lambda x: -change_gamma(-x, _within(augment.gamma_range, random))),
        (augment.gamma, lambda x: change_gamma(x, _within(augment.gamma_range, random))),
        (augment.channel_dropout, lambda x: drop_channel(x, random)),
    ]
    for probability, change in steps:
        if random.random() < probability:
            image = change(image)
    return image


def _within(limits: Sequence[float], random: np.random.Generator) -> float:
    return float(random.uniform(limits[0], limits[1]))


def add_noise(image: Tensor, std: float, random: np.random.Generator) -> Tensor:
    """Gaussian noise of standard deviation ``std``, the image being normalised to 1."""
    return image + std * torch.from_numpy(random.standard_normal(tuple(image.shape), dtype=np.float32))


def blur(image: Tensor, sigma: float, slice_axis: int | None = None) -> Tensor:
    """Gaussian blur of ``sigma`` voxels along every axis but the slice axis; borders are repeated."""
    radius = max(1, int(np.ceil(3 * sigma)))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    for axis in (axis for axis in range(3) if axis != slice_axis and image.shape[axis + 1] > 1):
        padding = [0, 0, 0, 0, 0, 0]
        padding[2 * (2 - axis)] = padding[2 * (2 - axis) + 1] = radius
        shape = [1, 1, 1, 1, 1]
        shape[axis + 2] = len(kernel)
        image = F.conv3d(F.pad(image[:, None], padding, mode="replicate"), kernel.view(shape))[:, 0]
    return image


def change_contrast(image: Tensor, factor: float) -> Tensor:
    """Stretch each channel about its mean, clipped to its old range."""
    mean = image.mean(dim=(1, 2, 3), keepdim=True)
    low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
    return ((image - mean) * factor + mean).clamp(low, high)


def change_gamma(image: Tensor, gamma: float) -> Tensor:
    """Raise each channel, scaled to 0..1, to the power ``gamma``; its mean and standard deviation are restored."""
    dims = (1, 2, 3)
    mean, std = image.mean(dim=dims, keepdim=True), image.std(dim=dims, keepdim=True, correction=0)
    low = image.amin(dim=dims, keepdim=True)
    extent = (image.amax(dim=dims, keepdim=True) - low).clamp_min(1e-7)
    bent = ((image - low) / extent).pow(gamma)
    bent_std = bent.std(dim=dims, keepdim=True, correction=0).clamp_min(1e-7)
    return (bent - bent.mean(dim=dims, keepdim=True)) / bent_std * std + mean


def drop_channel(image: Tensor, random: np.random.Generator) -> Tensor:
    """One channel, drawn evenly, becomes 0, to which a channel that is missing at prediction is set."""
    image = image.clone()
    image[random.integers(len(image))] = 0
    return image
