"""Masks of kernels: which are pruned, how many, and where."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from segkit.errors import InputError, UsageError
from segkit.networks import build_network
from segkit.networks.fusion import fuse
from segkit.networks.masks import (
    apply_masks,
    dense_masks,
    kept_and_total,
    layer_counts,
    prunable_kernels,
    prune_at_random,
    prune_by_magnitude,
    shuffle_within_layers,
)
from tests.networks.conftest import plan_by_hand, with_residual_encoder


def net() -> nn.Sequential:
    """Two kernels of 36 and 72 weights, norm, and a head of 4."""
    torch.manual_seed(0)
    network = nn.Sequential()
    network.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3))
    network.head = nn.Conv2d(2, 2, 1)
    return network


def kept(masks: dict[str, Tensor]) -> int:
    return kept_and_total(masks)[0]


def test_only_kernels_of_convolutions_outside_of_heads_are_masked() -> None:
    assert list(prunable_kernels(net())) == ["body.0.weight", "body.2.weight"]
    assert [(count.name, count.total) for count in layer_counts(dense_masks(net()))] == [
        ("body.0.weight", 36),
        ("body.2.weight", 72),
    ]


def test_each_level_prunes_a_fifth_rounded_up_and_only_what_was_kept() -> None:
    network = net()
    masks, counts = dense_masks(network), []
    for _ in range(11):
        before = masks
        masks = prune_by_magnitude(network.state_dict(), before, 0.2)
        assert all((masks[name] <= before[name]).all() for name in masks)  # nested
        counts.append(kept(masks))
    # 108 - 22 = 86, 86 - 18 = 68, 68 - 14 = 54, 54 - 11 = 43, ...
    assert counts == [86, 68, 54, 43, 34, 27, 21, 16, 12, 9, 7]


def test_eleven_levels_leave_a_twelfth() -> None:
    weights = {"a": torch.randn(60_000), "b": torch.randn(40_000)}
    masks = {name: torch.ones(len(value)) > 0 for name, value in weights.items()}
    for _ in range(11):
        masks = prune_by_magnitude(weights, masks)
    assert kept(masks) / 100_000 == pytest.approx(0.8**11, abs=1e-4)  # 8.6 %
    # Which are the largest of all.
    magnitudes = torch.cat([weights[name].abs() for name in "ab"])
    threshold = magnitudes.sort(descending=True).values[kept(masks)]
    assert all(torch.equal(masks[name], weights[name].abs() > threshold) for name in "ab")


def test_the_smallest_of_all_kernels_together_are_pruned() -> None:
    weights = {"a": torch.tensor([0.1, 5.0, 6.0]), "b": torch.tensor([-0.2, 0.3, -7.0, 8.0])}
    masks = prune_by_magnitude(weights, {"a": torch.ones(3) > 0, "b": torch.ones(4) > 0}, 0.4)
    assert masks["a"].tolist() == [False, True, True]
    assert masks["b"].tolist() == [False, False, True, True]


def test_pruned_weights_do_not_count_again() -> None:
    """Zeros of an earlier level are smaller than all others, but are gone already."""
    weights = {"a": torch.tensor([0.0, 0.0, 1.0, 2.0, 3.0])}
    masks = prune_by_magnitude(weights, {"a": torch.tensor([0, 0, 1, 1, 1]).bool()}, 0.2)
    assert masks["a"].tolist() == [False, False, False, True, True]


def test_equal_magnitudes_are_pruned_in_order_and_exactly_as_many() -> None:
    weights = {name: torch.ones(5) for name in "ba"}
    masks = prune_by_magnitude(weights, {name: torch.ones(5) > 0 for name in "ba"}, 0.3)
    assert masks["a"].tolist() == [False, False, False, True, True]
    assert masks["b"].all()


def test_no_kernel_loses_its_last_weight() -> None:
    weights = {"small": torch.tensor([0.1, 0.2]), "large": torch.arange(1.0, 9.0)}
    masks = {name: torch.ones(len(value)) > 0 for name, value in weights.items()}
    pruned = prune_by_magnitude(weights, masks, 0.3)
    assert pruned["small"].tolist() == [False, True]
    assert pruned["large"].tolist() == [False, False, *[True] * 6]
    assert prune_by_magnitude(weights, masks, 0.2, keep_per_layer=2)["small"].all()
    # Without the floor the two smallest of all would go.
    assert not prune_by_magnitude(weights, masks, 0.2, keep_per_layer=0)["small"].any()


def test_a_kernel_below_the_floor_keeps_what_it_has() -> None:
    weights = {"a": torch.tensor([1.0, 2.0]), "b": torch.arange(3.0, 13.0)}
    masks = {"a": torch.tensor([True, False]), "b": torch.ones(10) > 0}
    assert prune_by_magnitude(weights, masks, 0.5, keep_per_layer=3)["a"].tolist() == [True, False]


def test_more_than_there_is_cannot_be_pruned() -> None:
    weights = {"a": torch.tensor([1.0, 2.0])}
    with pytest.raises(InputError, match=r"at least 2 weights.*found 1, as each layer keeps 1"):
        prune_by_magnitude(weights, {"a": torch.ones(2) > 0}, 0.6)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan])
def test_an_impossible_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="must be from 0 to 1"):
        prune_at_random({"a": torch.ones(10) > 0}, fraction, seed=0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "found no such kernel"),
        ({"a": torch.ones(3)}, r"found shape \(3,\)"),
        ({"a": torch.tensor([1.0, math.nan])}, "finite weights"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: dict[str, Tensor], message: str) -> None:
    with pytest.raises(InputError, match=message):
        prune_by_magnitude(weights, {"a": torch.ones(2) > 0})


def test_pruned_weights_that_are_not_finite_do_not_matter() -> None:
    weights = {"a": torch.tensor([math.nan, 1.0, 2.0])}
    masks = prune_by_magnitude(weights, {"a": torch.tensor([False, True, True])})
    assert masks["a"].tolist() == [False, False, True]


def test_random_masks_prune_as_many_and_repeat_with_the_seed() -> None:
    dense = dense_masks(net())
    first, again, other = (prune_at_random(dense, 0.5, seed=seed) for seed in (1, 1, 2))
    assert kept(first) == kept(other) == 54
    assert all(torch.equal(first[name], again[name]) for name in dense)
    assert not all(torch.equal(first[name], other[name]) for name in dense)


def test_shuffled_masks_keep_as_many_weights_of_each_kernel() -> None:
    network = net()
    masks = prune_by_magnitude(network.state_dict(), dense_masks(network), 0.5)
    shuffled = shuffle_within_layers(masks, seed=0)
    assert layer_counts(shuffled) == layer_counts(masks)
    assert not torch.equal(shuffled["body.2.weight"], masks["body.2.weight"])


def test_masks_shuffled_within_others_bring_no_weight_back() -> None:
    network = net()
    before = prune_by_magnitude(network.state_dict(), dense_masks(network), 0.5)
    after = prune_by_magnitude(network.state_dict(), before, 0.5)
    shuffled = shuffle_within_layers(after, seed=0, within=before)
    assert layer_counts(shuffled) == layer_counts(after)
    assert not any((shuffled[name] & ~mask).any() for name, mask in before.items())
    assert any(not torch.equal(shuffled[name], mask) for name, mask in after.items())


def test_applied_masks_leave_zeros_and_all_other_weights() -> None:
    network = net()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    masks = prune_by_magnitude(before, dense_masks(network), 0.5)
    apply_masks(network, masks)
    for name, value in network.state_dict().items():
        kept_here = masks.get(name, torch.ones_like(value, dtype=torch.bool))
        assert torch.equal(value[kept_here], before[name][kept_here])
        assert not value[~kept_here].any()


def test_a_mask_of_another_network_is_not_applied() -> None:
    with pytest.raises(InputError, match=r"body.1.weight.*found no such kernel"):
        apply_masks(net(), {"body.1.weight": torch.ones(4) > 0})


@pytest.mark.parametrize("name", ["unet", "residual_unet", "monai_dynunet", "monai_segresnet"])
@pytest.mark.parametrize("dims", [2, 3])
def test_every_network_keeps_its_heads_and_loses_no_other_kernel(name: str, dims: int) -> None:
    """The kernels without a mask are the 1x1 convolutions to the 3 classes."""
    plan = plan_by_hand(dims=dims)
    named = replace(plan, network=replace(plan.network, name=name))
    built = build_network(with_residual_encoder(plan) if name == "residual_unet" else named)
    masked = prunable_kernels(built)
    kernels = {
        f"{name}.weight": module.weight
        for name, module in built.named_modules()
        if isinstance(module, nn.modules.conv._ConvNd)
    }
    heads = kernels.keys() - masked.keys()
    assert {tuple(kernels[head].shape[2:]) for head in heads} == {(1,) * dims}
    assert {kernels[head].shape[0] for head in heads} == {3}
    assert len(heads) == sum(kernel.shape[0] == 3 for kernel in kernels.values())


def test_a_masked_network_and_its_fused_form_compute_the_same() -> None:
    """A batch norm that is folded into a masked kernel leaves its zeros."""
    built = build_network(plan_by_hand(norm="batch"))
    masks = prune_at_random(dense_masks(built), 0.5, seed=0)
    apply_masks(built, masks)
    image = torch.randn(1, 2, 16, 16, 8)
    scores = built.eval()(image)
    fuse(built)
    assert torch.allclose(built(image), scores, atol=1e-5)
    weights = built.state_dict()
    assert all(not weights[name][~kept_here].any() for name, kept_here in masks.items())
