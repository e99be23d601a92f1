from __future__ import annotations

import re
from typing import Any

import pytest

from segkit.config.schema import NetworkConfig
from segkit.errors import UsageError
from segkit.planning.network_stages import (
    activation_elements,
    build_stages,
    default_features,
    with_norms,
)
from segkit.planning.topology import find_topology

TOPOLOGY = find_topology((16, 16, 8), (1.0, 1.0, 1.0))


def build(features: list[int], inputs: int = 1, **options: Any) -> Any:
    return build_stages(TOPOLOGY, features, inputs=inputs, config=NetworkConfig(**options))


def names(stages: Any) -> list[list[str]]:
    return [[layer.name for layer in stage.layers] for stage in stages]


def test_names_of_the_plain_network() -> None:
    network = build([8, 16, 32], convs=2)
    assert names(network.encoder) == [
        ["encoder.0.0", "encoder.0.1"],
        ["encoder.1.0", "encoder.1.1"],
        ["bottleneck.0", "bottleneck.1"],
    ]
    assert names(network.decoder) == [
        ["decoder.0.0", "decoder.0.1"],
        ["decoder.1.0", "decoder.1.1"],
    ]


def test_names_of_the_residual_network() -> None:
    network = build([8, 16, 32], name="residual_unet")
    first = ["encoder.0.0.conv1", "encoder.0.0.conv2", "encoder.0.0.skip"]
    second = [
        "encoder.1.0.conv1",
        "encoder.1.0.conv2",
        "encoder.1.0.skip",
        "encoder.1.1.conv1",
        "encoder.1.1.conv2",
    ]
    assert names(network.encoder)[:2] == [first, second]
    assert names(network.decoder) == [["decoder.0.0"], ["decoder.1.0"]]


def test_a_block_that_changes_nothing_has_no_skip_layer() -> None:
    assert names(build([8, 16, 32], inputs=8, name="residual_unet").encoder)[0] == [
        "encoder.0.0.conv1",
        "encoder.0.0.conv2",
    ]


def test_every_layer_knows_its_voxels_and_groups() -> None:
    network = build([8, 16, 256])
    assert [stage.layers[0].voxels for stage in network.encoder] == [2048, 256, 64]
    assert [stage.layers[0].voxels for stage in network.decoder] == [256, 2048]
    assert [stage.layers[0].groups for stage in network.encoder] == [4, 8, 128]


def test_the_decoder_undoes_the_strides() -> None:
    network = build([8, 16, 32])
    assert [stage.stride for stage in network.encoder] == [(1, 1, 1), (2, 2, 2), (2, 2, 1)]
    assert [stage.stride for stage in network.decoder] == [(2, 2, 1), (2, 2, 2)]
    assert network.divisor == (4, 4, 2)


def test_elements_by_hand() -> None:
    topology = find_topology((8, 8, 8), (1.0, 1.0, 1.0))
    config = NetworkConfig(convs=1)
    # 512 voxels: encoder 4, transposed 4, decoder 4, heads 3; 64 voxels: bottleneck 8.
    assert (
        activation_elements(topology, [4, 8], inputs=1, outputs=3, config=config)
        == 512 * 15 + 64 * 8
    )


def test_widths_double_up_to_a_limit() -> None:
    assert default_features(7, dims=3) == [16, 32, 64, 128, 256, 256, 256]
    assert default_features(6, dims=2) == [16, 32, 64, 128, 128, 128]


def test_a_stage_needs_a_convolution() -> None:
    with pytest.raises(UsageError, match=r"network\.convs=0 must be at least 1"):
        build([8, 16], convs=0)


def test_unknown_network() -> None:
    with pytest.raises(
        UsageError,
        match=r"network=unett is not known\. Did you mean unet\? Choose one of: unet, residual",
    ):
        build([8, 16], name="unett")
    with pytest.raises(UsageError, match=r"network=transformer is not known\. Choose"):
        build([8, 16], name="transformer")


def test_monai_networks_have_one_number_of_groups_and_the_plan_says_so() -> None:
    layers = build([16, 32, 64], name="monai_dynunet").layers
    assert len({layer.groups for layer in layers}) == 1
    assert all(
        layer.groups == layer.channels
        for layer in build([16, 32, 64], name="monai_dynunet", norm="instance").layers
    )


@pytest.mark.parametrize(
    ("features", "name", "message"),
    [
        ([16, 32], "monai_dynunet", "needs 3 stages or more, and the patch allows 2"),
        ([16, 24, 40], "monai_segresnet", "doubles its width from stage to stage"),
        ([16, 18, 16], "monai_dynunet", "the 18 channels of encoder.1.0 do not divide into 8"),
    ],
)
def test_what_monai_networks_cannot_be_is_refused_by_the_planner(
    features: list[int], name: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build(features, name=name)


@pytest.mark.parametrize("norm", ["batch_renorm", "group_ws"])
@pytest.mark.parametrize("name", ["monai_dynunet", "monai_segresnet"])
def test_norms_that_monai_networks_do_not_have(name: str, norm: str) -> None:
    message = (
        f"network={name} does not have network.norm={norm}. Choose one of group, instance, layer,"
        " batch, none, or network=unet."
    )
    with pytest.raises(UsageError, match=re.escape(message)):
        build([16, 32, 64], name=name, norm=norm)


def norms(network: Any) -> dict[str, str]:
    return {layer.name: layer.norm for layer in network.layers}


def test_kernels_are_standardized_in_all_layers_but_those_that_see_the_image() -> None:
    plain = norms(build([8, 16, 32], norm="group_ws"))
    assert [name for name, norm in plain.items() if norm == "group"] == ["encoder.0.0"]
    residual = norms(build([8, 16, 32], name="residual_unet", norm="group_ws"))
    assert [name for name, norm in residual.items() if norm == "group"] == [
        "encoder.0.0.conv1",
        "encoder.0.0.skip",
    ]
    assert {*plain.values(), *residual.values()} == {"group", "group_ws"}


def test_another_norm_leaves_the_layers_that_see_the_image_alone_as_well() -> None:
    network = with_norms(build([8, 16, 32]), lambda layer: ("group_ws", layer.groups))
    assert norms(network) == norms(build([8, 16, 32], norm="group_ws"))


def test_segresnet_halves_every_axis() -> None:
    flat = find_topology((16, 16, 6), (1.0, 1.0, 4.0))
    with pytest.raises(
        UsageError, match=r"halves every axis 2 times: give a plan\.patch of multiples of 4"
    ):
        build_stages(flat, [16, 32, 64], inputs=1, config=NetworkConfig(name="monai_segresnet"))
