"""Weights that a training copies from a model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from segkit.bundle.bundle import Bundle, read_bundle, write_bundle
from segkit.config.compose import load
from segkit.config.schema import NetworkConfig, PlanConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import InputError
from segkit.fingerprint.fingerprint import measure
from segkit.networks import build_network
from segkit.planning.planner import make_plan
from segkit.plans.plan import ChannelPlan, Plan
from segkit.training.fit import fit
from segkit.training.transfer import copy_matching_weights, input_kernels
from tests.symmetric_plans import planned


@pytest.fixture(scope="module")
def model(plan_for_balls: Plan, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model of the labels low and high, with random weights."""
    torch.manual_seed(7)
    state = {
        name: torch.randn_like(value)
        for name, value in build_network(plan_for_balls).state_dict().items()
    }
    return write_bundle(tmp_path_factory.mktemp("model"), plan_for_balls, {}, {"0": state})


def with_labels(plan: Plan, *names: str) -> Plan:
    return dataclasses.replace(
        plan, labels={name: value for value, name in enumerate(names, start=1)}
    )


def with_channels(plan: Plan, *names: str) -> Plan:
    return dataclasses.replace(plan, channels=tuple(ChannelPlan(name, "zscore") for name in names))


def test_rows_of_heads_are_matched_by_label_name(model: Bundle) -> None:
    plan = with_labels(model.plan, "new", "high")
    network = build_network(plan)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    report = copy_matching_weights(network, plan, model)
    theirs, own = model.state("0"), network.state_dict()
    for name in (name for name in own if "head" in name):
        assert torch.equal(own[name][[0, 2]], theirs[name][[0, 2]])
        assert torch.equal(own[name][1], before[name][1])
    assert all(torch.equal(own[name], theirs[name]) for name in own if "head" not in name)
    assert (report["not_loaded"], report["labels"], report["new_labels"]) == ([], ["high"], ["new"])
    assert (report["hash"], report["loaded"]) == (model.hash, len(own))


def test_labels_in_another_order_keep_their_rows(model: Bundle) -> None:
    plan = with_labels(model.plan, "high", "low")
    network = build_network(plan)
    copy_matching_weights(network, plan, model)
    assert torch.equal(network.state_dict()["head.bias"], model.state("0")["head.bias"][[0, 2, 1]])


def with_regions(plan: Plan, *names: str) -> Plan:
    """Region n is made of the values from n on."""
    regions = {
        name: tuple(range(value, len(names) + 1)) for value, name in enumerate(names, start=1)
    }
    return dataclasses.replace(with_labels(plan, *names), regions=regions)


def test_regions_have_no_row_for_background(model: Bundle, tmp_path: Path) -> None:
    theirs = with_regions(model.plan, "a", "b", "c")
    state = {
        name: torch.randn_like(value) for name, value in build_network(theirs).state_dict().items()
    }
    of_regions = write_bundle(tmp_path, theirs, {}, {"0": state})
    plan = with_regions(model.plan, "b", "new")
    network = build_network(plan)
    report = copy_matching_weights(network, plan, of_regions)
    assert torch.equal(
        network.state_dict()["head.bias"], torch.stack((state["head.bias"][1], torch.tensor(0.0)))
    )
    assert (report["labels"], report["new_labels"], report["not_loaded"]) == (["b"], ["new"], [])


def test_heads_of_labels_are_not_copied_to_regions(model: Bundle) -> None:
    plan = with_regions(model.plan, "low", "high")
    network = build_network(plan)
    report = copy_matching_weights(network, plan, model)
    assert not network.state_dict()["head.bias"].any()
    assert (report["labels"], report["new_labels"]) == ([], ["low", "high"])
    assert "head.bias" in report["not_loaded"]


def test_with_more_labels_the_known_ones_get_the_same_scores(model: Bundle) -> None:
    plan = with_labels(model.plan, "low", "new", "high")
    network = build_network(plan).eval()
    copy_matching_weights(network, plan, model)
    scan = torch.randn(1, 1, *plan.patch)
    # The rows are bitwise the same, but a convolution to four scores sums in another order than
    # one to three.
    assert torch.allclose(
        network(scan)[:, [0, 1, 3]], model.networks()[0](scan), rtol=1e-4, atol=1e-4
    )


def test_first_kernels_are_matched_by_channel_name(model: Bundle) -> None:
    plan = with_channels(model.plan, "T2", "MRI")
    network = build_network(plan)
    before = network.state_dict()["encoder.0.0.conv.weight"].clone()
    report = copy_matching_weights(network, plan, model)
    after = network.state_dict()["encoder.0.0.conv.weight"]
    assert torch.equal(after[:, 1], model.state("0")["encoder.0.0.conv.weight"][:, 0])
    assert torch.equal(after[:, 0], before[:, 0])
    assert (report["new_channels"], report["not_loaded"]) == (["T2"], [])


def test_a_channel_of_another_name_is_not_copied(model: Bundle) -> None:
    plan = with_channels(model.plan, "CT")
    report = copy_matching_weights(build_network(plan), plan, model)
    assert report["not_loaded"] == ["encoder.0.0.conv.weight"]
    assert report["new_channels"] == ["CT"]


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("unet", ["encoder.0.0.conv.weight"]),
        ("residual_unet", ["encoder.0.0.conv1.conv.weight", "encoder.0.0.shortcut.0.weight"]),
        ("monai_dynunet", ["body.downsample.conv1.conv.weight"]),
        ("monai_segresnet", ["body.convInit.conv.weight"]),
    ],
)
@pytest.mark.parametrize("dims", [2, 3])
def test_the_kernels_that_see_the_input(
    name: str, kernels: list[str], dims: int, balls: Dataset
) -> None:
    wanted = NetworkConfig(name=name, features=[4, 8, 16], dims=dims)
    plan = make_plan(
        measure(balls), balls, network=wanted, plan=PlanConfig(patch=[16, 16, 16]), batch_size=1
    )
    network = build_network(plan)
    assert sorted(input_kernels(network, plan)) == kernels
    assert network.training


def test_larger_tensors_keep_their_random_values(model: Bundle) -> None:
    first, *others = model.plan.network.encoder
    layers = tuple(
        dataclasses.replace(layer, channels=2 * layer.channels, groups=1)
        for layer in others[-1].layers
    )
    encoder = (first, *others[:-1], dataclasses.replace(others[-1], layers=layers))
    plan = dataclasses.replace(
        model.plan, network=dataclasses.replace(model.plan.network, encoder=encoder)
    )
    report = copy_matching_weights(build_network(plan), plan, model)
    assert {"encoder.1.0.conv.weight", "decoder.0.up.weight"} <= set(report["not_loaded"])
    assert report["loaded"] > 0


def test_another_kind_of_network_is_refused(model: Bundle) -> None:
    plan = dataclasses.replace(
        model.plan, network=dataclasses.replace(model.plan.network, name="monai_dynunet")
    )
    with pytest.raises(
        InputError, match=r"expected a model to start from that is a 3D monai_dynunet, .*a 3D unet"
    ):
        copy_matching_weights(build_network(model.plan), plan, model)


def test_a_network_with_another_symmetry_or_downsampling_is_refused(model: Bundle) -> None:
    network = dataclasses.replace(model.plan.network, downsampling="average")
    averages = dataclasses.replace(model.plan, network=network)
    with pytest.raises(InputError, match="is a 3D unet with averages, as the plan, found a 3D un"):
        copy_matching_weights(build_network(averages), averages, model)
    turns = planned("d4", 3)
    with pytest.raises(InputError, match=r"a 3D equivariant_unet with network\.symmetry=d4"):
        copy_matching_weights(build_network(turns), turns, model)


def test_weights_without_a_matching_tensor_are_refused(model: Bundle) -> None:
    with pytest.raises(
        InputError, match=r"no tensor that agrees in name and shape.*Leave plan out"
    ):
        copy_matching_weights(torch.nn.Linear(2, 3), model.plan, model)


def test_a_run_reports_the_weights_that_it_started_from(
    model: Bundle, balls: Dataset, plan_for_balls: Plan, tmp_path: Path
) -> None:
    config = load(
        [
            "compute=cpu",
            "trainer.max_steps=1",
            "trainer.precision=float32",
            "trainer.layout=contiguous",
        ]
    )
    fit(config, plan_for_balls, balls, tmp_path, weights=model)
    report = json.loads((tmp_path / "weights.json").read_text())
    assert report["hash"] == model.hash
    card = read_bundle(tmp_path).card
    assert card["training"]["weights"] | {"trained_on": report["trained_on"]} == report
    assert report["trained_on"] == {"scans": [], "complete": False}  # the model says nothing
