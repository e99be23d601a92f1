"""Structured pruning: a U-Net without some of its channels, as an ordinary smaller plan.

GroupNorm computes its statistics within a group of channels. If whole groups are removed, the
others keep their statistics, so that the smaller network computes exactly what the larger one
computes with those groups at 0. Removing single channels of a group would change the statistics of
the others. BatchNorm, and a layer without a norm, treat each channel alone.

Channels are named after the convolution that writes them. Residual blocks add their outputs to the
same channels, which are therefore removed from all of them together. A transposed convolution has
as many outputs as the skip connection beside it, in every plan, and loses as many.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from segkit.errors import InputError
from segkit.plans.convolutions import IMAGE, Convolution, Part, Position, convolutions, layer_at
from segkit.plans.plan import LayerPlan, NetworkPlan, Plan, StagePlan

Kept = Mapping[str, Sequence[int]]
"""Ascending numbers of the channels to keep, by the name of their `ChannelSet`; others are kept."""
KINDS = ("group", "batch", "batch_renorm", "none")
"""Kinds of norm under which channels, or whole groups of them, can be removed exactly."""
LEAST_GROUPS = 2
"""Fewest groups that a layer keeps, as in the rule of `segkit.planning.norm_groups`."""


@dataclass(frozen=True)
class ChannelSet:
    """Channels of one place in a network, and the convolutions that write and read them."""

    name: str
    channels: int
    unit: int
    """Number of neighboring channels that are removed together: a group of the norm."""
    least: int
    """Smallest number of channels to keep."""
    writers: tuple[Convolution, ...]
    readers: tuple[tuple[Convolution, int], ...]
    """Convolutions that read the channels, each with the number of channels before them."""
    skip: str = ""
    """For a transposed convolution, the name of the channels with which its own are concatenated;
    of both, the same number is kept."""


def channel_sets(plan: Plan) -> list[ChannelSet]:
    """Return all channels that a smaller network could lack, in the order of the data.

    The network's input and scores are not among them, nor are channels that a residual block adds
    to the input itself.

    Raises:
        InputError: a network other than segkit's own U-Nets, one with symmetry, or a norm under
            which no channel can be removed exactly.
    """
    parts = convolutions(plan)
    if plan.network.symmetry:
        raise InputError(
            f"plan {plan.name!r}, network.symmetry",
            expected="a network without symmetry, whose channels can be removed",
            found=plan.network.symmetry.group,
            remedy="Export the model as a plain U-Net first: segkit export MODEL OUT.segkit"
            " --plain.",
        )
    writers: dict[str, list[Convolution]] = defaultdict(list)
    for part in parts:
        writers[part.writes].append(part)
    read = {name for part in parts for name in part.reads}
    return [
        _channel_set(plan, name, tuple(own), parts)
        for name, own in writers.items()
        if name in read and name != IMAGE
    ]


def check_kept(plan: Plan, kept: Kept) -> None:
    """Raise ValueError unless ``kept`` leaves whole groups, enough of them, and equal skips."""
    sets = {part.name: part for part in channel_sets(plan)}
    for name, channels in kept.items():
        if name not in sets:
            raise ValueError(f"no channels {name!r} that can be removed")
        _check_set(sets[name], channels)
    for part in sets.values():
        if part.skip and _count(part, kept) != _count(sets[part.skip], kept):
            raise ValueError(
                f"{part.name} must keep as many channels as {part.skip}, beside which it is read"
            )


def smaller_plan(plan: Plan, kept: Kept) -> Plan:
    """Return the plan of the network with the ``kept`` channels only.

    The number of channels per group stays as it is.

    Raises:
        InputError: as `channel_sets`.
        ValueError: as `check_kept`.
    """
    check_kept(plan, kept)
    widths = {
        writer.position: _count(part, kept)
        for part in channel_sets(plan)
        for writer in part.writers
        if writer.position
    }
    network = plan.network
    encoder, decoder = _stages(network, "encoder", widths), _stages(network, "decoder", widths)
    return replace(plan, network=replace(network, encoder=encoder, decoder=decoder))


def smaller_state(plan: Plan, state: Mapping[str, Tensor], kept: Kept) -> dict[str, Tensor]:
    """Return the tensors of the network with the ``kept`` channels only.

    Args:
        plan: the plan of the larger network.
        state: its tensors by name, which are not changed.
        kept: the channels to keep.

    Raises:
        InputError: as `channel_sets`.
        ValueError: as `check_kept`.
    """
    check_kept(plan, kept)
    sets = channel_sets(plan)
    smaller = dict(state)
    for part in sets:
        numbers = torch.tensor(list(kept.get(part.name, range(part.channels))))
        for name, axis in output_tensors(part, state):
            smaller[name] = smaller[name].index_select(axis, numbers)
    for (name, axis), numbers in _read_channels(sets, kept).items():
        smaller[name] = smaller[name].index_select(axis, numbers)
    return smaller


def output_tensors(part: ChannelSet, state: Mapping[str, Tensor]) -> Iterator[tuple[str, int]]:
    """Yield name and axis of every tensor in ``state`` that has a value per channel of ``part``.

    These are the kernels and biases of the convolutions that write the channels, and the weights
    and running statistics of their norms.
    """
    for writer in part.writers:
        yield f"{writer.name}.weight", int(writer.transposed)
        if f"{writer.name}.bias" in state:
            yield f"{writer.name}.bias", 0
        if writer.norm:
            for name, tensor in state.items():
                if name.startswith(f"{writer.norm}.") and tensor.ndim:
                    yield name, 0


def _read_channels(sets: Sequence[ChannelSet], kept: Kept) -> dict[tuple[str, int], Tensor]:
    """Return for each kernel, by name and axis, the input channels that it keeps."""
    found: dict[tuple[str, int], dict[int, list[int]]] = defaultdict(dict)
    for part in sets:
        numbers = kept.get(part.name, range(part.channels))
        for reader, start in part.readers:
            axis = 0 if reader.transposed else 1
            found[f"{reader.name}.weight", axis][start] = [start + number for number in numbers]
    return {
        key: torch.tensor([number for start in sorted(blocks) for number in blocks[start]])
        for key, blocks in found.items()
    }


def _channel_set(
    plan: Plan, name: str, writers: tuple[Convolution, ...], parts: Sequence[Convolution]
) -> ChannelSet:
    channels = writers[0].out_channels
    layers = [layer_at(plan.network, part.position) for part in writers if part.position]
    for layer in layers:
        _check_norm(plan, layer)
    per_group = [layer.channels // layer.groups if layer.groups else 1 for layer in layers]
    unit = math.lcm(*per_group) if per_group else 1
    grouped = any(layer.groups for layer in layers)
    enough = LEAST_GROUPS * max(per_group) if grouped else 1
    beside = [part.reads[1] for part in parts if part.reads[0] == name and len(part.reads) > 1]
    return ChannelSet(
        name,
        channels,
        unit,
        least=-(-enough // unit) * unit,
        writers=writers,
        readers=tuple(_readers(name, parts, channels)),
        skip=beside[0] if beside else "",
    )


def _check_norm(plan: Plan, layer: LayerPlan) -> None:
    where = f"plan {plan.name!r}, layer {layer.name}"
    if layer.norm not in KINDS:
        raise InputError(
            where,
            expected=f"a norm under which channels can be removed exactly: {', '.join(KINDS)}",
            found=layer.norm,
            remedy="Train a model with network.norm=group.",
        )
    if layer.norm == "group" and layer.groups < LEAST_GROUPS:
        raise InputError(
            where,
            expected="two or more groups, of which some can be removed",
            found="one group of all channels (layer norm), whose statistics every channel changes",
            remedy="Train a model with network.norm=group.",
        )


def _readers(
    name: str, parts: Sequence[Convolution], channels: int
) -> Iterator[tuple[Convolution, int]]:
    """Yield the convolutions that read the channels ``name``, and where theirs begin."""
    for part in parts:
        if name in part.reads:
            # Concatenated are upsampled features and a skip connection of the same width.
            yield part, part.reads.index(name) * channels


def _check_set(part: ChannelSet, channels: Sequence[int]) -> None:
    numbers = list(channels)
    if numbers != sorted(set(numbers)) or not set(numbers) <= set(range(part.channels)):
        raise ValueError(f"{part.name}: not different channels below {part.channels}, ascending")
    groups = {number // part.unit for number in numbers}
    if len(groups) * part.unit != len(numbers):
        raise ValueError(
            f"{part.name}: only whole groups of {part.unit} channels can be removed exactly"
        )
    if len(numbers) < part.least:
        raise ValueError(f"{part.name}: at least {part.least} channels must be kept")


def _count(part: ChannelSet, kept: Kept) -> int:
    return len(kept[part.name]) if part.name in kept else part.channels


def _stages(
    network: NetworkPlan, part: Part, widths: Mapping[Position, int]
) -> tuple[StagePlan, ...]:
    stages: tuple[StagePlan, ...] = getattr(network, part)
    return tuple(
        replace(
            stage,
            layers=tuple(
                _narrowed(layer, widths.get((part, number, index), layer.channels))
                for index, layer in enumerate(stage.layers)
            ),
        )
        for number, stage in enumerate(stages)
    )


def _narrowed(layer: LayerPlan, channels: int) -> LayerPlan:
    return replace(layer, channels=channels, groups=layer.groups * channels // layer.channels)
