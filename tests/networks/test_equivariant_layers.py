"""Kernels of equivariant layers are kept without gradients, and follow every change of a weight."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from segkit.networks import build_network
from segkit.networks.equivariant_layers import Filters
from segkit.training.optimization.weight_averaging import RunningAverage
from tests.symmetric_plans import planned

PLAN = planned("p4", 2)


def drawn(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return build_network(PLAN).eval()


def image() -> Tensor:
    return torch.randn(1, 2, 8, 12, generator=torch.Generator().manual_seed(1))


def kernels(network: nn.Module) -> list[Tensor]:
    return [module.kernel() for module in network.modules() if isinstance(module, Filters)]


def test_kernels_are_kept_while_the_weights_stay() -> None:
    network = drawn()
    with torch.no_grad():
        first, again = kernels(network), kernels(network)
        assert all(one is other for one, other in zip(first, again, strict=True))
    with torch.enable_grad():
        assert all(kernel.requires_grad for kernel in kernels(network))


CHANGES: list[Callable[[nn.Module], object]] = [
    lambda network: network.load_state_dict(drawn(1).state_dict()),
    lambda network: RunningAverage(network, drawn(1)).update(0.5, step=100),
    lambda network: [parameter.mul_(2) for parameter in network.parameters()],
    lambda network: [
        setattr(parameter, "data", parameter.data * 2) for parameter in network.parameters()
    ],
    lambda network: network.bfloat16().float(),  # at the place in memory where it was, perhaps
    lambda network: network.load_state_dict(drawn(1).state_dict(), assign=True),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_kernels_follow_every_change_of_the_weights(
    change: Callable[[nn.Module], object], mode: Callable[[], torch.no_grad]
) -> None:
    network, x = drawn(), image()
    with mode():
        network(x)
    with torch.no_grad():
        change(network)
    with mode():
        found = network(x)
    fresh = build_network(PLAN).eval()
    fresh.load_state_dict(network.state_dict())
    assert torch.equal(found, fresh(x))


def test_no_other_weight_takes_the_place_in_memory_of_the_one_whose_kernel_is_kept() -> None:
    network = drawn()
    with torch.no_grad():
        kernels(network)
    places = {parameter.data_ptr() for parameter in network.parameters() if parameter.ndim > 1}
    network.bfloat16().float()
    assert not places & {parameter.data_ptr() for parameter in network.parameters()}


def test_a_copy_has_kernels_of_its_own() -> None:
    network, x = drawn(), image()
    with torch.inference_mode():
        before = network(x)
    twin = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
        assert torch.equal(twin(x), before)
        assert not torch.equal(network(x), before)


def test_kernels_of_a_prediction_do_not_disturb_gradients() -> None:
    network, x = drawn().requires_grad_(False), image()
    with torch.inference_mode():
        network(x)
    x.requires_grad_()
    network(x).sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
