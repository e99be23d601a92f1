"""Optimizers: Muon on convolution kernels with AdamW on the rest, AdamW, and SGD."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from segkit.config.schema import TrainerConfig

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration (Jordan et al. 2024, Muon): the slope at 0 is maximal."""


def orthogonalize(matrices: Sequence[Tensor], steps: int = 5) -> list[Tensor]:
    """Return the semi-orthogonal matrix that is roughly nearest to each of ``matrices``.

    Their singular values are near 1. Matrices whose shorter sides are equally long are computed in
    one batch, which saves a GPU nine of ten small calls.

    Args:
        matrices: each (rows, columns).
        steps: iterations of Newton and Schulz.
    """
    wide = [matrix.T if matrix.shape[0] > matrix.shape[1] else matrix for matrix in matrices]
    indices_by_rows: dict[int, list[int]] = {}
    for index, matrix in enumerate(wide):
        indices_by_rows.setdefault(len(matrix), []).append(index)
    orthogonal: list[Tensor] = list(wide)
    for indices in indices_by_rows.values():
        grams = torch.stack([wide[index] @ wide[index].T for index in indices])
        for index, factor in zip(indices, _newton_schulz(grams, steps), strict=True):
            orthogonal[index] = factor @ wide[index]
    return [
        result.T if result.shape != matrix.shape else result
        for result, matrix in zip(orthogonal, matrices, strict=True)
    ]


def _newton_schulz(grams: Tensor, steps: int) -> Tensor:
    """Return the factors (N, rows, rows) that make matrices x orthogonal: factor @ x.

    ``grams`` (N, rows, rows) are their x @ x.T. Each step multiplies x by a polynomial of its
    Gram matrix. These polynomials commute, so their product is computed as a small square matrix
    and applied to x once: 4 to 5 times less work for kernels, which have many more columns than
    rows.
    """
    a, b, c = NEWTON_SCHULZ
    # x starts with norm 1; the square of the norm is the trace of the Gram matrix.
    norms = grams.diagonal(dim1=1, dim2=2).sum(1)[:, None, None].sqrt() + 1e-7
    gram = grams / norms**2
    unit = torch.eye(grams.shape[1], dtype=grams.dtype, device=grams.device)
    factor, constant = unit / norms, a * unit
    for left in reversed(range(steps)):
        polynomial = (b * gram).baddbmm_(gram, gram, alpha=c).add_(constant)
        factor = polynomial @ factor
        if left:
            gram = polynomial @ gram @ polynomial
    return factor


class MuonAdamW(Optimizer):
    """Muon for groups with ``matrix: True``, AdamW for the others.

    A kernel (out, in, x, y[, z]) is treated as a matrix (out, in * x * y * z). Its update is scaled
    by 0.2 * sqrt(max(rows, columns)), so that learning rates of AdamW can be used (Liu et al. 2025,
    arXiv 2502.16982). Weight decay is decoupled in both.
    """

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        defaults = {
            "lr": 1e-3,
            "weight_decay": 0.0,
            "momentum": 0.95,
            "betas": (0.9, 0.99),
            "eps": 1e-8,
        }
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient; return the loss of ``closure``, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                update = _muon_update if group["matrix"] else _adam_update
                changes = update(
                    parameters, [self.state[parameter] for parameter in parameters], group
                )
                if group["weight_decay"]:
                    torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(parameters, changes, alpha=-group["lr"])
        return loss


States = list[dict[str, Any]]
"""Optimizer state of each parameter."""


def _muon_update(parameters: list[Tensor], states: States, group: dict[str, Any]) -> list[Tensor]:
    for parameter, state in zip(parameters, states, strict=True):
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
    momenta, gradients = [state["momentum"] for state in states], _gradients(parameters)
    torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
    matrices = [
        nesterov.flatten(1)
        for nesterov in torch._foreach_lerp(gradients, momenta, group["momentum"])
    ]
    pairs = zip(orthogonalize(matrices), parameters, strict=True)
    changes = [matrix.reshape(parameter.shape) for matrix, parameter in pairs]
    torch._foreach_mul_(changes, [0.2 * max(matrix.shape) ** 0.5 for matrix in matrices])
    return changes


def _adam_update(parameters: list[Tensor], states: States, group: dict[str, Any]) -> list[Tensor]:
    for parameter, state in zip(parameters, states, strict=True):
        if not state:
            state["step"] = 0
            state["first"], state["second"] = (
                torch.zeros_like(parameter),
                torch.zeros_like(parameter),
            )
        state["step"] += 1
    beta1, beta2 = group["betas"]
    firsts, seconds = ([state[name] for state in states] for name in ("first", "second"))
    gradients = _gradients(parameters)
    torch._foreach_lerp_(firsts, gradients, 1 - beta1)
    torch._foreach_mul_(seconds, beta2)
    torch._foreach_addcmul_(seconds, gradients, gradients, 1 - beta2)
    sizes = torch._foreach_div(seconds, [1 - beta2 ** state["step"] for state in states])
    torch._foreach_sqrt_(sizes)
    torch._foreach_add_(sizes, group["eps"])
    changes = torch._foreach_div(firsts, [1 - beta1 ** state["step"] for state in states])
    torch._foreach_div_(changes, sizes)
    return list(changes)


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


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
            {
                "params": kernels,
                "matrix": True,
                "lr": config.learning_rate,
                "weight_decay": config.weight_decay,
            },
            {
                "params": matrices,
                "matrix": False,
                "lr": config.learning_rate_rest,
                "weight_decay": config.weight_decay,
            },
            {"params": vectors, "matrix": False, "lr": config.learning_rate_rest},
        ]
    )


def _split(network: nn.Module, config: TrainerConfig) -> list[dict[str, Any]]:
    """Return parameter groups with weight decay on kernels and matrices only."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def _adamw(network: nn.Module, config: TrainerConfig) -> Optimizer:
    return AdamW(_split(network, config), lr=config.learning_rate)


def _sgd(network: nn.Module, config: TrainerConfig) -> Optimizer:
    return SGD(_split(network, config), lr=config.learning_rate, momentum=0.99, nesterov=True)


OPTIMIZERS: dict[str, Callable[[nn.Module, TrainerConfig], Optimizer]] = {
    "muon": _muon,
    "adamw": _adamw,
    "sgd": _sgd,
}
"""Builders by the value of trainer.optimizer."""
