"""Batch renormalization against its formulas in float64, forward and backward."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from segkit.networks.kernels.batch_renorm import BatchRenorm, batch_statistics, bounds

EPS = 1e-5


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def trained(channels: int = 4, batches: int = 300) -> BatchRenorm:
    """Return a layer whose running statistics differ from those of `draw`, some beyond bounds."""
    layer = BatchRenorm(channels, eps=EPS)
    with torch.no_grad():
        layer.weight.copy_(1 + 0.3 * draw(channels, seed=1))
        layer.bias.copy_(draw(channels, seed=2))
    layer.running_mean.copy_(torch.tensor([0.0, 0.5, 20.0, -20.0])[:channels])
    layer.running_std.copy_(torch.tensor([1.0, 0.7, 10.0, 0.1])[:channels])
    layer.batches.fill_(batches)
    return layer


def algorithm_1(
    layer: BatchRenorm, x: Tensor, *, correct: bool = True, stop_gradient: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Return y and the new running mean and standard deviation, as the paper writes them."""
    axes, shape = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
    mean, std = x.mean(axes), ((x - x.mean(axes, keepdim=True)).square().mean(axes) + EPS).sqrt()
    r_max, d_max = 1 + 2 * (300 - 50) / 350, 5.0
    r = (std / layer.running_std).clamp(1 / r_max, r_max)
    d = ((mean - layer.running_mean) / layer.running_std).clamp(-d_max, d_max)
    if not correct:
        r, d = torch.ones_like(r), torch.zeros_like(d)
    if stop_gradient:
        r, d = r.detach(), d.detach()
    normalized = (x - mean.view(shape)) / std.view(shape) * r.view(shape) + d.view(shape)
    y = layer.weight.view(shape) * normalized + layer.bias.view(shape)
    new_mean = layer.running_mean + 0.01 * (mean - layer.running_mean)
    return y, new_mean, layer.running_std + 0.01 * (std - layer.running_std)


def gradients(layer: BatchRenorm, x: Tensor, y: Tensor) -> list[Tensor]:
    loss = (y * draw(*y.shape, seed=3).to(y)).sum()
    return list(torch.autograd.grad(loss, [x, layer.weight, layer.bias]))


def relative(found: Tensor, expected: Tensor) -> float:
    difference = (found - expected).detach()
    return float(difference.abs().max() / expected.detach().abs().max())


@pytest.mark.parametrize("shape", [(1, 4, 6, 5), (2, 4, 6, 5, 3), (1, 4, 40, 24, 16)])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
def test_it_is_algorithm_1_forward_and_backward(
    shape: tuple[int, ...], channels_last: bool, dtype: torch.dtype, tolerance: float
) -> None:
    layer, x = trained().to(dtype), (2 * draw(*shape) + 1).to(dtype)
    if channels_last:
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        x = x.contiguous(memory_format=formats[x.ndim])
    reference, exact = copy.deepcopy(layer).double(), x.double().requires_grad_()
    expected, mean, std = algorithm_1(reference, exact)
    y = layer(x.requires_grad_())
    assert relative(y, expected) <= tolerance
    assert relative(layer.running_mean, mean) <= tolerance
    assert relative(layer.running_std, std) <= tolerance
    for found, wanted in zip(
        gradients(layer, x, y), gradients(reference, exact, expected), strict=True
    ):
        assert relative(found, wanted) <= tolerance


def test_the_reference_tells_batch_norm_and_other_gradients_apart() -> None:
    layer, x = trained().double(), draw(2, 4, 6, 5, 3).double().requires_grad_()
    y, *_ = algorithm_1(layer, x)
    without_correction, *_ = algorithm_1(layer, x, correct=False)
    with_gradient, *_ = algorithm_1(layer, x, stop_gradient=False)
    assert relative(without_correction, y) > 0.1
    assert relative(gradients(layer, x, with_gradient)[0], gradients(layer, x, y)[0]) > 0.01


def test_both_sides_of_the_bounds_are_tried() -> None:
    layer, x = trained(), 2 * draw(2, 4, 6, 5, 3) + 1
    mean, std = batch_statistics(x, EPS)
    r = std / layer.running_std
    d = (mean - layer.running_mean) / layer.running_std
    assert (r[0] > 1, r[2] < 1 / 3, r[3] > 3) == (True, True, True)
    assert (abs(d[0]) < 5, d[3] > 5) == (True, True)


def test_gradients_are_those_of_finite_differences() -> None:
    # Numerical differentiation moves r and d as well: with bounds of 1 and 0 they do not move.
    layer = trained(batches=0).double()
    x = draw(2, 4, 3, 2).double().requires_grad_()

    def outputs(x: Tensor) -> Tensor:
        fresh: Tensor = copy.deepcopy(layer)(x)
        return fresh

    assert torch.autograd.gradcheck(outputs, (x,))


def test_within_the_bounds_training_computes_what_prediction_computes() -> None:
    layer, x = trained(2), draw(1, 2, 6, 5, 3)
    predicted = copy.deepcopy(layer).eval()(x)
    torch.testing.assert_close(layer(x), predicted, rtol=1e-5, atol=1e-5)
    batch_norm = trained(2, batches=0)
    assert (batch_norm(x) - predicted).abs().max() > 0.1


def test_bounds_are_relaxed_by_the_counter() -> None:
    counts = torch.tensor([0, 50, 150, 225, 250, 400, 9999])
    r_max, d_max = bounds(counts)
    assert r_max.tolist() == pytest.approx([1, 1, 1 + 200 / 350, 2, 1 + 400 / 350, 3, 3])
    assert d_max.tolist() == pytest.approx([0, 0, 2.5, 4.375, 5, 5, 5])


def test_early_batches_count_equally_and_later_ones_a_hundredth() -> None:
    layer = BatchRenorm(1, eps=1e-12)
    for value in (1.0, 2.0, 6.0):
        layer(torch.tensor([[[[value - 1, value + 1]]]]))
    assert layer.running_mean.item() == pytest.approx(3)
    assert layer.running_std.item() == pytest.approx(1)
    layer.batches.fill_(500)
    layer(torch.tensor([[[[102.0, 104.0]]]]))
    assert layer.running_mean.item() == pytest.approx(3 + 0.01 * 100)


def test_the_state_goes_on_to_the_last_bit() -> None:
    layer = BatchRenorm(3, eps=EPS)
    for step in range(60):
        layer(draw(1, 3, 4, 4, seed=step) * step)
    restored = BatchRenorm(3, eps=EPS)
    restored.load_state_dict(layer.state_dict())
    x = 5 + draw(1, 3, 4, 4)
    assert torch.equal(layer(x), restored(x))
    assert torch.equal(layer.running_std, restored.running_std)


def test_half_precision_has_statistics_in_float32() -> None:
    x = (draw(2, 4, 8, 8, 4) + 10).bfloat16()
    mean, std = batch_statistics(x, EPS)
    exact_mean, exact_std = batch_statistics(x.double(), EPS)
    assert mean.dtype == std.dtype == torch.float32
    assert relative(mean, exact_mean) < 1e-5
    assert relative(std, exact_std) < 1e-4


def kept_values(layer: nn.Module, x: Tensor) -> int:
    """Return the number of values that autograd keeps for the backward pass."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        layer(x)
    return sum(kept.values())


def test_it_keeps_no_more_than_batch_norm_but_numbers_per_channel() -> None:
    x = draw(2, 4, 8, 8, 8).requires_grad_()
    plain, renorm = kept_values(nn.BatchNorm3d(4), x), kept_values(trained(), x)
    assert plain >= x.numel()
    assert renorm - plain < 100


def test_one_value_per_channel_is_refused_in_training_only() -> None:
    layer, x = BatchRenorm(4, eps=EPS), draw(1, 4, 1, 1, 1)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        layer(x)
    assert layer.batches == 0
    torch.testing.assert_close(layer.eval()(x), x)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float16, 0.01), (torch.bfloat16, 0.05)]
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_gpu_computes_the_same(dtype: torch.dtype, tolerance: float, channels_last: bool) -> None:
    layer, x = trained().cuda(), (2 * draw(2, 4, 16, 24, 8) + 1).cuda().to(dtype)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last_3d)
    reference, exact = copy.deepcopy(layer).double(), x.double().requires_grad_()
    expected, mean, std = algorithm_1(reference, exact)
    y = layer(x.requires_grad_())
    assert relative(y, expected) <= tolerance
    assert relative(layer.running_mean, mean) <= 1e-4
    assert relative(layer.running_std, std) <= 1e-4
    found, wanted = gradients(layer, x, y), gradients(reference, exact, expected)
    for gradient, exact_gradient in zip(found, wanted, strict=True):
        assert relative(gradient, exact_gradient) <= 2 * tolerance
