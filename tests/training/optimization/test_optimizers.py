"""Muon and AdamW in one optimizer."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segkit.config.schema import TrainerConfig
from segkit.training.optimization.optimizers import OPTIMIZERS, MuonAdamW, orthogonalize


@pytest.mark.parametrize("shape", [(4, 30), (30, 4), (8, 8)])
def test_orthogonalize_brings_singular_values_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalize([torch.randn(shape) * 100])[0])
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_orthogonalize_equals_the_iteration_written_out_for_each_matrix() -> None:
    torch.manual_seed(0)
    matrices = [
        torch.randn(16, 200),
        torch.randn(40, 16) * 30,
        torch.randn(16, 16) / 30,
        torch.randn(8, 9),
    ]
    for matrix, found in zip(matrices, orthogonalize(matrices), strict=True):
        x = matrix / matrix.norm()
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        assert found.shape == matrix.shape
        assert torch.allclose(found, x, atol=1e-4)


def test_vectors_move_as_under_torch_adamw() -> None:
    ours, theirs = nn.Parameter(torch.tensor([1.0, -2.0])), nn.Parameter(torch.tensor([1.0, -2.0]))
    first = MuonAdamW([{"params": [ours], "matrix": False, "lr": 0.1, "weight_decay": 0.01}])
    second = torch.optim.AdamW([theirs], lr=0.1, weight_decay=0.01, betas=(0.9, 0.99))
    for _ in range(5):
        for optimizer, parameter in ((first, ours), (second, theirs)):
            optimizer.zero_grad()
            (parameter**3).sum().backward()
            optimizer.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_muon_step_has_the_size_of_the_learning_rate() -> None:
    kernel = nn.Parameter(torch.zeros(8, 4, 3, 3, 3))
    optimizer = MuonAdamW([{"params": [kernel], "matrix": True, "lr": 1.0, "weight_decay": 0.0}])
    kernel.grad = torch.randn(kernel.shape, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    # 8 singular values near 1, times 0.2 * sqrt(108): a root mean square near 0.2, as AdamW's.
    assert kernel.detach().square().mean().sqrt().item() == pytest.approx(0.2, rel=0.4)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_lowers_a_loss_and_covers_all_parameters(name: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv2d(4, 1, 1)
    )
    optimizer = OPTIMIZERS[name](network, TrainerConfig(learning_rate=1e-2))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(
        list(network.parameters())
    )
    x = torch.randn(2, 1, 8, 8)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = (network(x) - x).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
