"""Recomputed activations are bitwise the same, and less is kept for the backward pass."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from segkit.networks import build_network
from segkit.networks.kernels.recompute import recomputing
from segkit.plans.plan import Plan
from tests.symmetric_plans import planned

MakePlan = Callable[..., Plan]


def scores_of(network: nn.Module, x: Tensor, *, recompute: bool, half: bool = False) -> Tensor:
    with (
        torch.autocast("cpu", torch.bfloat16, enabled=half),
        recomputing() if recompute else nullcontext(),
    ):
        scores: list[Tensor] = network(x)
    return torch.cat([each.flatten().float() for each in scores])


def after_a_step(network: nn.Module, x: Tensor, *, recompute: bool, half: bool) -> list[Tensor]:
    """Return scores, gradients and running statistics."""
    network = copy.deepcopy(network)
    scores = scores_of(network, x, recompute=recompute, half=half)
    scores.sin().sum().backward()  # type: ignore[no-untyped-call]
    return [scores, *(parameter.grad for parameter in network.parameters()), *network.buffers()]  # type: ignore[list-item]


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", ["unet", "residual_unet"])
@pytest.mark.parametrize("norm", ["group", "group_ws", "batch", "batch_renorm", "none"])
@pytest.mark.parametrize(
    ("dims", "batch", "activation"), [(2, 2, "relu"), (3, 1, "leaky_relu"), (3, 2, "silu")]
)
def test_gradients_and_statistics_are_the_same(
    make_plan: MakePlan,
    residual: Callable[[Plan], Plan],
    norm: str,
    name: str,
    half: bool,
    dims: int,
    batch: int,
    activation: str,
) -> None:
    plan = make_plan(norm=norm, dims=dims, activation=activation)
    network = build_network(residual(plan) if name == "residual_unet" else plan)
    x = torch.randn(batch, 2, *plan.patch[:dims])
    pairs = [
        after_a_step(network, x, recompute=recompute, half=half) for recompute in (False, True)
    ]
    assert all(torch.equal(kept, anew) for kept, anew in zip(*pairs, strict=True))


@pytest.mark.parametrize(("group", "dims"), [("p4m", 2), ("octahedral24", 3)])
def test_an_equivariant_network_gets_the_same_gradients(group: str, dims: Literal[2, 3]) -> None:
    network, x = build_network(planned(group, dims)), torch.randn(1, 2, *[8] * dims)
    pairs = [
        after_a_step(network, x, recompute=recompute, half=True) for recompute in (False, True)
    ]
    assert all(torch.equal(kept, anew) for kept, anew in zip(*pairs, strict=True))


def test_large_samples_in_channels_last_are_the_same(make_plan: MakePlan) -> None:
    network, x = build_network(make_plan(widths=(8, 8))), torch.randn(1, 2, 32, 32, 8)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    pairs = [
        after_a_step(network, x, recompute=recompute, half=False) for recompute in (False, True)
    ]
    assert all(torch.equal(kept, anew) for kept, anew in zip(*pairs, strict=True))


def test_a_graph_that_is_kept_can_be_used_twice(make_plan: MakePlan) -> None:
    network = build_network(make_plan())
    scores = scores_of(network, torch.randn(1, 2, 16, 16, 8), recompute=True)
    first, second = (
        torch.autograd.grad(scores.sum(), network.parameters(), retain_graph=True) for _ in range(2)
    )  # type: ignore[arg-type]
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize(("recompute", "alive"), [(False, True), (True, False)])
def test_activations_are_freed_after_the_forward_pass(
    make_plan: MakePlan, recompute: bool, alive: bool
) -> None:
    network, seen = build_network(make_plan()), []
    for module in network.modules():
        if isinstance(module, nn.LeakyReLU):
            module.register_forward_hook(
                lambda _module, _input, output: seen.append(
                    StorageWeakRef(output.untyped_storage())
                )
            )
    scores = scores_of(network, torch.randn(1, 2, 16, 16, 8), recompute=recompute)
    assert scores.requires_grad
    assert len(seen) == 10
    assert {not storage.expired() for storage in seen} == {alive}
