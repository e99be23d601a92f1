"""GroupNorm in onnxruntime on groups whose mean is many times their standard deviation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import group_norm as reference

from segkit.networks.onnx_export.operations import group_norm
from segkit.networks.onnx_export.writer import Edge, GraphWriter

onnx = pytest.importorskip("onnx", reason="the extra [onnx] is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")

CHANNELS, GROUPS, EPS = 4, 2, 1e-5
LARGE = (128, 128, 128)
"""Edges with which a group has 4 million values, as the first layer of a large patch has."""


def normalized(writer: GraphWriter, x: Tensor) -> Tensor:
    """Return what onnxruntime computes with the nodes of ``writer``, from x to y."""
    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        writer.nodes,
        "norm",
        [helper.make_tensor_value_info("x", real, x.shape)],
        [helper.make_tensor_value_info("y", real, x.shape)],
        [onnx.numpy_helper.from_array(array, name) for name, array in writer.constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return torch.from_numpy(session.run(None, {"x": x.numpy()})[0])


def own(x: Tensor) -> Tensor:
    writer = GraphWriter(onnx.helper.make_node)
    weights = {"weight": torch.ones(CHANNELS), "bias": torch.zeros(CHANNELS)}
    edge = Edge("x", tuple(x.shape))
    result = group_norm(
        writer, edge.shape, input=edge, num_groups=GROUPS, eps=EPS, cudnn_enabled=True, **weights
    )
    writer.add("Identity", result, output="y")
    return normalized(writer, x)


def onnx_group_normalization(x: Tensor) -> Tensor:
    writer = GraphWriter(onnx.helper.make_node)
    ones, zeros = writer.name(torch.ones(CHANNELS)), writer.name(torch.zeros(CHANNELS))
    writer.add("GroupNormalization", "x", ones, zeros, output="y", num_groups=GROUPS, epsilon=EPS)
    return normalized(writer, x)


def onnx_instance_normalization(x: Tensor) -> Tensor:
    writer = GraphWriter(onnx.helper.make_node)
    grouped = writer.add("Reshape", "x", writer.numbers((1, GROUPS, -1)))
    ones, zeros = writer.name(torch.ones(GROUPS)), writer.name(torch.zeros(GROUPS))
    result = writer.add("InstanceNormalization", grouped, ones, zeros, epsilon=EPS)
    writer.add("Reshape", result, writer.numbers(x.shape), output="y")
    return normalized(writer, x)


def shifted(mean: float, edges: tuple[int, ...]) -> Tensor:
    """Return (1, C, X, Y[, Z]) of mean ``mean`` and standard deviation 1."""
    numbers = torch.randn(1, CHANNELS, *edges, generator=torch.Generator().manual_seed(0))
    return numbers + mean


def error(found: Tensor, x: Tensor) -> float:
    """Return the largest error, in standard deviations, of a normalized tensor."""
    return float((found.double() - reference(x.double(), GROUPS, eps=EPS)).abs().max())


@pytest.mark.parametrize("edges", [(256, 256), LARGE])
@pytest.mark.parametrize(("mean", "tolerance"), [(0, 2e-6), (100, 1e-4), (1000, 1e-3)])
def test_ours_is_as_right_as_float32_can_be(
    mean: float, tolerance: float, edges: tuple[int, ...]
) -> None:
    x = shifted(mean, edges)
    assert error(own(x), x) < tolerance


def test_the_operations_of_onnx_are_not() -> None:
    # If this fails, onnxruntime has changed, and nodes of its own may be enough.
    x = shifted(1000, LARGE)
    assert not error(onnx_group_normalization(x), x) < 1  # nor nan
    assert error(onnx_instance_normalization(x), x) > 1
    x = shifted(100, (32, 32, 32))
    assert error(onnx_group_normalization(x), x) > 0.01
