"""TransposedConvolution agrees with PyTorch's gradients, in bfloat16 up to rounding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from segkit.networks.kernels.convolution import ConvTranspose2d, ConvTranspose3d
from segkit.networks.kernels.memory_format import CHANNELS_LAST
from segkit.networks.kernels.transposed_convolution import is_slow_backwards

LAYERS: dict[int, Callable[..., nn.Module]] = {2: ConvTranspose2d, 3: ConvTranspose3d}
REFERENCES: dict[int, Callable[..., nn.Module]] = {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


def whole(*shape: int) -> Tensor:
    """Return integers from -4 to 4: bfloat16 represents them, their products and short sums."""
    return torch.randint(-4, 5, shape, generator=torch.Generator().manual_seed(sum(shape))).float()


def gradients(layer: nn.Module, x: Tensor, grad: Tensor) -> list[Tensor]:
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer(x)
    return [y, *torch.autograd.grad(y, [x, *layer.parameters()], grad.to(y.dtype))]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("stride", "shape"),
    [((2, 2, 2), (2, 1, 3)), ((2, 2, 1), (1, 2, 2)), ((1, 3, 2), (2, 2, 1)), ((2, 3), (3, 2))],
)
def test_gradients(stride: tuple[int, ...], shape: tuple[int, ...], bias: bool) -> None:
    dims = len(stride)
    layer, reference = (
        kind[dims](3, 2, stride, stride, bias=bias) for kind in (LAYERS, REFERENCES)
    )
    for parameter in layer.parameters():
        nn.init.constant_(parameter, 0).data.copy_(whole(*parameter.shape))
    reference.load_state_dict(layer.state_dict())
    x = whole(2, 3, *shape).contiguous(memory_format=CHANNELS_LAST[dims + 2])
    grad = whole(2, 2, *(size * step for size, step in zip(shape, stride, strict=True)))
    with torch.autocast("cpu", torch.bfloat16):
        assert is_slow_backwards(layer, x.bfloat16())  # type: ignore[arg-type]
        ours = gradients(layer, x.bfloat16(), grad)
    for own, other in zip(ours, gradients(reference, x, grad), strict=True):
        assert torch.equal(own.float(), other)
    assert all(parameter.dtype == torch.float32 for parameter in ours[2:])


def test_where_it_is_left_to_pytorch() -> None:
    layer = ConvTranspose3d(3, 2, 2, 2)
    x = whole(2, 3, 2, 2, 2).bfloat16()
    assert not is_slow_backwards(layer, x)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    assert is_slow_backwards(layer, x)
    assert not is_slow_backwards(layer, x.float())
    assert not is_slow_backwards(ConvTranspose3d(4, 4, 2, 2, groups=2), x)
    with torch.no_grad():
        assert not is_slow_backwards(layer, x)


def test_overlapping_parts_are_left_to_pytorch() -> None:
    layer, reference = ConvTranspose2d(3, 2, 3, 2), nn.ConvTranspose2d(3, 2, 3, 2)
    reference.load_state_dict(layer.state_dict())
    x = whole(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        y, expected = layer(x.bfloat16()), reference(x.bfloat16())
    assert torch.equal(y, expected)
    assert "TransposedConvolution" not in type(y.grad_fn).__name__
