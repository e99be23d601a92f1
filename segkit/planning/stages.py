"""From a topology and widths to a NetworkPlan, layer by layer, and what its activations cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

from segkit.config import NetworkConfig
from segkit.errors import UsageError
from segkit.plan_values import NormKind
from segkit.planning.norm_groups import groups_for
from segkit.planning.topology import Topology
from segkit.plans import LayerPlan, NetworkPlan, StagePlan

BASE_FEATURES = 16
MOST_FEATURES = {2: 128, 3: 256}
"""Of 2D and 3D networks. Pictures halve six times and more: at 256 the deepest stages would take a third of a step."""
BYTES_PER_ELEMENT = 8e9 / 560e6
"""Of a convolution's output, with all that a training step keeps for it: nnU-Net plans 560e6 elements for 8 GB."""

Chooser = Callable[[str, int, int], tuple[NormKind, int]]
"""(layer, channels, voxels) -> norm and number of groups."""


@dataclass(frozen=True)
class _Stage:
    """Where a stage stands: ``name`` is the prefix of its layers, ``before`` the channels that come in."""

    name: str
    index: int
    before: int
    channels: int
    strided: bool


def default_features(stages: int, dims: int) -> list[int]:
    """Widths that double from 16 on, up to 256, or 128 in 2D.

    >>> default_features(6, dims=3)
    [16, 32, 64, 128, 256, 256]
    """
    return [min(BASE_FEATURES * 2**stage, MOST_FEATURES[dims]) for stage in range(stages)]


def build_stages(topology: Topology, features: Sequence[int], *, inputs: int, config: NetworkConfig) -> NetworkPlan:
    """The network with a norm for every layer, sized to its channels and to the voxels of the training patch.

    Raises:
        UsageError: an unknown network or norm, or a layer that the norm does not fit.
    """
    choose = partial(_norm, config=config)
    return _build(topology, features, inputs, config, choose)


def activation_elements(
    topology: Topology, features: Sequence[int], *, inputs: int, outputs: int, config: NetworkConfig
) -> int:
    """Elements of all convolution outputs of one patch: blocks, transposed convolutions and heads."""
    network = _build(topology, features, inputs, config, lambda _name, _channels, _voxels: ("none", 0))
    elements = sum(layer.channels * layer.voxels for layer in network.layers)
    for level, size in enumerate(topology.sizes[:-1]):
        heads = outputs if network.deep_supervision or level == 0 else 0
        elements += (features[level] + heads) * math.prod(size)
    return elements


def _norm(name: str, channels: int, voxels: int, *, config: NetworkConfig) -> tuple[NormKind, int]:
    return groups_for(
        channels,
        voxels,
        layer=name,
        kind=config.norm,
        per_group=config.channels_per_group,
        num_groups=config.num_groups,
    )


def _build(
    topology: Topology, features: Sequence[int], inputs: int, config: NetworkConfig, choose: Chooser
) -> NetworkPlan:
    if config.convs < 1:
        raise UsageError(f"network.convs={config.convs} must be at least 1.")
    family = _family(config.name)

    def stage(place: _Stage, layers: Layers, kernel: int, stride: int) -> StagePlan:
        voxels = math.prod(topology.sizes[kernel])
        planned = (
            LayerPlan(
                f"{place.name}.{name}", place.channels, *choose(f"{place.name}.{name}", place.channels, voxels), voxels
            )
            for name in layers(place, config)
        )
        return StagePlan(topology.kernels[kernel], topology.strides[stride], tuple(planned))

    last = len(features) - 1
    encoder = []
    for level, channels in enumerate(features):
        name = "bottleneck" if level == last else f"encoder.{level}"
        strided = any(step > 1 for step in topology.strides[level])
        place = _Stage(name, level, features[level - 1] if level else inputs, channels, strided)
        encoder.append(stage(place, family.encoder, level, level))
    decoder = []
    for number, level in enumerate(range(last - 1, -1, -1)):
        place = _Stage(f"decoder.{number}", level, 2 * features[level], features[level], False)
        decoder.append(stage(place, family.decoder, level, level + 1))
    deep = config.deep_supervision and family.deep_supervision
    return NetworkPlan(config.name, config.activation, tuple(encoder), tuple(decoder), deep)


Layers = Callable[[_Stage, NetworkConfig], Iterator[str]]


def _convolutions(_place: _Stage, config: NetworkConfig) -> Iterator[str]:
    return (str(number) for number in range(config.convs))


def _one_convolution(_place: _Stage, _config: NetworkConfig) -> Iterator[str]:
    yield "0"


def _residual_blocks(place: _Stage, _config: NetworkConfig) -> Iterator[str]:
    """One block at full resolution, two below; a block whose input differs from its output has a third layer."""
    for block in range(1 if place.index == 0 else 2):
        yield f"{block}.conv1"
        yield f"{block}.conv2"
        if block == 0 and (place.before != place.channels or place.strided):
            yield f"{block}.skip"


@dataclass(frozen=True)
class Family:
    """Layer names of an encoder stage and of a decoder stage, and whether deeper stages can have heads."""

    encoder: Layers
    decoder: Layers
    deep_supervision: bool = True


FAMILIES: dict[str, Family] = {
    "unet": Family(_convolutions, _convolutions),
    "residual_unet": Family(_residual_blocks, _one_convolution),
    "monai_dynunet": Family(_convolutions, _convolutions),
    "monai_segresnet": Family(_convolutions, _one_convolution, deep_supervision=False),
}


def _family(name: str) -> Family:
    if name not in FAMILIES:
        near = get_close_matches(name, FAMILIES, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"network={name} is not known.{hint} Choose one of: {', '.join(FAMILIES)}.")
    return FAMILIES[name]
