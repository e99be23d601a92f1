"""Every row of the catalogue has a configuration file, a builder and a plan."""

from __future__ import annotations

from dataclasses import replace
from pkgutil import resolve_name

import pytest
import torch

from segkit.config.choices import own_choices
from segkit.config.keys import leaves
from segkit.config.schema import NetworkConfig, TrainConfig
from segkit.networks import build_network
from segkit.planning.network_stages import build_stages
from segkit.planning.topology import Topology
from segkit.plans.network_catalogue import NETWORKS, network_entry
from segkit.plans.plan import ChannelPlan, Plan, SymmetryPlan

TOPOLOGY = Topology(
    patch=(16, 16, 16), kernels=((3, 3, 3),) * 3, strides=((1, 1, 1), (2, 2, 2), (2, 2, 2))
)


def planned(name: str) -> Plan:
    """Return a small plan in 3D with two labels for the network ``name``."""
    symmetry = SymmetryPlan("mirror", (0,)) if network_entry(name).equivariant else None
    network = build_stages(
        TOPOLOGY, [4, 8, 16], inputs=1, config=NetworkConfig(name=name), symmetry=symmetry
    )
    return Plan(
        name="small",
        dims=3,
        slice_axis=None,
        channels=(ChannelPlan("CT", "none"),),
        labels={"a": 1, "b": 2},
        spacing=(1.0, 1.0, 1.0),
        unit="mm",
        patch=(16, 16, 16),
        batch_size=1,
        mirror_axes=(),
        crop_to_content=False,
        network=network,
    )


def test_every_network_has_a_configuration_file_and_the_other_way_round() -> None:
    assert own_choices("network") == sorted(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_can_be_planned_built_and_run(name: str) -> None:
    if "monai" in name:
        pytest.importorskip("monai")
    plan = planned(name)
    network = build_network(plan).eval()
    assert isinstance(network, resolve_name(NETWORKS[name].builder))
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 16, 16, 16)).shape == (1, 3, 16, 16, 16)


@pytest.mark.parametrize("name", NETWORKS)
def test_settings_of_the_catalogue_exist(name: str) -> None:
    assert set(NETWORKS[name].settings) <= set(leaves(TrainConfig()))


def test_a_row_is_enough_for_planner_and_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(NETWORKS["unet"], settings=("network.widths",))
    monkeypatch.setitem(NETWORKS, "plain_unet", row)
    plan = planned("plain_unet")
    assert not plan.network.deep_supervision
    assert build_network(plan)(torch.zeros(1, 1, 16, 16, 16)).shape == (1, 3, 16, 16, 16)
