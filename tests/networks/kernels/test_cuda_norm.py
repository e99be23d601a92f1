"""The Triton kernel for norm and activation agrees with PyTorch in float64."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.networks.blocks import ACTIVATIONS, ConvBlock
from segkit.networks.kernels import cuda_norm
from segkit.networks.kernels.cuda_norm import (
    for_all_sizes,
    kernel_for,
    slope_of,
    working_kernel,
)
from segkit.networks.kernels.group_norm import GroupNorm
from segkit.networks.kernels.memory_format import CHANNELS_LAST
from segkit.networks.kernels.recompute import recomputing
from segkit.plans.plan import LayerPlan

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
SHAPES = [
    ((2, 16, 20, 28, 20), 8),
    ((1, 32, 33, 31, 29), 4),
    ((2, 320, 4, 5, 4), 160),
    ((1, 6, 5, 7, 3), 3),
    ((2, 48, 130, 70), 6),
    ((1, 12, 2, 1, 1), 1),
]
"""Shapes and groups: odd channels, more channels than a program has, incomplete tiles."""


def draw(shape: tuple[int, ...], dtype: torch.dtype, device: str = "cuda") -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * 3 + 20
    return x.to(device, dtype, memory_format=CHANNELS_LAST[x.ndim])


def block_of(activation: str) -> ConvBlock:
    layer = LayerPlan("a", 16, "group", 8, 8000)
    block = ConvBlock(4, layer, kernel=[3] * 3, stride=[1] * 3, activation=activation)
    return block.cuda().to(memory_format=torch.channels_last_3d)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize(("shape", "groups"), SHAPES)
@pytest.mark.parametrize("slope", [None, 0.0, 0.01])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_values_and_gradients_are_those_of_float64(
    shape: tuple[int, ...], groups: int, slope: float | None, dtype: torch.dtype
) -> None:
    x = draw(shape, dtype)
    kernel = working_kernel(x.device)
    assert kernel is not None
    weight, bias = (
        torch.linspace(-1, 2, shape[1], device="cuda"),
        torch.linspace(1, -1, shape[1], device="cuda"),
    )
    upstream = draw(shape, dtype) - 20
    leaves = [leaf.clone().requires_grad_() for leaf in (x, weight, bias)]
    exact = [leaf.detach().double().requires_grad_() for leaf in leaves]
    y = kernel(*leaves, groups=groups, eps=1e-5, slope=slope)
    normed = F.group_norm(exact[0], groups, exact[1], exact[2], 1e-5)
    # At the activation's kink rounding decides which of two gradients it is.
    upstream = upstream * (normed.detach().abs() > 1e-3)
    right = normed if slope is None else F.leaky_relu(normed, slope)
    assert y.dtype == dtype
    assert y.stride() == x.stride()
    found = [y, *torch.autograd.grad(y, leaves, upstream)]
    expected = [right, *torch.autograd.grad(right, exact, upstream.double())]
    tolerance = 2e-5 if dtype == torch.float32 else 1e-2
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() <= tolerance * other.norm() + 1e-4


@pytest.mark.gpu
@needs_cuda
def test_a_large_mean_leaves_the_spread_right() -> None:
    """Test values around 4000, as in CT, for which a plain sum of squares in float32 fails."""
    x = draw((1, 8, 40, 40, 40), torch.float32) + 4000
    y = working_kernel(x.device)(
        x, torch.ones(8).cuda(), torch.zeros(8).cuda(), groups=4, eps=1e-5, slope=None
    )  # type: ignore[misc]
    assert (y - F.group_norm(x.double(), 4)).abs().max() < 2e-3


@pytest.mark.gpu
@needs_cuda
def test_two_runs_agree_bit_for_bit() -> None:
    block = block_of("leaky_relu")
    x = draw((2, 4, 30, 30, 30), torch.float32)

    def gradient() -> Tensor:
        with for_all_sizes():
            return torch.autograd.grad(
                block.norm.normalize_and_activate(x.repeat(1, 4, 1, 1, 1), block.activation).sum(),
                weight,
            )[0]

    weight = block.get_parameter("norm.weight")
    assert torch.equal(gradient(), gradient())


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_a_block_under_autocast_is_as_near_to_float64_as_pytorchs(activation: str) -> None:
    block = block_of(activation)
    theirs = copy.deepcopy(block)
    theirs.norm = nn.GroupNorm(8, 16).cuda()
    exact = copy.deepcopy(theirs).double()
    x = draw((2, 4, 21, 20, 19), torch.float32) - 20
    with torch.autocast("cuda", torch.bfloat16), for_all_sizes():
        own, plain = block(x), theirs(x)
    right = exact(x.double())
    assert (own - right).norm() <= 1.5 * (plain - right).norm()


@pytest.mark.gpu
@needs_cuda
def test_recomputing_gives_the_same_gradients() -> None:
    block = block_of("leaky_relu")
    x = draw((2, 4, 21, 20, 19), torch.float32)

    def gradient() -> Tensor:
        return torch.autograd.grad(block(x).square().sum(), block.conv.weight)[0]  # type: ignore[arg-type]

    with for_all_sizes():
        plain = gradient()
        with recomputing():
            again = gradient()
    torch.testing.assert_close(again, plain, rtol=1e-4, atol=1e-4 * float(plain.abs().max()))


@pytest.mark.gpu
@needs_cuda
def test_small_tensors_are_left_to_pytorch_unless_asked() -> None:
    small, large = draw((1, 8, 16, 16, 16), torch.float32), draw((1, 32, 64, 64, 64), torch.float32)
    assert kernel_for(small) is None
    assert (
        kernel_for(large)
        is kernel_for(large.bfloat16())
        is working_kernel(large.device)
        is not None
    )
    assert kernel_for(large.contiguous()) is None
    with for_all_sizes():
        assert kernel_for(small) is not None


def test_slopes_of_activations_the_kernel_knows() -> None:
    slopes = {name: slope_of(make()) for name, make in ACTIVATIONS.items()}
    assert slopes == {"leaky_relu": 0.01, "relu": 0.0, "silu": None, "gelu": None}


def test_on_a_cpu_there_is_no_kernel() -> None:
    assert kernel_for(draw((1, 8, 4, 4, 4), torch.float32, "cpu")) is None


def test_a_kernel_that_computes_something_else_is_not_used() -> None:
    def wrong(
        x: Tensor, weight: Tensor, bias: Tensor, *, groups: int, eps: float, slope: float
    ) -> Tensor:
        return 1.01 * cuda_norm._reference(x, weight, bias, groups=groups, eps=eps, slope=slope)

    cuda_norm._check(cuda_norm._reference, torch.device("cpu"))
    with pytest.raises(
        ArithmeticError, match=r"a test differs from PyTorch by 0\.01 of the largest value"
    ):
        cuda_norm._check(wrong, torch.device("cpu"))


def test_without_triton_pytorch_computes_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, and Triton beside it")
    assert working_kernel(torch.device("cpu")) is None
    assert "norm and activation without Triton, which is slower: " in caplog.text


def test_activated_is_the_activation_of_the_norm() -> None:
    norm, x = GroupNorm(2, 8), draw((1, 8, 4, 4, 4), torch.float32, "cpu")
    assert torch.equal(
        norm.normalize_and_activate(x, nn.LeakyReLU(0.01)), F.leaky_relu(norm(x), 0.01)
    )
