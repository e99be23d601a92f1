"""GroupNormFunction agrees with PyTorch's gradients and with finite differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from segkit.networks.kernels.group_norm import GroupNorm, group_norm
from segkit.networks.kernels.memory_format import CHANNELS_LAST

Norm = Callable[..., Tensor]
SHAPES = [(2, 12, 5, 4, 3), (1, 12, 7, 6), (3, 4, 2, 3, 2)]


def draw(shape: tuple[int, ...], seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return x.contiguous(memory_format=CHANNELS_LAST[x.ndim]) if x.ndim in CHANNELS_LAST else x


def gradients(norm: Norm, x: Tensor, groups: int) -> tuple[Tensor, ...]:
    channels = x.shape[1]
    leaves = [
        x.clone().requires_grad_(),
        *(draw((channels,), seed).requires_grad_() for seed in (1, 2)),
    ]
    y = norm(*leaves, groups=groups, eps=1e-5)
    return torch.autograd.grad(y, leaves, draw(x.shape, 3, x.dtype))


def pytorchs(x: Tensor, weight: Tensor, bias: Tensor, *, groups: int, eps: float) -> Tensor:
    return F.group_norm(x, groups, weight, bias, eps)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_gradients_are_those_of_pytorch(shape: tuple[int, ...], groups: int) -> None:
    # An offset, as activations have it: means must be subtracted, not only squares.
    x = draw(shape, 0) + 3
    for own, theirs in zip(
        gradients(group_norm, x, groups), gradients(pytorchs, x, groups), strict=True
    ):
        torch.testing.assert_close(own, theirs, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("groups", [2, 4])
def test_gradients_in_bfloat16_are_as_near_to_float32_as_pytorchs(groups: int) -> None:
    half = draw((2, 8, 9, 8, 7), 0, torch.bfloat16) + 1
    exact = gradients(pytorchs, half.float(), groups)
    own, theirs = gradients(group_norm, half, groups), gradients(pytorchs, half, groups)
    for right, mine, other in zip(exact, own, theirs, strict=True):
        assert (mine - right).norm() <= 2 * (other - right).norm() + 1e-3 * right.norm()


def test_a_gradient_with_the_strides_of_a_larger_tensor() -> None:
    x = draw((1, 4, 4, 4, 4), 0).requires_grad_()
    weight, bias = torch.ones(4), torch.zeros(4)

    def of(norm: Norm) -> Tensor:
        joined = torch.cat((norm(x, weight, bias, groups=2, eps=1e-5), x), dim=1)
        return torch.autograd.grad(joined, x, draw((1, 8, 4, 4, 4), 3))[0]

    torch.testing.assert_close(of(group_norm), of(pytorchs))


def test_the_layer_takes_it_for_large_channels_last_samples_only() -> None:
    layer = GroupNorm(2, 8)
    large, small = (torch.zeros(1, 8, edge, 32, 32).requires_grad_() for edge in (8, 4))
    last = large.contiguous(memory_format=torch.channels_last_3d)
    names = [type(layer(x).grad_fn).__name__ for x in (last, large, small)]
    assert names == [
        "GroupNormFunctionBackward",
        "NativeGroupNormBackward0",
        "NativeGroupNormBackward0",
    ]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("mean", "deviation"), [(-2.5, 0.01), (100, 0.1), (1000, 1)])
@pytest.mark.parametrize(
    ("shape", "groups"),
    [((1, 8, 64, 64, 64), 8), ((1, 8, 64, 64, 64), 4), ((2, 8, 6, 5, 7), 8), ((1, 8, 200, 300), 8)],
)
def test_low_contrast_far_from_zero(
    shape: tuple[int, ...], groups: int, mean: float, deviation: float, training: bool
) -> None:
    # Air behind a convolution. PyTorch's own kernel is off by up to 100 here.
    x = draw(shape, 0) * deviation + mean
    with torch.set_grad_enabled(training):
        found = GroupNorm(groups, shape[1]).train(training)(x)
    assert found.is_contiguous(memory_format=CHANNELS_LAST[x.ndim])
    torch.testing.assert_close(found.double(), F.group_norm(x.double(), groups), rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("shape", "groups"),
    [
        ((2, 4, 65, 64, 63), 2),
        ((1, 6, 50, 70, 30), 3),
        ((1, 2, 400, 500), 1),
        ((3, 64, 9, 11, 13), 8),
    ],
)
def test_a_prediction_in_float32_has_statistics_to_the_last_digits(
    shape: tuple[int, ...], groups: int
) -> None:
    x = draw(shape, 0) + 3
    norm = GroupNorm(groups, shape[1]).eval()
    with torch.no_grad():
        norm.weight.copy_(draw((shape[1],), 1))
        norm.bias.copy_(draw((shape[1],), 2))
        exact = F.group_norm(x.double(), groups, norm.weight.double(), norm.bias.double())
        # PyTorch's is off by 1e-4 to 5e-3 in the first three.
        torch.testing.assert_close(norm(x).double(), exact, rtol=1e-5, atol=2e-5)


def test_a_constant_group_has_no_variance() -> None:
    x = torch.full((1, 4, 40, 40, 40), 7.0).contiguous(memory_format=torch.channels_last_3d)
    with torch.no_grad():
        assert torch.equal(GroupNorm(2, 4).eval()(x), torch.zeros_like(x))


def test_threads_change_no_more_than_the_last_digits() -> None:
    x, norm = draw((1, 4, 96, 96, 96), 0) + 3, GroupNorm(2, 4).eval()
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            with torch.no_grad():
                found.append(norm(x))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=1e-5)


def test_in_training_numbers_do_not_depend_on_whether_gradients_are_on() -> None:
    x, norm = draw((1, 4, 64, 64, 64), 0) + 3, GroupNorm(2, 4)
    with torch.no_grad():
        off = norm(x)
    assert torch.equal(off, norm(x))
