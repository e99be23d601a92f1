"""Masked kernels under an optimizer: zeros stay, and kept weights get the right update."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segkit.config.schema import TrainerConfig
from segkit.errors import InputError
from segkit.networks import build_network
from segkit.networks.equivariance import equivariance_errors
from segkit.networks.masks import apply_masks, dense_masks, prune_by_magnitude
from segkit.training.optimization.masking import KernelMasking
from segkit.training.optimization.optimizers import OPTIMIZERS, orthogonalize
from tests.symmetric_plans import planned


def kernel(*shape: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(shape[1], shape[0], shape[2:], bias=False))


def half(network: nn.Module) -> dict[str, Tensor]:
    weight = network[0].weight
    return {"0.weight": torch.arange(weight.numel()).reshape(weight.shape) % 2 == 0}


def step(network: nn.Module, masking: KernelMasking | None, name: str, steps: int = 3) -> None:
    config = TrainerConfig(optimizer=name, learning_rate=0.1, weight_decay=0.1)
    optimizer = OPTIMIZERS[name](network, config)
    random = torch.Generator().manual_seed(1)
    for _ in range(steps):
        network[0].weight.grad = torch.randn(network[0].weight.shape, generator=random)
        if masking:
            masking.clear_gradients()
        optimizer.step()
        if masking:
            masking.clear_weights()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("channels_last", [True, False])
def test_pruned_weights_stay_exactly_zero(name: str, channels_last: bool) -> None:
    network = kernel(4, 3, 3, 3)
    if channels_last:
        network.to(memory_format=torch.channels_last)
    masks = half(network)
    apply_masks(network, masks)
    step(network, KernelMasking(network, masks), name)
    weight, kept = network[0].weight, masks["0.weight"]
    assert weight[~kept].abs().max() == 0.0
    assert weight[kept].abs().min() > 0.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_masking_once_is_not_enough(name: str) -> None:
    network = kernel(4, 3, 3, 3)
    masks = half(network)
    apply_masks(network, masks)
    step(network, None, name)
    assert (network[0].weight[~masks["0.weight"]] != 0).all()


def test_a_masked_equivariant_network_stays_masked_and_equivariant() -> None:
    torch.manual_seed(0)
    plan = planned("p4m", 2)
    network = build_network(plan)
    masks = prune_by_magnitude(network.state_dict(), dense_masks(network), 0.5)
    apply_masks(network, masks)
    masking = KernelMasking(network, masks)
    optimizer = OPTIMIZERS["muon"](network, TrainerConfig(optimizer="muon"))
    x = torch.randn(1, 2, 16, 16)
    sum(scores.square().mean() for scores in network(x)).backward()
    masking.clear_gradients()
    optimizer.step()
    masking.clear_weights()
    weights = network.state_dict()
    assert all((weights[name][~mask] == 0).all() for name, mask in masks.items())
    errors = equivariance_errors(network.eval().double(), plan, x.double())
    assert max(errors.values()) <= 1e-10


def test_muon_orthogonalizes_the_gradient_of_kept_weights_alone() -> None:
    """One output channel is pruned: the others get the update of the network without it."""
    network, smaller = kernel(4, 3, 3, 3), kernel(3, 3, 3, 3)
    masks = {"0.weight": torch.ones(4, 3, 3, 3) > 0}
    masks["0.weight"][3] = False
    apply_masks(network, masks)
    with torch.no_grad():
        smaller[0].weight.copy_(network[0].weight[:3])
    gradient = torch.randn(4, 3, 3, 3)
    for net, masking, rows in ((network, KernelMasking(network, masks), 4), (smaller, None, 3)):
        optimizer = OPTIMIZERS["muon"](net, TrainerConfig(learning_rate=0.1))
        net[0].weight.grad = gradient[:rows].clone()
        if masking:
            masking.clear_gradients()
        optimizer.step()
        if masking:
            masking.clear_weights()
    assert torch.allclose(network[0].weight[:3], smaller[0].weight, atol=1e-6)
    assert not network[0].weight[3].any()
    # With the gradient of the pruned channel the update of the others would be another one.
    whole, part = orthogonalize([gradient.flatten(1), gradient[:3].flatten(1)])
    assert (whole[:3] - part).abs().max() > 1e-3


def test_gradients_of_pruned_weights_do_not_count_for_clipping() -> None:
    network = kernel(2, 1, 1, 1)
    masking = KernelMasking(network, {"0.weight": torch.tensor([True, False]).reshape(2, 1, 1, 1)})
    network[0].weight.grad = torch.tensor([3.0, 4.0]).reshape(2, 1, 1, 1)
    masking.clear_gradients()
    assert nn.utils.clip_grad_norm_(network.parameters(), 10.0) == 3.0


def test_a_mask_of_another_kernel_is_refused() -> None:
    network = kernel(2, 1, 3, 3)
    with pytest.raises(InputError, match=r"0.weight: expected a kernel of shape \(2, 1, 1, 1\)"):
        KernelMasking(network, {"0.weight": torch.ones(2, 1, 1, 1) > 0})
