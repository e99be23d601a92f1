"""Intensity augmentation of a patch. All random numbers come from the generator that is passed in.

Images are (C, X, Y, Z) float32. The transforms, their order and their ranges follow nnU-Net v2
(batchgeneratorsv2); docs/recipe/augmentation.md lists the differences. Functions of one channel
take (X, Y, Z). Functions whose name ends in _ change their argument in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.config.schema import AugmentConfig
from segkit.training.data.indexing import gather_along

TINY = 1e-7
"""Replacement for the range or the standard deviation of a constant channel."""

Transform = Callable[[Tensor], Tensor]
"""Function of one channel (X, Y, Z)."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread in this context: floating-point sums depend on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def augment_intensity(
    image: Tensor, augment: AugmentConfig, flat: int | None, random: np.random.Generator
) -> Tensor:
    """Apply noise, blur, brightness, contrast, low resolution and gamma, each with its probability.

    All transforms except the noise draw their parameters separately for each channel. ``image`` may
    be changed in place.

    Args:
        image: (C, X, Y, Z).
        augment: probabilities and ranges.
        flat: axis (0, 1 or 2) along which blur and low resolution do nothing, or None.
        random: generator of all random numbers.
    """
    sigma, zoom, gamma = augment.blur_sigma, augment.lowres_zoom, augment.gamma_range
    steps: list[tuple[float, float, Transform]] = [
        (
            augment.blur,
            augment.blur_per_channel,
            lambda x: blur(x, _uniform(sigma, random, 3), flat),
        ),
        (augment.brightness, 1.0, lambda x: x.mul_(_factor(augment.brightness_range, random))),
        (
            augment.contrast,
            1.0,
            lambda x: change_contrast_(x, _factor(augment.contrast_range, random)),
        ),
        (
            augment.lowres,
            augment.lowres_per_channel,
            lambda x: lower_resolution(x, _uniform(zoom, random), flat),
        ),
        (
            augment.gamma_inverted,
            1.0,
            lambda x: change_gamma_(x.neg_(), _factor(gamma, random)).neg_(),
        ),
        (augment.gamma, 1.0, lambda x: change_gamma_(x, _factor(gamma, random))),
    ]
    if random.random() < augment.noise:
        add_noise_(image, random.uniform(0, augment.noise_std), random)
    for probability, per_channel, transform in steps:
        if random.random() < probability:
            image = _for_channels(image, per_channel, transform, random)
    if random.random() < augment.channel_dropout:  # last, so that the channel stays 0
        drop_channel_(image, random)
    return image


def without_augmentation(augment: AugmentConfig) -> AugmentConfig:
    """Return ``augment`` without rotation, scaling and intensity transforms.

    channel_dropout stays as it is.
    """
    probabilities = (
        "rotate",
        "scale",
        "noise",
        "blur",
        "brightness",
        "contrast",
        "lowres",
        "gamma",
        "gamma_inverted",
    )
    never: dict[str, Any] = dict.fromkeys(probabilities, 0.0)
    return replace(augment, **never)


def drop_channel_(image: Tensor, random: np.random.Generator) -> Tensor:
    """Set one random channel of ``image`` (C, X, Y, Z) to 0, as if it were missing."""
    image[random.integers(len(image))] = 0
    return image


def _for_channels(
    image: Tensor, probability: float, transform: Transform, random: np.random.Generator
) -> Tensor:
    for channel in image:
        if random.random() < probability:
            channel.copy_(transform(channel))
    return image


def _uniform(limits: Sequence[float], random: np.random.Generator, count: int | None = None) -> Any:
    """Return a random number between the limits, or an array of ``count`` of them."""
    return random.uniform(limits[0], limits[1], count)


def _factor(limits: Sequence[float], random: np.random.Generator) -> float:
    """Return a random factor; it is below 1 in half of the cases if the limits allow (nnU-Net)."""
    low, high = limits
    if low < 1 < high:
        low, high = (low, 1) if random.random() < 0.5 else (1, high)
    return random.uniform(low, high)


def add_noise_(image: Tensor, std: float, random: np.random.Generator) -> Tensor:
    """Add Gaussian noise of standard deviation ``std`` to a normalized image (C, X, Y, Z)."""
    numbers = torch.Generator().manual_seed(int(random.integers(2**63)))
    return image.add_(torch.empty_like(image).normal_(0, std, generator=numbers))


def blur(channel: Tensor, sigmas: Sequence[float], flat: int | None = None) -> Tensor:
    """Return ``channel`` with a Gaussian blur; border voxels are repeated.

    Args:
        channel: (X, Y, Z).
        sigmas: standard deviations along X, Y and Z, in voxels.
        flat: axis along which nothing is blurred, or None.
    """
    for axis, sigma in enumerate(sigmas):
        if axis != flat and channel.shape[axis] > 1:
            channel = _blur_along(channel, axis, sigma)
    return channel


def _blur_along(channel: Tensor, axis: int, sigma: float) -> Tensor:
    """Sum shifted copies, which for a short kernel is several times as fast as a convolution."""
    radius, edge = max(1, math.ceil(3 * sigma)), channel.shape[axis]
    weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-radius, radius + 1)]
    padding = [0] * 6
    padding[2 * (2 - axis)] = padding[2 * (2 - axis) + 1] = radius
    padded = F.pad(channel[None, None], padding, mode="replicate")[0, 0]
    blurred = torch.zeros_like(channel)
    for offset, weight in enumerate(weights):
        blurred.add_(padded.narrow(axis, offset, edge), alpha=weight / sum(weights))
    return blurred


def lower_resolution(channel: Tensor, zoom: float, flat: int | None = None) -> Tensor:
    """Return ``channel`` as if it had been acquired at a lower resolution, on the same grid.

    It equals PyTorch's downsampling (nearest-exact) and upsampling (trilinear), axis by axis.

    Args:
        channel: (X, Y, Z).
        zoom: number of voxels that are kept along an axis, as a fraction.
        flat: axis that keeps its resolution, or None.
    """
    for axis, edge in enumerate(channel.shape):
        kept = max(1, round(edge * zoom))
        if axis == flat or kept == edge:
            continue
        position = ((torch.arange(edge) + 0.5) * (kept / edge) - 0.5).clamp_(0, kept - 1)
        lower = position.floor()
        kept_voxels = ((torch.arange(kept) + 0.5) * (edge / kept)).int()
        before = kept_voxels[lower.int()]
        after = kept_voxels[(lower.int() + 1).clamp_max_(kept - 1)]
        weight = (position - lower).view([-1 if other == axis else 1 for other in range(3)])
        channel = torch.lerp(
            gather_along(channel, axis, before), gather_along(channel, axis, after), weight
        )
    return channel


def change_contrast_(channel: Tensor, factor: float) -> Tensor:
    """Multiply the differences from the mean of (X, Y, Z) by ``factor``; clip to the old range."""
    mean, (low, high) = float(channel.mean()), channel.aminmax()
    return channel.mul_(factor).add_(mean * (1 - factor)).clamp_(low, high)


def change_gamma_(channel: Tensor, gamma: float) -> Tensor:
    """Raise the values of (X, Y, Z), scaled to [0, 1], to the power ``gamma``.

    Their mean and standard deviation are restored afterwards.
    """
    mean, (low, high) = channel.mean(), channel.aminmax()
    spread = torch.linalg.vector_norm(channel - mean)
    channel.sub_(low).div_((high - low).clamp_min(TINY)).pow_(gamma)
    channel.sub_(channel.mean())
    return channel.mul_(spread / torch.linalg.vector_norm(channel).clamp_min(TINY)).add_(mean)
