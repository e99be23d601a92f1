"""A convolution in halves equals PyTorch's: values, gradients and memory format."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segkit.errors import InputError
from segkit.networks.kernels.convolution import (
    ONE_DNN_FROM,
    Conv2d,
    Conv3d,
    ConvTranspose2d,
    ConvTranspose3d,
    is_slow,
    refuse_thin_images,
    thin_axes,
)

Edges = tuple[int, ...]


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def results(layer: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """Return the output, and the gradients of the input and the parameters."""
    x = x.clone().requires_grad_()
    y = layer(x)
    return y, *torch.autograd.grad(
        y, [x, *layer.parameters()], torch.sin(torch.arange(y.numel())).view(y.shape)
    )


def assert_same(ours: nn.Module, theirs: nn.Module, x: Tensor) -> None:
    theirs.load_state_dict(ours.state_dict())
    for own, other in zip(results(ours, x), results(theirs, x), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(5, 7, 5), (2, 1, 1), (4, 3, 8), (1, 1, 9)])
@pytest.mark.parametrize(
    ("kernel", "stride"), [((3, 3, 3), (1, 1, 1)), ((3, 3, 1), (2, 2, 1)), ((5, 3, 5), (1, 2, 3))]
)
def test_3d(shape: Edges, kernel: Edges, stride: Edges) -> None:
    options = {
        "kernel_size": kernel,
        "stride": stride,
        "padding": tuple(edge // 2 for edge in kernel),
    }
    assert_same(Conv3d(3, 4, **options), nn.Conv3d(3, 4, **options), draw(1, 3, *shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("edges", "kernel", "stride"),
    [
        ((2, 2, 2), 3, 1),
        ((2, 4, 4), 3, 1),
        ((3, 4, 4), 5, 1),
        ((4, 1, 4), 3, 2),
        ((4, 4, 1), 3, 2),
        ((1, 1, 1), 3, 2),
        ((8, 1, 8), 5, 1),
        ((2, 2, 8), 7, 1),
    ],
)
def test_gradients_of_thin_images(
    edges: Edges, kernel: int, stride: int, dtype: torch.dtype
) -> None:
    options = {"padding": kernel // 2, "stride": stride, "bias": False}
    layer = Conv3d(24, 24, kernel, **options)
    x = draw(2, 24, *edges)
    exact = nn.Conv3d(24, 24, kernel, **options).double()
    exact.load_state_dict(layer.state_dict())
    expected = results(exact, x.double())
    for own, other in zip(results(layer.to(dtype), x.to(dtype)), expected, strict=True):
        limit = 0.02 * float(other.detach().abs().max())
        torch.testing.assert_close(own.double(), other, rtol=0, atol=limit)


@pytest.mark.parametrize(
    ("edges", "kernel", "stride", "axes"),
    [
        ((1, 1, 1), 3, 1, []),
        ((3, 2, 2), 3, 1, []),
        ((2, 1, 4), 3, 1, [0]),
        ((4, 1, 1), 3, 2, [1, 2]),
        ((8, 2, 8), 5, 1, []),
        ((8, 2, 8), 7, 1, [1]),
    ],
)
def test_axes_that_are_too_thin(edges: Edges, kernel: int, stride: int, axes: list[int]) -> None:
    layer = nn.Conv3d(1, 1, kernel, padding=kernel // 2, stride=stride)
    assert thin_axes(layer, draw(2, 1, *edges)) == axes
    assert thin_axes(layer.eval(), draw(2, 1, *edges)) == []


def test_layers_of_other_packages_refuse_thin_images() -> None:
    layers = [kind(2, 2, 3, padding=1) for kind in (nn.Conv3d, Conv3d)]
    network = nn.Sequential(*layers)
    refuse_thin_images(network)
    for shape in ((2, 2, 1, 4, 4), (2, 2, 3, 4, 4), (1, 2, 2, 4, 4)):
        network(draw(*shape))
    message = "expected at least 3 voxels along x in a layer .*, found 2. Give a larger"
    with pytest.raises(InputError, match=message):
        network(draw(2, 2, 2, 4, 4))
    with pytest.raises(InputError, match=message):
        network[0](input=draw(2, 2, 2, 4, 4))
    network.eval()(draw(2, 2, 2, 4, 4))


@pytest.mark.parametrize("shape", [(5, 7), (1, 6), (8, 2)])
@pytest.mark.parametrize("stride", [1, 2])
def test_2d(shape: Edges, stride: int) -> None:
    options = {"kernel_size": 3, "stride": stride, "padding": 1}
    assert_same(Conv2d(3, 4, **options), nn.Conv2d(3, 4, **options), draw(1, 3, *shape))


@pytest.mark.parametrize("stride", [(2, 2, 2), (2, 2, 1), (1, 3, 2)])
@pytest.mark.parametrize("shape", [(5, 7, 5), (2, 1, 1), (1, 4, 3)])
def test_transposed(shape: Edges, stride: Edges) -> None:
    layers = ConvTranspose3d(3, 4, stride, stride), nn.ConvTranspose3d(3, 4, stride, stride)
    assert_same(*layers, draw(1, 3, *shape))
    assert_same(ConvTranspose2d(3, 4, 2, 2), nn.ConvTranspose2d(3, 4, 2, 2), draw(1, 3, *shape[:2]))


def test_a_transposed_kernel_larger_than_its_stride_is_left_whole() -> None:
    assert_same(ConvTranspose3d(3, 4, 3, 2), nn.ConvTranspose3d(3, 4, 3, 2), draw(1, 3, 4, 4, 4))


def test_channels_last_stays() -> None:
    x = draw(1, 3, 5, 6, 7).contiguous(memory_format=torch.channels_last_3d)
    layer = Conv3d(3, 4, 3, padding=1).to(memory_format=torch.channels_last_3d)
    assert layer(x).is_contiguous(memory_format=torch.channels_last_3d)


def test_only_what_pytorch_would_compute_slowly_is_halved() -> None:
    layer, edge = Conv3d(4, 4, 3, padding=1), 72
    assert 4 * edge * edge > ONE_DNN_FROM
    large, small, pair = draw(1, 4, edge, edge, 2), draw(1, 4, 9, 9, 9), draw(2, 4, 9, 9, 9)
    assert is_slow(layer, small)
    assert not is_slow(layer, large)
    assert not is_slow(layer, pair)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_slow(layer, small)
    assert not is_slow(layer.double(), small.double())
