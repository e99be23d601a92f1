"""Degraded copies of a validation case: what goes wrong with scans after a training.

Validation cases come from the same source as the training cases, and a network rarely fails on
them. What a failure looks like is learned from copies with noise, blur, a wrong orientation, or a
part cut off. How strong each is differs from case to case, so that there is everything between
harmless and useless. The random numbers depend on the case's id only.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.quality.features import AS_IT_IS
from segkit.training.data.augment_intensity import add_noise_, blur

NOISE = (0.5, 3.0)
"""Standard deviation of the noise, in standard deviations of the image."""
SIGMA = (0.02, 0.1)
"""Standard deviation of the blur along each axis, as a share of the patch's edge."""
LEFT = (0.35, 0.65)
"""Share of the longest axis that is left after cutting a part off."""

Copy = tuple[NDArray[np.float32], NDArray[Any]]
"""Image (C, X, Y, Z) and class indices (X, Y, Z)."""
Degrade = Callable[[NDArray[np.float32], NDArray[Any], Plan, np.random.Generator], Copy]


def copies(case: PreparedCase, plan: Plan) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield kind, image (C, X, Y, Z) and class indices (X, Y, Z) of a case as it is and degraded.

    Channels that are z-scored get the mean and the standard deviation back that they had, because
    they would be z-scored after the degradation.

    Args:
        case: the case.
        plan: the plan of the network.
    """
    for kind, degrade in ((AS_IT_IS, None), *DEGRADATIONS.items()):
        image, labels = np.array(case.image), np.array(case.labels, np.int64)
        if degrade:
            random = np.random.default_rng(zlib.crc32(f"{case.id} {kind}".encode()))
            before = image
            image, labels = degrade(image, labels, plan, random)
            image = _standardized(image, before, plan)
        yield kind, torch.from_numpy(image), torch.from_numpy(np.ascontiguousarray(labels))


def _standardized(
    image: NDArray[np.float32], before: NDArray[np.float32], plan: Plan
) -> NDArray[np.float32]:
    result = np.array(image, np.float32)
    for index, channel in enumerate(plan.channels):
        new, old = image[index], before[index]
        if channel.scheme == "zscore" and new.std() > 0:
            result[index] = (new - new.mean()) * (old.std() / new.std()) + old.mean()
    return result


def noisy(
    image: NDArray[np.float32], labels: NDArray[Any], _plan: Plan, random: np.random.Generator
) -> Copy:
    """Add Gaussian noise to every channel."""
    strength = random.uniform(*NOISE)
    result = np.array(image)
    for channel in result:
        add_noise_(torch.from_numpy(channel)[None], strength * float(channel.std()), random)
    return result, labels


def blurred(
    image: NDArray[np.float32], labels: NDArray[Any], plan: Plan, random: np.random.Generator
) -> Copy:
    """Blur every channel, but not across the slices of a 2D network."""
    share = random.uniform(*SIGMA)
    sigmas = [share * edge for edge in plan.patch]
    channels = [blur(torch.from_numpy(channel), sigmas, plan.slice_axis) for channel in image]
    return torch.stack(channels).numpy(), labels


def turned(
    image: NDArray[np.float32], labels: NDArray[Any], plan: Plan, _random: np.random.Generator
) -> Copy:
    """Exchange axes cyclically, as if the header named them wrong; in 2D the axes of the slice."""
    order = [1, 2, 0]
    if plan.slice_axis is not None:
        first, second = (axis for axis in range(3) if axis != plan.slice_axis)
        order = [0, 1, 2]
        order[first], order[second] = second, first
    turned_image = image.transpose(0, *(1 + axis for axis in order))
    return np.ascontiguousarray(turned_image), labels.transpose(order)


def cut(
    image: NDArray[np.float32], labels: NDArray[Any], plan: Plan, random: np.random.Generator
) -> Copy:
    """Cut off one end of the longest axis, not that of the slices of a 2D network."""
    axes = [axis for axis in range(3) if axis != plan.slice_axis]
    axis = max(axes, key=lambda one: labels.shape[one])
    size = labels.shape[axis]
    kept = max(1, round(size * random.uniform(*LEFT)))
    start = 0 if random.random() < 0.5 else size - kept
    part = tuple(slice(start, start + kept) if one == axis else slice(None) for one in range(3))
    return np.ascontiguousarray(image[:, *part]), labels[part]


DEGRADATIONS: dict[str, Degrade] = {
    "noise": noisy,
    "blur": blurred,
    "orientation": turned,
    "cropped": cut,
}
"""Function of each kind of degradation."""
