"""Convolutions of segkit's own U-Nets, derived from a plan without torch.

Each one says which channels it reads and which it writes. Multiply-adds, parameters and the
channels that a smaller network can do without (`segkit.networks.pruning`) follow from this list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from segkit.errors import InputError
from segkit.plans.plan import LayerPlan, NetworkPlan, Plan, StagePlan
from segkit.plans.symmetry_rules import order
from segkit.volume import Shape

IMAGE = "image"
"""Name of the network's input among the channels that convolutions read."""

Part = Literal["encoder", "decoder"]
Position = tuple[Part, int, int]
"""Part of the network plan, number of the stage in it, and number of the layer in the stage."""


@dataclass(frozen=True)
class Convolution:
    """Convolution, ordinary or transposed, and the norm after it."""

    name: str
    """Name of its module in the network, such as "encoder.0.0.conv"."""
    reads: tuple[str, ...]
    """Names of the channels that it reads, in the order of their concatenation."""
    writes: str
    """Name of the channels that it writes; in residual blocks several ones are added up."""
    in_channels: int
    out_channels: int
    kernel: Shape
    size: Shape
    """Size (X, Y, Z) of its output in voxels, for one window of the plan."""
    stride: Shape = (1, 1, 1)
    norm: str = ""
    """Name of the module of its norm; empty without a norm."""
    position: Position | None = None
    """Where the plan lists it; None for transposed convolutions and heads, which it does not."""
    transposed: bool = False
    """True if its stride equals its kernel, so that each output voxel has one input voxel."""
    orbit: int = 1
    """Number of channels that share a filter, scale and shift, in an equivariant network."""

    @property
    def multiply_adds(self) -> int:
        """Number of multiply-adds for one window.

        >>> Convolution("c", ("image",), "c", 2, 4, (3, 3, 1), (5, 5, 5)).multiply_adds
        9000
        """
        taps = 1 if self.transposed else math.prod(self.kernel)
        return self.in_channels * self.out_channels * taps * math.prod(self.size)

    @property
    def parameters(self) -> int:
        """Number of weights, with the bias, or the norm's scale and shift.

        >>> Convolution("c", ("image",), "c", 2, 4, (3, 3, 1), (5, 5, 5), norm="n").parameters
        80
        """
        weights = self.in_channels * self.out_channels * math.prod(self.kernel) // self.orbit
        if is_head(self):
            return weights + self.out_channels
        return weights + self.out_channels // self.orbit * (2 if self.norm else 1)


def convolutions(plan: Plan) -> list[Convolution]:
    """Return all convolutions of the plan's network, in the order in which they are computed.

    Heads that only a training uses (deep supervision) are included; they come last.

    Raises:
        InputError: a network other than segkit's own U-Nets.
    """
    encoder = ENCODERS.get(plan.network.name)
    if encoder is None:
        raise InputError(
            f"plan {plan.name!r}, network.name",
            expected=f"one of {', '.join(ENCODERS)}, whose convolutions the plan lists",
            found=plan.network.name,
            remedy="Train a model with one of these networks.",
        )
    down, skips = encoder(plan)
    orbit = order(plan.network)
    return [replace(part, orbit=orbit) for part in (*down, *_decoder(plan, skips))]


def multiply_adds(parts: Sequence[Convolution]) -> int:
    """Return the multiply-adds of a plan's `convolutions` for one window in prediction."""
    return sum(part.multiply_adds for part in parts if not is_deep_head(part))


def parameters(parts: Sequence[Convolution]) -> int:
    """Return the number of trainable parameters, with the heads of deep supervision."""
    return sum(part.parameters for part in parts)


def resized(parts: Sequence[Convolution], widths: Mapping[str, int]) -> list[Convolution]:
    """Return the convolutions with other numbers of channels.

    Args:
        parts: all convolutions of a plan.
        widths: number of channels by their name; others stay as they are.
    """
    now = {part.writes: part.out_channels for part in parts} | dict(widths)
    return [
        replace(
            part,
            in_channels=sum(now.get(name, part.in_channels) for name in part.reads),
            out_channels=now[part.writes],
        )
        for part in parts
    ]


def is_deep_head(part: Convolution) -> bool:
    """Return whether only a training uses the convolution."""
    return part.name.startswith("deep_heads.")


def is_head(part: Convolution) -> bool:
    """Return whether the convolution writes scores."""
    return part.name == "head" or is_deep_head(part)


def layer_at(network: NetworkPlan, position: Position) -> LayerPlan:
    """Return the layer at a position of a `Convolution`."""
    part, stage, layer = position
    stages: tuple[StagePlan, ...] = getattr(network, part)
    return stages[stage].layers[layer]


Channels = tuple[str, int]
"""Name and number of channels that convolutions read or write."""
Encoder = Callable[[Plan], tuple[list[Convolution], list[Channels]]]
"""Rule from a plan to the convolutions of its encoder and the output channels of every stage."""


@dataclass(frozen=True)
class _Stage:
    """Stage of a plan, where it is listed, and the size of its outputs."""

    part: Part
    number: int
    plan: StagePlan
    size: Shape
    averaged: bool = False
    """True if its input is averaged over blocks of its stride, before the first convolution."""

    def layer(self, name: str, index: int, reads: Sequence[Channels], norm: str) -> Convolution:
        """Return the convolution of a layer; ``name`` and ``norm`` are those of its modules."""
        layer = self.plan.layers[index]
        # The stride of a decoder stage is that of its transposed convolution.
        is_strided = self.part == "encoder" and index == 0 and not self.averaged
        return Convolution(
            name,
            tuple(source for source, _ in reads),
            name.removesuffix(".conv"),
            sum(count for _, count in reads),
            layer.channels,
            self.plan.kernel,
            self.size,
            stride=self.plan.stride if is_strided else (1, 1, 1),
            norm="" if layer.norm == "none" else norm,
            position=(self.part, self.number, index),
        )

    def plain(self, prefix: str, reads: Sequence[Channels]) -> Iterator[Convolution]:
        """Yield the convolutions of a stage in which each one reads only the one before it."""
        for index in range(len(self.plan.layers)):
            block = f"{prefix}.{index}"
            part = self.layer(f"{block}.conv", index, reads, f"{block}.norm")
            yield part
            reads = [_output(part)]

    def residual(self, prefix: str, reads: Channels) -> Iterator[Convolution]:
        """Yield the convolutions of residual blocks: .conv1, perhaps .skip, .conv2."""
        pools = int(max(self.plan.stride) > 1)
        for number, (first, second, shortcut) in enumerate(_blocks(self.plan.layers)):
            block = f"{prefix}.{number}"
            inner = self.layer(f"{block}.conv1.conv", first, [reads], f"{block}.conv1.norm")
            yield inner
            if shortcut is not None:
                conv, norm = (f"{block}.shortcut.{pools + index}" for index in range(2))
                skip = self.layer(conv, shortcut, [reads], norm)
                skip = replace(skip, writes=block, kernel=(1, 1, 1))
                yield skip
                reads = _output(skip)
            outer = self.layer(
                f"{block}.conv2.conv", second, [_output(inner)], f"{block}.conv2.norm"
            )
            # It is added to the output of the shortcut, or to the channels that the block reads.
            yield replace(outer, writes=reads[0])
            pools = 0


def _output(part: Convolution) -> Channels:
    return part.writes, part.out_channels


def _blocks(layers: Sequence[LayerPlan]) -> Iterator[tuple[int, int, int | None]]:
    """Yield the numbers of the layers of each residual block: .conv1, .conv2, perhaps .skip."""
    first = 0
    while first < len(layers):
        has_skip = first + 2 < len(layers) and layers[first + 2].name.endswith(".skip")
        yield first, first + 1, first + 2 if has_skip else None
        first += 2 + has_skip


def _encoder_stages(plan: Plan) -> list[_Stage]:
    sizes = plan.network.sizes(plan.patch)
    return [
        _Stage("encoder", number, stage, sizes[number], plan.network.downsampling == "average")
        for number, stage in enumerate(plan.network.encoder)
    ]


def _plain_encoder(plan: Plan) -> tuple[list[Convolution], list[Channels]]:
    found: list[Convolution] = []
    outputs: list[Channels] = [(IMAGE, len(plan.channels))]
    for stage in _encoder_stages(plan):
        found += stage.plain(f"encoder.{stage.number}", [outputs[-1]])
        outputs.append(_output(found[-1]))
    return found, outputs[1:]


def _residual_encoder(plan: Plan) -> tuple[list[Convolution], list[Channels]]:
    found: list[Convolution] = []
    outputs: list[Channels] = [(IMAGE, len(plan.channels))]
    for stage in _encoder_stages(plan):
        found += stage.residual(f"encoder.{stage.number}", outputs[-1])
        outputs.append(_output(found[-1]))
    return found, outputs[1:]


def _decoder(plan: Plan, outputs: Sequence[Channels]) -> Iterator[Convolution]:
    """Yield the convolutions of decoder and heads; ``outputs`` are the encoder's, by stage."""
    *skips, below = outputs
    sizes = plan.network.sizes(plan.patch)[len(outputs) :]
    shallow_first = [] if plan.network.decoder else [(below, plan.patch)]
    for number, (stage, size) in enumerate(zip(plan.network.decoder, sizes, strict=True)):
        skip = skips.pop()
        up = _upsampling(f"decoder.{number}.up", below, skip[1], stage, size)
        parts = list(
            _Stage("decoder", number, stage, size).plain(
                f"decoder.{number}.convs", [_output(up), skip]
            )
        )
        yield from [up, *parts]
        below = _output(parts[-1])
        shallow_first.insert(0, (below, size))
    for number, (channels, size) in enumerate(shallow_first):
        if number == 0 or plan.network.deep_supervision:
            yield _head(plan, number, channels, size)


def _upsampling(
    name: str, below: Channels, width: int, stage: StagePlan, size: Shape
) -> Convolution:
    return Convolution(name, below[:1], name, below[1], width, stage.stride, size, transposed=True)


def _head(plan: Plan, number: int, channels: Channels, size: Shape) -> Convolution:
    name = f"deep_heads.{number - 1}" if number else "head"
    source, width = channels
    return Convolution(name, (source,), name, width, len(plan.label_values), (1, 1, 1), size)


ENCODERS: dict[str, Encoder] = {
    "unet": _plain_encoder,
    "residual_unet": _residual_encoder,
    "equivariant_unet": _plain_encoder,
}
"""Rule of each network for the convolutions of its encoder."""
