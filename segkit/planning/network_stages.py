"""Build a NetworkPlan, layer by layer, from a topology and the channels of each stage."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import partial

from segkit.config.schema import NetworkConfig
from segkit.errors import UsageError
from segkit.planning.norm_groups import groups_for
from segkit.planning.topology import Topology
from segkit.plans.network_catalogue import (
    NETWORKS,
    LayerRule,
    NetworkEntry,
    StageShape,
    network_entry,
    plugin_networks,
)
from segkit.plans.norm_catalogue import NORMS, NormKind, has_groups
from segkit.plans.plan import LayerPlan, NetworkPlan, StagePlan, SymmetryPlan
from segkit.plans.symmetry import SYMMETRIES
from segkit.plugins import package
from segkit.volume import Shape

WIDTHS: dict[str, tuple[int, dict[int, int]]] = {
    # Pictures are downsampled six times or more: with 256 channels, the deepest stages would take a
    # third of the time of a training step.
    "default": (16, {2: 128, 3: 256}),
    "nnunet": (32, {2: 512, 3: 320}),
}
"""Channels of the first stage, and largest number in 2D and in 3D, by network.widths."""
BYTES_PER_ELEMENT = 8e9 / 560e6
"""Bytes of memory that a training step takes per element of all convolution outputs.

nnU-Net plans 560e6 elements for 8 GB.
"""

ONE_NORM_KINDS: tuple[NormKind, ...] = ("group", "batch", "none")
"""Kinds of norm of MONAI's networks."""

Chooser = Callable[[str, int, int], tuple[NormKind, int]]
"""Rule from (layer name, channels, voxels) to the norm of a layer and its number of groups."""


def default_features(
    stages: int, dims: int, network: str = "unet", widths: str = "default", *, orbit: int = 1
) -> list[int]:
    """Return the default number of channels of each stage, for network.features=None.

    They double from stage to stage up to the limits of WIDTHS, unless the network has no limit, and
    are multiples of ``orbit``: the first is rounded up, the largest down.

    >>> default_features(6, dims=3), default_features(6, dims=3, widths="nnunet")
    ([16, 32, 64, 128, 256, 256], [32, 64, 128, 256, 320, 320])
    >>> default_features(6, dims=3, orbit=24)
    [24, 48, 96, 192, 240, 240]
    """
    first, largest = WIDTHS[widths]
    first, most = -(-first // orbit) * orbit, largest[dims] // orbit * orbit
    return network_entry(network).widths(stages, first, most)


def build_stages(
    topology: Topology,
    features: Sequence[int],
    *,
    inputs: int,
    config: NetworkConfig,
    symmetry: SymmetryPlan | None = None,
) -> NetworkPlan:
    """Return the plan of the network, with a norm that fits the channels and voxels of each layer.

    Args:
        topology: kernels, strides and sizes of the stages on the training patch.
        features: number of channels of each stage.
        inputs: number of channels of the image.
        config: settings of the network.
        symmetry: symmetry of the network, or None.

    Raises:
        UsageError: the network or norm is unknown, the network cannot have these stages, or a norm
            does not fit its layer.
    """
    orbit = SYMMETRIES[symmetry.group].order if symmetry else 1
    choose = partial(norm_of, config=config, orbit=orbit)
    network = _build(topology, features, inputs, config, choose)
    if symmetry is not None:
        network = replace(network, symmetry=symmetry, downsampling="average")
    entry = network_entry(config.name)
    _check_stages(entry, network, topology, features)
    return one_norm(network) if entry.one_norm else network


def _check_stages(
    entry: NetworkEntry, network: NetworkPlan, topology: Topology, features: Sequence[int]
) -> None:
    """Raise a UsageError if the network cannot have these stages."""
    if len(features) < entry.least_stages:
        raise UsageError(
            f"network={network.name} needs {entry.least_stages} stages or more, and the patch"
            f" allows {len(features)}."
        )
    if not entry.doubles_every_stage:
        return
    if any(width != features[0] * 2**stage for stage, width in enumerate(features)):
        raise UsageError(
            f"network={network.name} doubles its width from stage to stage:"
            f" network.features={list(features)} does not."
        )
    halvings = 2 ** (len(features) - 1)
    if any(edge % halvings for edge in topology.patch if edge > 1):
        raise UsageError(
            f"network={network.name} halves every axis {len(features) - 1} times: give a plan.patch"
            f" of multiples of {halvings}, or fewer network.features."
        )


def one_norm(network: NetworkPlan) -> NetworkPlan:
    """Return the network with the most frequent norm and number of groups in all layers.

    MONAI's networks have the same norm in all layers.

    Raises:
        UsageError: MONAI does not have that norm, or that number of groups does not divide the
            channels of some layer.
    """
    for layer in network.layers:
        if layer.norm not in ONE_NORM_KINDS:
            names = [name for name, entry in NORMS.items() if entry.kind in ONE_NORM_KINDS]
            raise UsageError(
                f"network={network.name} does not have network.norm={layer.norm}. Choose one of"
                f" {', '.join(names)}, or network=unet."
            )
    if all(layer.groups == layer.channels for layer in network.layers):
        return network
    norms = Counter((layer.norm, layer.groups) for layer in network.layers)
    norm, groups = norms.most_common(1)[0][0]
    for layer in network.layers:
        if has_groups(norm) and layer.channels % groups:
            raise UsageError(
                f"network={network.name} takes one number of groups: the {layer.channels} channels"
                f" of {layer.name} do not divide into {groups}. Give network.num_groups or other"
                " network.features."
            )
    return with_norms(network, lambda _layer: (norm, groups))


def with_norms(
    network: NetworkPlan, choose: Callable[[LayerPlan], tuple[NormKind, int]]
) -> NetworkPlan:
    """Return the network with another norm and number of groups in every layer."""

    def changed(stages: Sequence[StagePlan]) -> tuple[StagePlan, ...]:
        return tuple(
            replace(
                stage, layers=tuple(_with_norm(layer, *choose(layer)) for layer in stage.layers)
            )
            for stage in stages
        )

    return _plain_on_the_image(
        replace(network, encoder=changed(network.encoder), decoder=changed(network.decoder))
    )


def _plain_on_the_image(network: NetworkPlan) -> NetworkPlan:
    """Return the network without standardized kernels in the layers whose input is the image.

    The weights of a standardized kernel sum to 0: applied to a channel of the image, it would see
    edges, but not the intensity itself. A 1x1 kernel of one channel would even be 0.
    """
    first, *others = network.encoder
    # The image enters the first convolution, and the shortcut around the first residual block.
    from_image = [first.layers[0], *(x for x in first.layers[2:3] if x.name.endswith(".skip"))]
    layers = tuple(
        replace(layer, norm="group") if layer.norm == "group_ws" and layer in from_image else layer
        for layer in first.layers
    )
    return replace(network, encoder=(replace(first, layers=layers), *others))


def _with_norm(layer: LayerPlan, norm: NormKind, groups: int) -> LayerPlan:
    return replace(layer, norm=norm, groups=groups)


def activation_elements(
    topology: Topology, features: Sequence[int], *, inputs: int, outputs: int, config: NetworkConfig
) -> int:
    """Return the number of elements in all convolution outputs for one patch.

    See `elements`.
    """
    network = _build(
        topology, features, inputs, config, lambda _name, _channels, _voxels: ("none", 0)
    )
    return elements(network, topology.patch, outputs)


def elements(network: NetworkPlan, patch: Shape, outputs: int) -> int:
    """Return the number of elements in all convolution outputs of a network for one patch.

    Convolutions of blocks, transposed convolutions and heads are counted.

    Args:
        network: the network, whose layers have the voxels of ``patch``.
        patch: size (X, Y, Z) of the patch in voxels.
        outputs: number of scores per voxel.
    """
    count = sum(layer.channels * layer.voxels for layer in network.layers)
    for level, stage in enumerate(network.encoder[:-1]):
        heads = outputs if network.deep_supervision or level == 0 else 0
        count += (stage.layers[-1].channels + heads) * math.prod(network.sizes(patch)[level])
    return count


def norm_of(
    name: str, channels: int, voxels: int, *, config: NetworkConfig, orbit: int = 1
) -> tuple[NormKind, int]:
    """Return the norm of a layer and its number of groups according to the settings.

    A group holds a multiple of ``orbit`` channels.
    """
    return groups_for(
        channels,
        voxels,
        layer=name,
        kind=config.norm,
        per_group=config.channels_per_group,
        num_groups=config.num_groups,
        orbit=orbit,
    )


def _build(
    topology: Topology, features: Sequence[int], inputs: int, config: NetworkConfig, choose: Chooser
) -> NetworkPlan:
    if config.convs < 1:
        raise UsageError(f"network.convs={config.convs} must be at least 1.")
    entry = _known_entry(config.name)

    def stage(
        prefix: str, shape: StageShape, layer_rule: LayerRule, *, kernel: int, stride: int
    ) -> StagePlan:
        voxels = math.prod(topology.sizes[kernel])
        names = [f"{prefix}.{name}" for name in layer_rule(shape)]
        layers = tuple(
            LayerPlan(name, shape.channels, *choose(name, shape.channels, voxels), voxels)
            for name in names
        )
        return StagePlan(topology.kernels[kernel], topology.strides[stride], layers)

    last = len(features) - 1
    encoder = []
    for level, channels in enumerate(features):
        name = "bottleneck" if level == last else f"encoder.{level}"
        strided = any(step > 1 for step in topology.strides[level])
        in_channels = features[level - 1] if level else inputs
        shape = StageShape(level, in_channels, channels, strided, config.convs)
        encoder.append(stage(name, shape, entry.encoder_layers, kernel=level, stride=level))
    decoder = []
    for number, level in enumerate(range(last - 1, -1, -1)):
        channels = features[level]
        shape = StageShape(level, 2 * channels, channels, strided=False, convs=config.convs)
        name = f"decoder.{number}"
        decoder.append(stage(name, shape, entry.decoder_layers, kernel=level, stride=level + 1))
    deep = config.deep_supervision and entry.deep_supervision
    network = NetworkPlan(config.name, config.activation, tuple(encoder), tuple(decoder), deep)
    return _plain_on_the_image(network)


def needs(network: str) -> dict[str, str]:
    """Return the package that provides ``network`` as name==version; {} for segkit's own."""
    return {} if network in NETWORKS else {"network": package(plugin_networks()[network])}


def _known_entry(name: str) -> NetworkEntry:
    if name not in NETWORKS and name not in plugin_networks():
        near = get_close_matches(name, NETWORKS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"network={name} is not known.{hint} Choose one of: {', '.join(NETWORKS)}."
        )
    return network_entry(name)
