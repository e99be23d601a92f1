"""Masks are fitted to networks of other channels and labels, and refused where nothing fits."""

from __future__ import annotations

import dataclasses
import logging

import pytest
import torch

from segkit.errors import InputError
from segkit.networks import build_network
from segkit.networks.mask_file import MaskFile, MaskOrigin
from segkit.networks.masks import dense_masks, kept_and_total, prune_at_random
from segkit.plans.plan import ChannelPlan, Plan
from segkit.training.initialization.mask_transfer import fit_mask

FIRST = "encoder.0.0.conv.weight"


def with_channels(plan: Plan, *names: str) -> Plan:
    return dataclasses.replace(plan, channels=tuple(ChannelPlan(name, "zscore") for name in names))


@pytest.fixture
def mask(plan_for_balls: Plan) -> MaskFile:
    masks = prune_at_random(dense_masks(build_network(plan_for_balls)), 0.5, seed=0)
    return MaskFile(masks, ("MRI",))


def test_a_mask_of_the_same_network_is_taken_whole(plan_for_balls: Plan, mask: MaskFile) -> None:
    fitted, report = fit_mask(build_network(plan_for_balls), plan_for_balls, mask)
    assert fitted.hash == mask.hash
    kept, total = kept_and_total(mask.masks)
    assert report == {
        "hash": mask.hash,
        "kept": kept,
        "weights": total,
        "kernels": len(mask.masks),
        "dense": [],
        "not_taken": [],
    }


def test_where_a_mask_was_made_stays_known(
    plan_for_balls: Plan, mask: MaskFile, caplog: pytest.LogCaptureFixture
) -> None:
    mask = dataclasses.replace(mask, origin=MaskOrigin("Milz", "0123456789ab", 4))
    with caplog.at_level(logging.INFO):
        fitted, report = fit_mask(build_network(plan_for_balls), plan_for_balls, mask)
    assert fitted.origin == mask.origin
    assert report["origin"] == {"dataset": "Milz", "hash": "0123456789ab", "training_cases": 4}
    assert "the mask was made on Milz, with 4 training cases" in caplog.text


def test_other_labels_do_not_matter(plan_for_balls: Plan, mask: MaskFile) -> None:
    plan = dataclasses.replace(plan_for_balls, labels={"a": 1, "b": 2, "c": 3, "d": 4})
    fitted, _ = fit_mask(build_network(plan), plan, mask)
    assert fitted.hash == mask.hash


def test_channels_are_matched_by_name(plan_for_balls: Plan, mask: MaskFile) -> None:
    plan = with_channels(plan_for_balls, "T2", "MRI")
    fitted, report = fit_mask(build_network(plan), plan, mask)
    assert torch.equal(fitted.masks[FIRST][:, 1], mask.masks[FIRST][:, 0])
    assert fitted.masks[FIRST][:, 0].all()
    assert (fitted.channels, report["dense"]) == (("T2", "MRI"), [])


def test_a_kernel_that_does_not_fit_stays_dense_and_is_named(
    plan_for_balls: Plan, mask: MaskFile, caplog: pytest.LogCaptureFixture
) -> None:
    plan = with_channels(plan_for_balls, "CT")
    with caplog.at_level(logging.WARNING):
        fitted, report = fit_mask(build_network(plan), plan, mask)
    assert fitted.masks[FIRST].all()
    assert not fitted.masks["encoder.1.0.conv.weight"].all()
    assert report["dense"] == report["not_taken"] == [FIRST]
    assert f"which stay dense: {FIRST}; not taken from it: {FIRST}" in caplog.text


def test_a_mask_of_another_network_is_refused(plan_for_balls: Plan) -> None:
    other = MaskFile({"layer.weight": torch.ones(2, 2, 3, 3, 3) > 0}, ())
    with pytest.raises(InputError, match=r"found none that agrees in name and shape with any"):
        fit_mask(build_network(plan_for_balls), plan_for_balls, other)


def test_standardized_weights_cannot_be_masked(plan_for_balls: Plan, mask: MaskFile) -> None:
    """A pruned weight would be minus the mean of its channel."""
    first, *others = plan_for_balls.network.encoder
    layers = tuple(dataclasses.replace(layer, norm="group_ws") for layer in first.layers)
    encoder = (dataclasses.replace(first, layers=layers), *others)
    network = dataclasses.replace(plan_for_balls.network, encoder=encoder)
    plan = dataclasses.replace(plan_for_balls, network=network)
    with pytest.raises(InputError, match=r"found network.norm=group_ws.*Train with network.norm"):
        fit_mask(build_network(plan_for_balls), plan, mask)


def test_a_kernel_without_weights_is_named(
    plan_for_balls: Plan, mask: MaskFile, caplog: pytest.LogCaptureFixture
) -> None:
    mask.masks[FIRST].fill_(False)
    with caplog.at_level(logging.WARNING):
        fit_mask(build_network(plan_for_balls), plan_for_balls, mask)
    assert f"nothing passes through these kernels, all of 0: {FIRST}" in caplog.text
