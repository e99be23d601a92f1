"""Standardized kernels against their formulas in float64, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segkit.networks.kernels.weight_standardization import (
    StandardizedConv2d,
    StandardizedConv3d,
    standardized,
)

CONVOLVE = {4: functional.conv2d, 5: functional.conv3d}


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def reference(weight: Tensor) -> Tensor:
    """Return the kernel, filter by filter, as the paper writes it, with He's spread."""
    filters = []
    for kernel in weight:
        centred = kernel - kernel.mean()
        filters.append(centred / centred.square().mean().sqrt() * (2 / kernel.numel()) ** 0.5)
    return torch.stack(filters)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(
    ("layer", "edges"),
    [
        (StandardizedConv2d(5, 4, 3, padding=1, bias=False), (9, 8)),
        (StandardizedConv3d(5, 4, 3, padding=1, stride=2, bias=False), (8, 6, 4)),
        (StandardizedConv3d(5, 4, 1, bias=False), (4, 6, 4)),
        # So small that a single sample is computed in two halves.
        (StandardizedConv3d(5, 4, (3, 3, 1), padding=(1, 1, 0), bias=False), (6, 6, 6)),
    ],
)
def test_it_is_the_formula_forward_and_backward(
    layer: nn.Conv2d | nn.Conv3d, edges: tuple[int, ...], size: int
) -> None:
    x = draw(size, 5, *edges).requires_grad_()
    exact_x = x.detach().double().requires_grad_()
    exact_weight = layer.weight.detach().double().requires_grad_()
    y = layer(x)
    expected = CONVOLVE[x.ndim](
        exact_x, reference(exact_weight), stride=layer.stride, padding=layer.padding
    )
    torch.testing.assert_close(y, expected.float(), rtol=1e-4, atol=1e-5)
    weights = draw(*y.shape, seed=3)
    found = torch.autograd.grad((y * weights).sum(), [x, layer.weight])
    wanted = torch.autograd.grad((expected * weights.double()).sum(), [exact_x, exact_weight])
    for gradient, exact in zip(found, wanted, strict=True):
        scale = float(exact.abs().max())
        torch.testing.assert_close(gradient, exact.float(), rtol=1e-4, atol=1e-5 * scale)
    assert not torch.allclose(
        y, CONVOLVE[x.ndim](x, layer.weight, None, layer.stride, layer.padding)
    )


def test_gradients_are_those_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(standardized, (draw(2, 3, 3, 1).double().requires_grad_(),))


def test_scale_and_offset_of_the_stored_weights_do_not_matter() -> None:
    weight = draw(4, 5, 3, 3, 3)
    torch.testing.assert_close(standardized(7 * weight + 3), standardized(weight))


def test_a_new_layer_is_as_large_as_a_plain_one() -> None:
    weight = nn.init.kaiming_normal_(torch.empty(32, 16, 3, 3, 3), a=0.01)
    assert standardized(weight).std().item() == pytest.approx(weight.std().item(), rel=0.02)
    assert (standardized(weight) - weight).norm() < 0.1 * weight.norm()


def test_the_memory_format_of_the_weights_is_kept() -> None:
    weight = draw(4, 5, 3, 3, 3).contiguous(memory_format=torch.channels_last_3d)
    assert standardized(weight).is_contiguous(memory_format=torch.channels_last_3d)


def test_a_constant_kernel_has_finite_gradients() -> None:
    weight = torch.ones(2, 3, 3, 3, requires_grad=True)
    kernel = standardized(weight)
    assert kernel.abs().max() == 0
    kernel.sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_it_sees_no_intensity_which_is_why_layers_on_the_image_are_plain() -> None:
    # Inside of the border that padding with zeros makes, any constant image gives 0.
    layer = StandardizedConv3d(1, 4, 3, padding=1, bias=False)
    bright = layer(torch.full((1, 1, 6, 6, 6), 100.0))[..., 1:-1, 1:-1, 1:-1]
    assert bright.abs().max() < 1e-4
    plain = functional.conv3d(torch.full((1, 1, 6, 6, 6), 100.0), layer.weight)
    assert plain.abs().max() > 1
