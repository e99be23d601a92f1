from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.errors import InputError
from segkit.networks.onnx_export.graph import INPUT, onnx_model, traced
from segkit.networks.onnx_export.operations import OPERATIONS

onnx = pytest.importorskip("onnx", reason="the extra [onnx] is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")

LINEAR = {2: "bilinear", 3: "trilinear"}


class Everything(nn.Module):
    """Network with every operation that can be written, in 2D or 3D."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        kinds = {name: getattr(nn, f"{name}{dims}d") for name in KINDS}
        self.dims, self.factor = dims, nn.Parameter(torch.tensor([0.5, 2.0, 1.0, 0.3]))
        self.first = kinds["Conv"](3, 4, 3, stride=2, padding=1, dilation=1)
        self.grouped = kinds["Conv"](4, 4, 3, padding=2, dilation=2, groups=2, bias=False)
        self.norms = nn.ModuleList(
            [
                nn.GroupNorm(2, 4),
                nn.GroupNorm(2, 4, affine=False),
                kinds["InstanceNorm"](4, affine=True),
                kinds["InstanceNorm"](4, track_running_stats=True),
                kinds["BatchNorm"](4),
            ]
        )
        self.up = kinds["ConvTranspose"](4, 4, 3, stride=2, padding=1, output_padding=1, groups=2)
        self.pools = nn.ModuleList(
            [
                kinds["AvgPool"](3, 1, padding=1),
                kinds["AvgPool"](2),
                kinds["MaxPool"](3, 2, padding=1),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.grouped(self.first(x))
        for norm in self.norms:
            x = norm(x)
        x = self.up(x)
        x = F.silu(F.relu_(x) + 0.5 * F.gelu(x).mean((1, 2), keepdim=True))
        x = torch.cat([x, F.leaky_relu(x, 0.2, inplace=True)], dim=1)
        for pool in self.pools:
            x = F.gelu(pool(x), approximate="tanh")
        x = F.interpolate(x, scale_factor=2, mode=LINEAR[self.dims], align_corners=True)
        x = F.interpolate(x, scale_factor=2, mode=LINEAR[self.dims])
        x = F.dropout(F.interpolate(x, scale_factor=2), training=False)
        pairs = x.view(x.shape[0], 4, 2, *x.shape[2:]) * self.factor.view(4, *[1] * (x.ndim - 1))
        means = pairs.mean(dim=2)
        return torch.sigmoid(torch.sub(means, means / 3, alpha=2))


KINDS = ("Conv", "ConvTranspose", "InstanceNorm", "BatchNorm", "AvgPool", "MaxPool")


def computed(model: Any, windows: Tensor) -> Tensor:
    """Return the scores of onnxruntime."""
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return torch.from_numpy(session.run(None, {INPUT: windows.numpy()})[0])


@pytest.mark.parametrize("dims", [2, 3])
def test_every_operation_says_what_pytorch_says(dims: int) -> None:
    torch.manual_seed(0)
    network = Everything(dims).eval().requires_grad_(False)
    for name, values in network.state_dict().items():
        if values.is_floating_point():
            values.uniform_(0.5, 2) if name.endswith("var") else values.normal_()
    shape = (3, 8, 16, 8)[: 1 + dims]
    used = {
        node.target.name().partition("::")[2]
        for node in traced(network, shape).graph.nodes
        if hasattr(node.target, "name")
    }
    other = "3d" if dims == 2 else "2d"
    assert set(OPERATIONS) - used == {name for name in OPERATIONS if other in name}
    model = onnx_model(network, shape, onnx)
    for number in (1, 3):
        windows = torch.randn(number, *shape)
        torch.testing.assert_close(computed(model, windows), network(windows), rtol=1e-4, atol=1e-5)


class Layer(nn.Module):
    """Network that is a single function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.function(x)
        return result


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (torch.special.erfcx, "found PyTorch's operation special_erfcx. It was not written as ON"),
        (lambda x: F.max_pool2d(x, 3, ceil_mode=True), "found a pooling layer with ceil_mode"),
        (lambda x: F.dropout(x, training=True), "found PyTorch's operation native_dropout"),
        (lambda x: x if x.sum() > 0 else -x, r"operations that PyTorch \(torch.export\) can list"),
        (lambda x: x * {}["scale"], "can list, found KeyError: 'scale'"),
        (lambda x: x.numpy(), "operations that PyTorch"),
        (lambda x: x * x.shape[0], "network Layer: expected operations that segkit writes as ONNX"),
        (lambda x: torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,)), "network Layer: expected"),
        (lambda x: [x * 2, x], "something other than one tensor of scores"),
    ],
)
def test_what_cannot_be_written_is_refused(function: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        onnx_model(Layer(function).eval(), (1, 8, 8), onnx)
