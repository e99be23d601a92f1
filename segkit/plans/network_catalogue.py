"""Catalogue of networks: one row per network, without torch.

A new network needs a row here, a file with its `torch.nn.Module`, and a file
``configs/network/NAME.yaml``. Everything else is derived from this table: the planner takes the
layers and widths of the stages from it, the configuration refuses settings that the network does
not use, and `segkit.networks.build_network` imports the builder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from segkit import plugins
from segkit.plugins import offered


@dataclass(frozen=True)
class StageShape:
    """Properties of a stage of a network, from which a rule derives its layers."""

    level: int
    """Number of stages at higher resolution: 0 at full resolution."""
    in_channels: int
    channels: int
    strided: bool
    """True if the stage reduces the resolution."""
    convs: int
    """Number of convolutions per stage, from network.convs."""


LayerRule = Callable[[StageShape], Iterator[str]]
"""Function from a stage to the names of its layers, in the order in which data pass them."""

WidthRule = Callable[[int, int, int], list[int]]
"""Function from (number of stages, first width, largest width) to the channels of each stage."""


def convolutions(stage: StageShape) -> Iterator[str]:
    """Yield the names of network.convs convolutions."""
    return (str(number) for number in range(stage.convs))


def one_convolution(_stage: StageShape) -> Iterator[str]:
    """Yield the name of a single layer."""
    yield "0"


def residual_blocks(stage: StageShape) -> Iterator[str]:
    """Yield the names of the layers of one block at full resolution, and of two blocks below it.

    A block whose input and output differ in channels or size has a third layer in its shortcut.
    """
    for block in range(1 if stage.level == 0 else 2):
        yield f"{block}.conv1"
        yield f"{block}.conv2"
        if block == 0 and (stage.in_channels != stage.channels or stage.strided):
            yield f"{block}.skip"


def doubled(stages: int, first: int, _largest: int) -> list[int]:
    """Return widths that double from stage to stage, without a limit.

    >>> doubled(4, first=16, _largest=64)
    [16, 32, 64, 128]
    """
    return [first * 2**stage for stage in range(stages)]


def doubled_to_largest(stages: int, first: int, largest: int) -> list[int]:
    """Return widths that double from stage to stage, up to ``largest``.

    >>> doubled_to_largest(4, first=16, largest=64)
    [16, 32, 64, 64]
    """
    return [min(width, largest) for width in doubled(stages, first, largest)]


@dataclass(frozen=True)
class NetworkEntry:
    """Row of the catalogue."""

    builder: str
    """Callable that builds the network from a plan, as "module:name"; imported on first use."""
    settings: tuple[str, ...]
    """Settings that this network uses but some others do not."""
    encoder_layers: LayerRule = convolutions
    decoder_layers: LayerRule = convolutions
    widths: WidthRule = doubled_to_largest
    """Number of channels of each stage if network.features is not given."""
    least_stages: int = 1
    one_norm: bool = False
    """True if all layers have the same norm and the same number of groups."""
    doubles_every_stage: bool = False
    """True if every stage must have twice the width and half the size of the stage above."""
    equivariant: bool = False
    """True if the scores of a turned image are the turned scores (network.symmetry)."""

    @property
    def deep_supervision(self) -> bool:
        """True if the stages below the full resolution can have heads."""
        return "network.deep_supervision" in self.settings


NETWORKS: dict[str, NetworkEntry] = {
    "unet": NetworkEntry(
        builder="segkit.networks.unet:UNet",
        settings=(
            "network.widths",
            "trainer.lowest_head",
            "trainer.save_memory",
            "network.convs",
            "network.deep_supervision",
        ),
    ),
    "residual_unet": NetworkEntry(
        builder="segkit.networks.residual_unet:ResidualUNet",
        settings=(
            "network.widths",
            "trainer.lowest_head",
            "trainer.save_memory",
            "network.deep_supervision",
        ),
        encoder_layers=residual_blocks,
        decoder_layers=one_convolution,
    ),
    "equivariant_unet": NetworkEntry(
        builder="segkit.networks.equivariant_unet:EquivariantUNet",
        settings=(
            "network.symmetry",
            "network.widths",
            "trainer.lowest_head",
            "trainer.save_memory",
            "network.convs",
            "network.deep_supervision",
        ),
        equivariant=True,
    ),
    "monai_dynunet": NetworkEntry(
        builder="segkit.networks.monai_networks:DynUNet",
        settings=("network.widths", "trainer.lowest_head", "network.deep_supervision"),
        least_stages=3,
        one_norm=True,
    ),
    "monai_segresnet": NetworkEntry(
        builder="segkit.networks.monai_networks:SegResNet",
        settings=("network.widths",),
        decoder_layers=one_convolution,
        widths=doubled,
        one_norm=True,
        doubles_every_stage=True,
    ),
}

PLUGIN_NETWORK = NETWORKS["unet"]
"""Row for a network of another package, which may use every setting."""


def network_entry(name: str) -> NetworkEntry:
    """Return the row of a network; PLUGIN_NETWORK for a name that is not in the catalogue."""
    return NETWORKS.get(name, PLUGIN_NETWORK)


def plugin_networks() -> dict[str, EntryPoint]:
    """Return the networks that other installed packages provide, by name.

    Raises:
        InputError: two packages offer the same name.
    """
    return offered(plugins.NETWORKS, NETWORKS)


def networks_by_setting() -> dict[str, tuple[str, ...]]:
    """Return the names of the networks that use each setting, for settings that not all use.

    >>> networks_by_setting()["network.convs"]
    ('unet', 'equivariant_unet')
    """
    settings = [setting for entry in NETWORKS.values() for setting in entry.settings]
    return {
        setting: tuple(name for name, entry in NETWORKS.items() if setting in entry.settings)
        for setting in dict.fromkeys(settings)
    }
