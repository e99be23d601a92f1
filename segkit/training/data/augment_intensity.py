"""Random changes of a patch's intensities. Every random number comes from the generator that is passed in.

Images are (C, X, Y, Z) float32. The set, its order and its ranges follow nnU-Net v2 (batchgeneratorsv2); see
docs/recipe/augmentation.md for what differs. Functions of one channel take (X, Y, Z); those that end in _ write into it.
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
from segkit.training.data.indexing import along

TINY = 1e-7
"""In place of the range or the spread of a constant channel."""

Change = Callable[[Tensor], Tensor]


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums of floating-point numbers depend on how many threads share them: a patch is computed by one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def augment_intensity(
    image: Tensor, augment: AugmentConfig, flat: int | None, random: np.random.Generator
) -> Tensor:
    """Noise, blur, brightness, contrast, low resolution and gamma, each with its own probability; ``image`` is lost.

    Blur and low resolution do not act along the axis ``flat``. All but the noise draw anew for each channel.
    """
    sigma, zoom, gamma = augment.blur_sigma, augment.lowres_zoom, augment.gamma_range
    steps: list[tuple[float, float, Change]] = [
        (
            augment.blur,
            augment.blur_per_channel,
            lambda x: blur(x, _within(sigma, random, 3), flat),
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
            lambda x: lower_resolution(x, _within(zoom, random), flat),
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
    for probability, per_channel, change in steps:
        if random.random() < probability:
            image = _each(image, per_channel, change, random)
    # Last, so that the channel stays 0.
    return drop_channel_(image, random) if random.random() < augment.channel_dropout else image


def without_changes(augment: AugmentConfig) -> AugmentConfig:
    """No rotation, no scaling, intensities as they are. A channel that may be missing goes on being left out."""
    changes = (
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
    never: dict[str, Any] = dict.fromkeys(changes, 0.0)
    return replace(augment, **never)


def drop_channel_(image: Tensor, random: np.random.Generator) -> Tensor:
    """One channel, drawn evenly, becomes 0, to which a channel that is missing at prediction is set."""
    image[random.integers(len(image))] = 0
    return image


def _each(image: Tensor, probability: float, change: Change, random: np.random.Generator) -> Tensor:
    for channel in image:
        if random.random() < probability:
            channel.copy_(change(channel))
    return image


def _within(limits: Sequence[float], random: np.random.Generator, count: int | None = None) -> Any:
    """One number between the limits, or ``count`` of them."""
    return random.uniform(limits[0], limits[1], count)


def _factor(limits: Sequence[float], random: np.random.Generator) -> float:
    """Below 1 as often as above where both are within the limits, as nnU-Net draws its factors."""
    low, high = limits
    if low < 1 < high:
        low, high = (low, 1) if random.random() < 0.5 else (1, high)
    return random.uniform(low, high)


def add_noise_(image: Tensor, std: float, random: np.random.Generator) -> Tensor:
    """Gaussian noise of standard deviation ``std``, the image being normalised to 1."""
    numbers = torch.Generator().manual_seed(int(random.integers(2**63)))
    return image.add_(torch.empty_like(image).normal_(0, std, generator=numbers))


def blur(channel: Tensor, sigmas: Sequence[float], flat: int | None = None) -> Tensor:
    """Gaussian blur of ``sigmas`` voxels along X, Y and Z, but for the axis ``flat``; borders are repeated."""
    for axis, sigma in enumerate(sigmas):
        if axis != flat and channel.shape[axis] > 1:
            channel = _blur_along(channel, axis, sigma)
    return channel


def _blur_along(channel: Tensor, axis: int, sigma: float) -> Tensor:
    """A sum of shifted copies, which for so short a kernel is several times as fast as a convolution."""
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
    """As if ``zoom`` times as many voxels had been taken along each axis but ``flat``, with linear values between.

    The same as torch's nearest-exact down and trilinear up, one axis after the other.
    """
    for axis, edge in enumerate(channel.shape):
        kept = max(1, round(edge * zoom))
        if axis == flat or kept == edge:
            continue
        position = ((torch.arange(edge) + 0.5) * (kept / edge) - 0.5).clamp_(0, kept - 1)
        below = position.floor()
        chosen = ((torch.arange(kept) + 0.5) * (edge / kept)).int()
        before, after = chosen[below.int()], chosen[(below.int() + 1).clamp_max_(kept - 1)]
        weight = (position - below).view([-1 if other == axis else 1 for other in range(3)])
        channel = torch.lerp(along(channel, axis, before), along(channel, axis, after), weight)
    return channel


def change_contrast_(channel: Tensor, factor: float) -> Tensor:
    """Stretch the values about their mean, clipped to their old range."""
    mean, (low, high) = float(channel.mean()), channel.aminmax()
    return channel.mul_(factor).add_(mean * (1 - factor)).clamp_(low, high)


def change_gamma_(channel: Tensor, gamma: float) -> Tensor:
    """Raise the values, scaled to 0..1, to the power ``gamma``; their mean and standard deviation are restored."""
    mean, (low, high) = channel.mean(), channel.aminmax()
    spread = torch.linalg.vector_norm(channel - mean)
    channel.sub_(low).div_((high - low).clamp_min(TINY)).pow_(gamma)
    channel.sub_(channel.mean())
    return channel.mul_(spread / torch.linalg.vector_norm(channel).clamp_min(TINY)).add_(mean)
