"""Muon on convolution kernels, AdamW on the rest, in one optimizer; or AdamW, or SGD, on everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from segkit.config import TrainerConfig

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (Jordan et al. 2024, Muon): they maximise the slope at zero."""


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrix of (rows, columns), roughly: singular values end near 1."""
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x: Tensor = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    # Each step multiplies x by a polynomial of its gram matrix. All of these commute, so they are gathered in a small
    # square matrix and applied once: 4 to 5 times less work for kernels, which are much wider than tall.
    gram = x @ x.T
    factor = torch.eye(len(gram), dtype=x.dtype, device=x.device)
    for _ in range(steps):
        polynomial = a * torch.eye(len(gram), dtype=x.dtype, device=x.device) + b * gram + c * gram @ gram
        factor = polynomial @ factor
        gram = polynomial @ gram @ polynomial
    result = factor @ x
    return result.T if tall else result


class MuonAdamW(Optimizer):
    """Muon for groups with ``matrix: True``, AdamW for the others.

    A kernel (out, in, ...) is taken as the matrix (out, in * voxels). Its update is scaled by
    0.2 * sqrt(max(rows, columns)), so that AdamW's learning rates carry over (Liu et al. 2025, 2502.16982).
    Weight decay is decoupled in both.
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        defaults = {"lr": 1e-3, "weight_decay": 0.0, "momentum": 0.95, "betas": (0.9, 0.99), "eps": 1e-8}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = _muon_update if group["matrix"] else _adam_update
            for parameter in group["params"]:
                if parameter.grad is not None:
                    change = update(parameter, parameter.grad, self.state[parameter], group)
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(change, alpha=-group["lr"])
        return loss


def _muon_update(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    if not state:
        state["momentum"] = torch.zeros_like(parameter)
    momentum: Tensor = state["momentum"]
    momentum.lerp_(gradient, 1 - group["momentum"])
    matrix = torch.lerp(gradient, momentum, group["momentum"]).flatten(1)
    scale: float = 0.2 * max(matrix.shape) ** 0.5
    return orthogonalize(matrix).reshape(parameter.shape).mul_(scale)


def _adam_update(parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    if not state:
        state["step"] = 0
        state["first"], state["second"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
    state["step"] += 1
    beta1, beta2 = group["betas"]
    state["first"].lerp_(gradient, 1 - beta1)
    state["second"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    first = state["first"] / (1 - beta1 ** state["step"])
    second = state["second"] / (1 - beta2 ** state["step"])
    change: Tensor = first / (second.sqrt() + group["eps"])
    return change


def _muon(network: nn.Module, config: TrainerConfig) -> Optimizer:
    kernels, matrices, vectors = [], [], []
    for name, parameter in network.named_parameters():
        if parameter.ndim < 2:
            vectors.append(parameter)
        elif "head" in name.split(".")[0]:
            matrices.append(parameter)
        else:
            kernels.append(parameter)
    return MuonAdamW(
        [
            {"params": kernels, "matrix": True, "lr": config.learning_rate, "weight_decay": config.weight_decay},
            {"params": matrices, "matrix": False, "lr": config.learning_rate_rest, "weight_decay": config.weight_decay},
            {"params": vectors, "matrix": False, "lr": config.learning_rate_rest},
        ]
    )


def _split(network: nn.Module, config: TrainerConfig) -> list[dict[str, Any]]:
    """Weight decay on matrices only."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def _adamw(network: nn.Module, config: TrainerConfig) -> Optimizer:
    return AdamW(_split(network, config), lr=config.learning_rate)


def _sgd(network: nn.Module, config: TrainerConfig) -> Optimizer:
    return SGD(_split(network, config), lr=config.learning_rate, momentum=0.99, nesterov=True)


OPTIMIZERS: dict[str, Callable[[nn.Module, TrainerConfig], Optimizer]] = {"muon": _muon, "adamw": _adamw, "sgd": _sgd}
