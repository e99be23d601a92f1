"""Validity checks of the values of a plan, which may be edited by hand or come from a stranger."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import get_args

from segkit.labels.scheme import values_apart
from segkit.plans.norm_catalogue import NormKind, has_groups
from segkit.plans.plan import Downsampling, Plan, Scheme
from segkit.plans.symmetry_rules import symmetry_problems
from segkit.units import is_number, is_whole

LABEL_VALUES = range(-(2**31), 2**31)
"""Values that a label map may have; no format for label maps has more than 32 bits."""
MAX_SIZE = 10**6
"""Largest number of voxels along an edge, and of channels of a layer; more must be a typo."""
MAX_PATCHES = 10_000
"""Largest number of patches in a batch."""
MAX_LABELS = 10_000
"""Largest number of labels or regions."""


def problems(plan: Plan) -> Iterator[str]:
    """Yield a sentence for each problem with the values of ``plan``.

    Later checks rely on earlier ones, so only the first problem is certain.
    """
    for check in CHECKS:
        yield from check(plan)


def _words_and_switches(plan: Plan) -> Iterator[str]:
    for key, choices in (("dims", (2, 3)), ("unit", ("mm", "px"))):
        if getattr(plan, key) not in choices:
            yield f"{key} must be {' or '.join(map(str, choices))}, not {getattr(plan, key)!r}"
    switches: dict[str, object] = {
        "crop_to_content": plan.crop_to_content,
        "network.deep_supervision": plan.network.deep_supervision,
        **{f"channel {channel.name!r}: masked": channel.masked for channel in plan.channels},
    }
    for key, value in switches.items():
        if not isinstance(value, bool):
            yield f"{key} must be true or false, not {value!r}"
    words: dict[str, object] = {
        "name": plan.name,
        "network.name": plan.network.name,
        "network.activation": plan.network.activation,
    }
    if plan.network.downsampling not in get_args(Downsampling):
        yield (
            f"network.downsampling must be {' or '.join(get_args(Downsampling))},"
            f" not {plan.network.downsampling!r}"
        )
    for key, word in words.items():
        if not isinstance(word, str):
            yield f"{key} must be a word, not {word!r}"
    if not is_whole(plan.batch_size, 1, MAX_PATCHES):
        yield f"batch_size must be a whole number from 1 to {MAX_PATCHES}, not {plan.batch_size!r}"


def _axes(plan: Plan) -> Iterator[str]:
    fits = is_whole(plan.slice_axis, 0, 2) if plan.dims == 2 else plan.slice_axis is None
    if not fits:
        yield (
            "slice_axis must be 0, 1 or 2 with dims 2, and null with dims 3,"
            f" not {plan.slice_axis!r}"
        )
    free = [axis for axis in range(3) if axis != plan.slice_axis]
    if len(set(plan.mirror_axes)) != len(plan.mirror_axes) or not all(
        axis in free for axis in plan.mirror_axes
    ):
        yield f"mirror_axes must be different axes out of {free}, not {list(plan.mirror_axes)}"


def _edges(plan: Plan) -> Iterator[str]:
    if {len(plan.patch), len(plan.spacing)} != {3}:
        yield "patch and spacing need three entries, for X, Y and Z"
    if not all(is_whole(edge, 1, MAX_SIZE) for edge in plan.patch):
        yield f"patch must be three whole numbers of at least 1, not {list(plan.patch)}"
    if not all(edge is None or (is_number(edge) and edge > 0) for edge in plan.spacing):
        yield (
            "spacing must be three numbers above 0, or null where an axis stays as it is,"
            f" not {list(plan.spacing)}"
        )


def _names(plan: Plan) -> Iterator[str]:
    if not plan.labels or not all(is_whole(value) and value for value in plan.labels.values()):
        yield f"labels must be names with whole numbers other than 0, not {plan.labels}"
    elif not all(value in LABEL_VALUES for value in plan.labels.values()):
        yield f"labels must have values that fit into 32 bits, not {plan.labels}"
    if len(plan.labels) > MAX_LABELS:
        yield f"there must be at most {MAX_LABELS} labels, not {len(plan.labels)}"
    if len(set(plan.labels.values())) != len(plan.labels):
        yield f"labels must have different values, not {plan.labels}"
    if plan.regions and plan.mirror_swaps:
        yield (
            "mirror_swaps cannot be used with regions: a voxel of several regions has no single"
            " name to change"
        )
    swapped = [name for pair in plan.mirror_swaps for name in pair]
    if len(set(swapped)) != len(swapped) or not all(name in plan.labels for name in swapped):
        yield (
            f"mirror_swaps must be pairs of different labels out of {', '.join(plan.labels)},"
            f" not {swapped}"
        )
    if not plan.channels:
        yield "there must be at least one channel"


def _needs(plan: Plan) -> Iterator[str]:
    # A message proposes an installation command that contains this text.
    valid = isinstance(plan.needs, dict) and all(
        isinstance(text, str) and re.fullmatch(r"[A-Za-z0-9][\w.-]*==[\w.+!-]+", text, re.ASCII)
        for text in plan.needs.values()
    )
    if not valid:
        yield f"needs must name packages as name==version, not {plan.needs}"


def _regions(plan: Plan) -> Iterator[str]:
    if plan.regions and list(plan.regions) != list(plan.labels):
        yield f"regions must have the names of the labels, in their order, not {list(plan.regions)}"
    for name, values in plan.regions.items():
        if not values or not all(is_whole(value) and value for value in values):
            yield f"region {name!r} must be made of whole numbers other than 0, not {list(values)}"
    for name, distinct in values_apart(plan.regions).items():
        if plan.labels[name] not in distinct:
            yield (
                f"region {name!r} must be written as a value that no later region has,"
                f" not as {plan.labels[name]}"
            )
    if plan.ignore is not None and (
        not is_whole(plan.ignore) or plan.ignore in (0, *plan.targets.values())
    ):
        yield (
            "ignore must be a whole number other than 0 and the labels' values,"
            f" not {plan.ignore!r}"
        )


def _channels(plan: Plan) -> Iterator[str]:
    for channel in plan.channels:
        numbers = (channel.lower, channel.upper, channel.mean, channel.std)
        if channel.scheme not in get_args(Scheme):
            yield f"channel {channel.name!r}: scheme must be one of {', '.join(get_args(Scheme))}"
        if not all(map(is_number, numbers)) or channel.std <= 0 or channel.lower > channel.upper:
            yield (
                f"channel {channel.name!r}: lower, upper, mean and std must be numbers, lower not"
                f" above upper and std above 0, not {numbers}"
            )


def _layers(plan: Plan) -> Iterator[str]:
    for stage in (*plan.network.encoder, *plan.network.decoder):
        if not all(is_whole(edge, 1, MAX_SIZE) for edge in (*stage.kernel, *stage.stride)):
            yield (
                f"kernel {stage.kernel} and stride {stage.stride} must be whole numbers of at"
                " least 1"
            )
    for layer in plan.network.layers:
        if layer.norm not in get_args(NormKind):
            yield f"layer {layer.name}: norm must be one of {', '.join(get_args(NormKind))}"
        if not is_whole(layer.channels, 1, MAX_SIZE) or not is_whole(
            layer.groups, 0, layer.channels
        ):
            yield (
                f"layer {layer.name}: channels {layer.channels!r} and groups {layer.groups!r}"
                " must be whole numbers"
            )
        elif has_groups(layer.norm) and (layer.groups < 1 or layer.channels % layer.groups):
            yield (
                f"layer {layer.name}: {layer.channels} channels do not divide into {layer.groups}"
                " groups"
            )


def _harmonization(plan: Plan) -> Iterator[str]:
    """Its numbers are checked by `segkit.harmonization.model_file` before they are used."""
    if plan.harmonization is None:
        return
    names = [channel.name for channel in plan.channels]
    found = [channel["name"] for channel in plan.harmonization["channels"]]
    if found != names:
        yield (
            f"harmonization must have the channels {', '.join(names)} in this order,"
            f" not {', '.join(map(str, found)) or 'none'}"
        )


def _divisible(plan: Plan) -> Iterator[str]:
    if any(edge % divisor for edge, divisor in zip(plan.patch, plan.network.divisor, strict=True)):
        yield f"patch {plan.patch} must be a multiple of {plan.network.divisor}"
    if plan.slice_axis is not None and plan.patch[plan.slice_axis] != 1:
        yield f"patch {plan.patch} must be 1 along the slice axis {plan.slice_axis}"


def _symmetry(plan: Plan) -> Iterator[str]:
    for where, expected, found in symmetry_problems(plan):
        yield f"{where}: expected {expected}, found {found}"
        return


CHECKS: tuple[Callable[[Plan], Iterator[str]], ...] = (
    _words_and_switches,
    _axes,
    _edges,
    _names,
    _channels,
    _harmonization,
    _layers,
    _divisible,
    _needs,
    _regions,
    _symmetry,
)
