"""Decide where the Triton kernel for norm and activation is used.

It is used for tensors for which it is faster, after a test has shown that it works. Triton compiles
on the machine where it runs and needs a C compiler there, which a small container may lack. Without
it PyTorch's own layers compute the same, more slowly.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.networks.kernels.memory_format import is_channels_last

log = logging.getLogger(__name__)

PRECISIONS = (torch.float32, torch.bfloat16, torch.float16)
TOLERANCE = 1e-4
"""Allowed difference between sums in another order, as a fraction of the largest value."""

MIN_VALUES = 1 << 22
"""Size of a tensor from which the kernel is faster even when Python launches it every time."""

_ALWAYS: ContextVar[bool] = ContextVar("for_all_sizes", default=False)

Kernel = Callable[..., Tensor]
"""Function with the arguments of `group_norm_triton.norm_and_activate`."""


@contextmanager
def for_all_sizes() -> Iterator[None]:
    """Use the kernel for small tensors as well: in a CUDA graph, launching it costs nothing."""
    token = _ALWAYS.set(True)
    try:
        yield
    finally:
        _ALWAYS.reset(token)


def kernel_for(x: Tensor) -> Kernel | None:
    """Return the Triton kernel if it normalizes ``x`` (B, C, X, Y[, Z]) faster than PyTorch."""
    fits = (
        x.is_cuda
        and x.dtype in PRECISIONS
        and is_channels_last(x)
        and (x.numel() >= MIN_VALUES or _ALWAYS.get())
    )
    return working_kernel(x.device) if fits else None


def slope_of(activation: nn.Module) -> float | None:
    """Return the slope below 0 of an activation that the kernel can compute, otherwise None."""
    if isinstance(activation, nn.LeakyReLU):
        return float(activation.negative_slope)
    return 0.0 if isinstance(activation, nn.ReLU) else None


@lru_cache
def working_kernel(device: torch.device) -> Kernel | None:
    """Return the kernel if it compiles on ``device`` and agrees with PyTorch; warn once if not."""
    try:
        # Triton may be absent.
        from segkit.networks.kernels.group_norm_triton import norm_and_activate  # noqa: PLC0415

        _check(norm_and_activate, device)
    except Exception as error:  # a compiler, driver or Triton version may fail in any way
        log.warning(
            "computing norm and activation without Triton, which is slower: %s: %s",
            type(error).__name__,
            error,
        )
        return None
    return norm_and_activate


def _check(kernel: Kernel, device: torch.device) -> None:
    """Raise ArithmeticError if values or gradients of a small tensor differ from PyTorch's."""
    # The generator is separate, so that this test does not change the random numbers of a training.
    numbers = torch.randn(2, 8, 5, 7, 6, generator=torch.Generator().manual_seed(0))
    x = numbers.to(device, memory_format=torch.channels_last_3d)
    results, expected = _values_and_gradient(kernel, x), _values_and_gradient(_reference, x)
    for result, reference in zip(results, expected, strict=True):
        difference = float((result - reference).abs().max() / reference.abs().max())
        if not difference <= TOLERANCE:
            raise ArithmeticError(
                f"a test differs from PyTorch by {difference:.1g} of the largest value"
            )


def _values_and_gradient(function: Kernel, x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    weight = torch.linspace(0.5, 1.5, x.shape[1], device=x.device)
    with torch.enable_grad():
        y = function(x, weight, weight - 1, groups=4, eps=1e-5, slope=0.01)
        (gradient,) = torch.autograd.grad((y * y).sum(), x)
    return y.detach(), gradient


def _reference(
    x: Tensor, weight: Tensor, bias: Tensor, *, groups: int, eps: float, slope: float
) -> Tensor:
    return F.leaky_relu(F.group_norm(x, groups, weight, bias, eps), slope)
