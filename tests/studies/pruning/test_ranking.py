"""Importance of channels, compared with what the loss does without them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from segkit.bundle.bundle import fill_network
from segkit.config.schema import AugmentConfig, TrainerConfig
from segkit.dataset.dataset import Dataset
from segkit.networks import build_network
from segkit.networks.pruning import (
    channel_sets,
    output_tensors,
    smaller_plan,
    smaller_state,
)
from segkit.plans.convolutions import is_head
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import prepare_cases
from segkit.studies.pruning.ranking import MODE, at_random, candidates, loss_change, with_losses
from segkit.training.data.patches import PatchDataset, PatchRules
from segkit.training.optimization.cuda_graph import TrainingLoss
from segkit.training.optimization.losses import build_loss

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def patches(dataset: Dataset, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> PatchDataset:
    cases = prepare_cases(dataset.cases, dataset, plan, tmp_path_factory.mktemp("prepared"))
    return PatchDataset(cases, PatchRules(plan, AugmentConfig(), 0, 0.5))


def network_of(plan: Plan) -> torch.nn.Module:
    torch.manual_seed(0)
    network = build_network(plan)
    for name, parameter in network.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(parameter, mean=0.5, std=0.3)
    return network


def test_it_is_the_derivative_of_the_loss(plan: Plan, patches: PatchDataset) -> None:
    network, loss = network_of(plan), build_loss(TrainerConfig(), plan)
    importance = loss_change(network, plan, loss, patches, device=CPU, batches=1)
    plain = PatchDataset(patches.cases, patches.rules)
    plain.plain_from(0)
    items = [plain[number] for number in range(plan.batch_size)]
    images, labels = (
        torch.stack([torch.as_tensor(i[key]) for i in items]) for key in ("image", "labels")
    )
    step = TrainingLoss(network, loss, slice_axis=None, mode=MODE)
    for part in channel_sets(plan):
        tensors = [
            (network.get_parameter(name), axis)
            for name, axis in output_tensors(part, network.state_dict())
            if not (
                part.writers[0].norm and name.endswith("conv.weight")
            )  # the norm undoes a factor before it
        ]
        changes = []
        for sign in (1, -1):
            with torch.no_grad():
                for tensor, axis in tensors:
                    tensor.narrow(axis, 0, part.unit).mul_(1 + sign * 1e-2)
                changes.append(float(step(images, labels)))
                for tensor, axis in tensors:
                    tensor.narrow(axis, 0, part.unit).div_(1 + sign * 1e-2)
        slope = abs(changes[0] - changes[1]) / 2e-2
        assert importance[part.name][0] == pytest.approx(slope, rel=0.05, abs=2e-4), part.name


def test_a_group_that_nothing_reads_has_no_importance(plan: Plan, patches: PatchDataset) -> None:
    network, loss = network_of(plan), build_loss(TrainerConfig(), plan)
    part = next(part for part in channel_sets(plan) if part.name == "encoder.0.0")
    reader, start = part.readers[0]
    with torch.no_grad():
        network.get_parameter(f"{reader.name}.weight")[:, start : start + part.unit] = 0.0
    before = {name: value.clone() for name, value in network.state_dict().items()}
    importance = loss_change(network, plan, loss, patches, device=CPU, batches=2)
    assert importance["encoder.0.0"][0] == 0.0
    assert min(importance["encoder.0.0"][1:]) > 0.0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_candidates_are_all_layers_but_the_upsampling_which_follows(plan: Plan) -> None:
    sets = channel_sets(plan)
    found = {part.name: part for part in candidates(sets, at_random(sets, seed=0))}
    assert set(found) == {part.name for part in sets} - {"decoder.0.up"}
    assert {name: len(values) for name, values in found["encoder.0.1"].beside.items()} == {
        "decoder.0.up": 8
    }
    assert at_random(sets, seed=0) == at_random(sets, seed=0) != at_random(sets, seed=1)


def test_a_layer_in_front_of_a_head_keeps_a_channel_for_each_output(plan: Plan) -> None:
    # Groups of two channels, two groups at least; 5 outputs need three groups.
    sets = {part.name: part for part in channel_sets(plan)}
    read = sets["decoder.0.convs.1"]
    ((head, start),) = ((part, start) for part, start in read.readers if is_head(part))
    for outputs, least in ((3, 4), (5, 6), (99, read.channels)):
        reader = dataclasses.replace(head, out_channels=outputs)
        part = dataclasses.replace(read, readers=((reader, start),))
        (found,) = candidates([part], at_random([part], seed=0))
        assert (part.unit, found.least) == (2, least)
    (other,) = candidates([sets["encoder.0.0"]], at_random([sets["encoder.0.0"]], seed=0))
    assert other.least == 4


def test_the_loss_without_channels_is_measured_on_the_masked_network(
    plan: Plan, patches: PatchDataset
) -> None:
    network, loss = network_of(plan), build_loss(TrainerConfig(), plan)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    sets = channel_sets(plan)
    found = candidates(sets, at_random(sets, seed=0))
    measured = with_losses(found, network, plan, loss, patches, mode=MODE, device=CPU)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    part = next(part for part in measured if part.name == "encoder.0.1")
    assert list(part.losses) == [4]
    # The same with a network that is really smaller.
    kept = part.kept(4)
    small = smaller_plan(plan, kept)
    narrow = fill_network(small, smaller_state(plan, network.state_dict(), kept), "test")
    plain = PatchDataset(patches.cases, patches.rules)
    plain.plain_from(0)
    change = 0.0
    for batch in range(4):
        items = [plain[batch * plan.batch_size + n] for n in range(plan.batch_size)]
        images, labels = (
            torch.stack([torch.as_tensor(i[key]) for i in items]) for key in ("image", "labels")
        )
        with torch.inference_mode():
            without, whole = (
                float(TrainingLoss(one.train(), loss, slice_axis=None, mode=MODE)(images, labels))
                for one in (narrow, network)
            )
        change += (without - whole) / 4
    assert part.losses[4] == pytest.approx(max(0.0, change), abs=1e-5)
    assert max(part.losses[min(part.losses)] for part in measured) > 1e-3


def test_without_time_nothing_is_measured(plan: Plan, patches: PatchDataset) -> None:
    network, loss = network_of(plan), build_loss(TrainerConfig(), plan)
    sets = channel_sets(plan)
    found = candidates(sets, at_random(sets, seed=0))
    assert with_losses(found, network, plan, loss, patches, mode=MODE, device=CPU, seconds=0.0) == (
        found
    )
