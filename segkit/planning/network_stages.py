"""From a topology and widths to a NetworkPlan, layer by layer, and what its activations cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial

from segkit.config.schema import NetworkConfig
from segkit.errors import UsageError
from segkit.planning.norm_groups import groups_for
from segkit.planning.topology import Topology
from segkit.plans.plan import LayerPlan, NetworkPlan, StagePlan
from segkit.plans.rules import NormKind
from segkit.plugins import NETWORKS, offered, package

WIDTHS: dict[str, tuple[int, dict[int, int]]] = {
    # Pictures halve six times and more: at 256 the deepest stages would take a third of a step.
    "default": (16, {2: 128, 3: 256}),
    "nnunet": (32, {2: 512, 3: 320}),
}
"""First width, and the most of 2D and of 3D networks, by `NetworkConfig.widths`."""
BYTES_PER_ELEMENT = 8e9 / 560e6
"""Of a convolution's output, with all that a training step keeps for it: nnU-Net plans 560e6 elements for 8 GB."""

DYNUNET, SEGRESNET = "monai_dynunet", "monai_segresnet"

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


def default_features(
    stages: int, dims: int, network: str = "unet", widths: str = "default"
) -> list[int]:
    """Widths that double from 16 on, up to 256, or 128 in 2D; SegResNet knows no limit.

    >>> default_features(6, dims=3), default_features(6, dims=3, widths="nnunet")
    ([16, 32, 64, 128, 256, 256], [32, 64, 128, 256, 320, 320])
    """
    first, most = WIDTHS[widths]
    doubled = [first * 2**stage for stage in range(stages)]
    return doubled if network == SEGRESNET else [min(width, most[dims]) for width in doubled]


def build_stages(
    topology: Topology, features: Sequence[int], *, inputs: int, config: NetworkConfig
) -> NetworkPlan:
    """The network with a norm for every layer, sized to its channels and to the voxels of the training patch.

    Raises:
        UsageError: an unknown network or norm, or a layer that the norm does not fit.
    """
    choose = partial(norm_of, config=config)
    network = _build(topology, features, inputs, config, choose)
    if config.name in (DYNUNET, SEGRESNET):
        _check_monai(network, topology, features)
        network = one_norm(network)
    return network


def _check_monai(network: NetworkPlan, topology: Topology, features: Sequence[int]) -> None:
    """Refuse what MONAI's networks cannot be told to be."""
    if network.name == DYNUNET and len(features) < 3:
        raise UsageError(
            f"network={DYNUNET} needs 3 stages or more, and the patch allows {len(features)}."
        )
    if network.name != SEGRESNET:
        return
    if any(width != features[0] * 2**stage for stage, width in enumerate(features)):
        raise UsageError(
            f"network={SEGRESNET} doubles its width from stage to stage: network.features={list(features)} does not."
        )
    halvings = 2 ** (len(features) - 1)
    if any(edge % halvings for edge in topology.patch if edge > 1):
        raise UsageError(
            f"network={SEGRESNET} halves every axis {len(features) - 1} times: give a plan.patch of multiples of "
            f"{halvings}, or fewer network.features."
        )


def one_norm(network: NetworkPlan) -> NetworkPlan:
    """The norm and number of groups that most layers have, in all of them: MONAI's networks take one."""
    if all(layer.groups == layer.channels for layer in network.layers):
        return network
    (norm, groups), _ = Counter((layer.norm, layer.groups) for layer in network.layers).most_common(
        1
    )[0]
    unfit = next(
        (layer for layer in network.layers if norm == "group" and layer.channels % groups), None
    )
    if unfit:
        raise UsageError(
            f"network={network.name} takes one number of groups: the {unfit.channels} channels of {unfit.name} do not "
            f"divide into {groups}. Give network.num_groups or other network.features."
        )
    encoder, decoder = (
        tuple(
            replace(
                stage,
                layers=tuple(replace(layer, norm=norm, groups=groups) for layer in stage.layers),
            )
            for stage in stages
        )
        for stages in (network.encoder, network.decoder)
    )
    return replace(network, encoder=encoder, decoder=decoder)


def activation_elements(
    topology: Topology, features: Sequence[int], *, inputs: int, outputs: int, config: NetworkConfig
) -> int:
    """Elements of all convolution outputs of one patch: blocks, transposed convolutions and heads."""
    network = _build(
        topology, features, inputs, config, lambda _name, _channels, _voxels: ("none", 0)
    )
    elements = sum(layer.channels * layer.voxels for layer in network.layers)
    for level, size in enumerate(topology.sizes[:-1]):
        heads = outputs if network.deep_supervision or level == 0 else 0
        elements += (features[level] + heads) * math.prod(size)
    return elements


def norm_of(
    name: str, channels: int, voxels: int, *, config: NetworkConfig
) -> tuple[NormKind, int]:
    """Norm and number of groups of the layer ``name``, as ``config`` asks for them."""
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
                f"{place.name}.{name}",
                place.channels,
                *choose(f"{place.name}.{name}", place.channels, voxels),
                voxels,
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
    DYNUNET: Family(_convolutions, _convolutions),
    SEGRESNET: Family(_convolutions, _one_convolution, deep_supervision=False),
}


def needs(network: str) -> dict[str, str]:
    """The package that offers ``network``, as name==version, if it is not segkit's own."""
    return {} if network in FAMILIES else {"network": package(offered(NETWORKS, FAMILIES)[network])}


def _family(name: str) -> Family:
    if name not in FAMILIES and name in offered(NETWORKS, FAMILIES):
        return FAMILIES["unet"]
    if name not in FAMILIES:
        near = get_close_matches(name, FAMILIES, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"network={name} is not known.{hint} Choose one of: {', '.join(FAMILIES)}."
        )
    return FAMILIES[name]
