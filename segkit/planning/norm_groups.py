"""Number of groups of each norm layer, determined once for the training patch.

Statistics over few values are noisy, so a group must have enough voxels times channels; groups that
are too large mix channels, and the network learns slowly. The rule therefore chooses the smallest
groups that still have enough values.
"""

from __future__ import annotations

from typing import Any

from segkit.errors import UsageError
from segkit.plans.norm_catalogue import NORMS, NormKind

LEAST_VALUES = 64
"""Fewest values of a group: in nnU-Net no feature map is smaller than 4 x 4 x 4 voxels."""


def divisors(number: int) -> list[int]:
    """Return all divisors in ascending order.

    >>> divisors(12)
    [1, 2, 3, 4, 6, 12]
    """
    return [d for d in range(1, number + 1) if number % d == 0]


def channels_per_group(channels: int, voxels: int, orbit: int = 1) -> int | None:
    """Return the number of channels per group: the smallest that gives enough values.

    It is the smallest divisor d >= 2 of ``channels`` with d * voxels >= 64 and at least two groups,
    or None if there is none. In an equivariant network it is a multiple of ``orbit``, the number of
    channels that a turn permutes; a layer of too few orbits for two groups has one group.

    >>> channels_per_group(64, 27), channels_per_group(64, 8), channels_per_group(64, 1)
    (4, 8, None)
    >>> channels_per_group(7, 1000) is None
    True
    >>> channels_per_group(48, 27, orbit=8), channels_per_group(24, 27, orbit=24)
    (8, 24)
    """
    enough = [d for d in divisors(channels) if d % orbit == 0 and d * voxels >= LEAST_VALUES]
    for d in enough:
        if d >= 2 and channels // d >= 2:
            return d
    return channels if enough and orbit > 1 else None


def groups_for(
    channels: int,
    voxels: int,
    *,
    layer: str,
    kind: str = "group",
    per_group: Any = "auto",
    num_groups: int | None = None,
    orbit: int = 1,
) -> tuple[NormKind, int]:
    """Return the norm of one layer and its number of groups.

    Instance norm is GroupNorm with one group per channel, and layer norm is GroupNorm with one
    group.

    Args:
        channels: channels of the layer.
        voxels: voxels per channel that the layer sees on a training patch.
        layer: name of the layer, for messages.
        kind: one of NORMS.
        per_group: channels per group, or "auto" for the rule of `channels_per_group`.
        num_groups: a fixed number of groups; not together with ``per_group``.
        orbit: number of channels that must be in the same group, and of which a group holds a
            multiple.

    Raises:
        UsageError: the kind is unknown, or the numbers do not fit this layer.
    """
    if kind not in NORMS:
        raise UsageError(f"network.norm={kind} is not known. Choose one of: {', '.join(NORMS)}.")
    norm = NORMS[kind]
    if norm.groups == "fitted":
        if per_group != "auto" or num_groups is not None:
            count = _given_count(channels, layer, per_group, num_groups)
            return norm.kind, _of_whole_orbits(channels, count, layer, orbit)
        return norm.kind, _count_by_rule(channels, voxels, layer, orbit)
    if norm.groups == "one_per_channel":
        return norm.kind, _instance_count(channels, voxels, layer)
    return norm.kind, 1 if norm.groups == "one" else 0


def _given_count(channels: int, layer: str, per_group: Any, num_groups: int | None) -> int:
    if num_groups is None:
        return channels // _dividing(channels, per_group, layer, "network.channels_per_group")
    if per_group != "auto":
        raise UsageError(
            "network.channels_per_group and network.num_groups are both set. Give only one of them."
        )
    return _dividing(channels, num_groups, layer, "network.num_groups")


def _of_whole_orbits(channels: int, count: int, layer: str, orbit: int) -> int:
    if channels // count % orbit:
        fitting = ", ".join(str(d) for d in divisors(channels) if d % orbit == 0)
        raise UsageError(
            f"Layer {layer}: groups of {channels // count} channels split the orbits of {orbit}"
            " channels that the symmetry of the network permutes. Give network.channels_per_group"
            f" out of {fitting}, or leave it out."
        )
    return count


def _count_by_rule(channels: int, voxels: int, layer: str, orbit: int) -> int:
    fitting = channels_per_group(channels, voxels, orbit)
    if fitting is None:
        raise UsageError(
            f"Layer {layer}: {channels} channels at {voxels} voxels cannot be split into two or"
            f" more groups of at least {LEAST_VALUES} values and 2 channels each. Choose other"
            " network.features, a larger plan.patch, or set network.channels_per_group."
        )
    return channels // fitting


def _dividing(channels: int, value: Any, layer: str, option: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{option}={value} must be a whole number of at least 1.")
    if channels % value:
        fitting = ", ".join(str(d) for d in divisors(channels))
        raise UsageError(
            f"Layer {layer}: {option}={value} does not divide its {channels} channels."
            f" Possible: {fitting}."
        )
    return value


def _instance_count(channels: int, voxels: int, layer: str) -> int:
    if voxels < 2:
        raise UsageError(
            f"Layer {layer}: instance norm needs at least 2 voxels per channel and sees {voxels} on"
            " the training patch. Use network.norm=group, a larger plan.patch, or fewer"
            " network.features."
        )
    return channels
