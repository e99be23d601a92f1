"""Operations of PyTorch as nodes of ONNX (opset 21).

Each function takes the graph, the shape of the result (-1 for the number of windows) and the
arguments of PyTorch's operation by name, and returns the name of the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from segkit.networks.onnx_export.writer import Edge, GraphWriter, NotInOnnx, Shape, Value

Edges = Sequence[int]
"""One number for each spatial axis."""


def convolution(
    graph: GraphWriter,
    _shape: Shape,
    *,
    input: Edge,
    weight: Value,
    bias: Value | None,
    stride: Edges,
    padding: Edges,
    dilation: Edges,
    groups: int,
    **attributes: Any,
) -> str:
    """Write a convolution, or with ``output_padding`` a transposed one."""
    return graph.add(
        "ConvTranspose" if attributes else "Conv",
        *_names(graph, input, weight, bias),
        strides=stride,
        pads=[*padding, *padding],
        dilations=dilation,
        group=groups,
        **attributes,
    )


def group_norm(
    graph: GraphWriter,
    shape: Shape,
    *,
    input: Edge,
    num_groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
    **_: Any,
) -> str:
    """Write GroupNorm with statistics that keep their digits.

    Neither of ONNX's own operations does. GroupNormalization is defined by the mean of the squares
    minus the square of the mean: where the mean of a group is 1000 times its standard deviation,
    onnxruntime (1.32) returns nan or values that are off by 5. InstanceNormalization subtracts the
    mean first, but onnxruntime adds millions of values one after the other: off by 5 as well. Here
    the mean is subtracted first, and taken over one axis after the other, so that no sum is long.
    """
    per_group = (num_groups, shape[1] // num_groups)
    grouped = graph.add("Reshape", input.name, graph.numbers((-1, *per_group, *shape[2:])))
    axes = range(len(shape), 1, -1)
    centered = graph.add("Sub", grouped, _mean(graph, grouped, axes))
    variance = _mean(graph, graph.add("Mul", centered, centered), axes)
    spread = graph.add("Sqrt", graph.add("Add", variance, graph.name(eps)))
    affine = (1, *per_group, *[1] * (len(shape) - 2))
    scale = torch.ones(shape[1]) if weight is None else weight
    result = graph.add("Mul", centered, graph.add("Div", graph.name(scale.reshape(affine)), spread))
    if bias is not None:
        result = graph.add("Add", result, graph.name(bias.reshape(affine)))
    return graph.add("Reshape", result, graph.numbers(shape))


def _mean(graph: GraphWriter, name: str, axes: Sequence[int]) -> str:
    for axis in axes:
        name = graph.add("ReduceMean", name, graph.numbers([axis]), keepdims=1)
    return name


def instance_norm(
    graph: GraphWriter, shape: Shape, *, running_mean: Tensor, use_input_stats: bool, **given: Any
) -> str:
    """Write InstanceNorm: GroupNorm with a group per channel, or else with running statistics."""
    if use_input_stats:
        return group_norm(graph, shape, num_groups=shape[1], **given)
    return batch_norm(graph, shape, running_mean=running_mean, **given)


def batch_norm(
    graph: GraphWriter,
    shape: Shape,
    *,
    input: Edge,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    eps: float,
    **_: Any,
) -> str:
    """Write BatchNorm with running statistics."""
    scale = torch.ones(shape[1]) if weight is None else weight
    shift = torch.zeros(shape[1]) if bias is None else bias
    values = _names(graph, input, scale, shift, running_mean, running_var)
    return graph.add("BatchNormalization", *values, epsilon=eps)


def pool(
    kind: str,
    graph: GraphWriter,
    _shape: Shape,
    *,
    input: Edge,
    kernel_size: Edges,
    stride: Edges,
    padding: Edges,
    ceil_mode: bool,
    count_include_pad: bool = False,
    divisor_override: int | None = None,
    dilation: Edges = (),
) -> str:
    """Write a mean or maximum over the voxels of a kernel."""
    if ceil_mode or divisor_override or any(step != 1 for step in dilation):
        raise NotInOnnx("a pooling layer with ceil_mode, divisor_override or dilation")
    attributes: dict[str, Any] = {
        "kernel_shape": kernel_size,
        "strides": stride or kernel_size,
        "pads": [*padding, *padding],
    }
    if kind == "AveragePool":
        attributes["count_include_pad"] = int(count_include_pad)
    return graph.add(kind, input.name, **attributes)


def linear_upsampling(
    graph: GraphWriter, shape: Shape, *, input: Edge, align_corners: bool, **_: Any
) -> str:
    """Write an upsampling with linear interpolation."""
    position = "align_corners" if align_corners else "half_pixel"
    return _resize(graph, shape, input, mode="linear", coordinate_transformation_mode=position)


def nearest_upsampling(graph: GraphWriter, shape: Shape, *, input: Edge, **_: Any) -> str:
    """Write an upsampling that repeats voxels."""
    options = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return _resize(graph, shape, input, mode="nearest", **options)


def _resize(graph: GraphWriter, shape: Shape, x: Edge, **attributes: str) -> str:
    factors = [out / size for out, size in zip(shape[2:], x.shape[2:], strict=True)]
    return graph.add(
        "Resize", x.name, "", graph.name(torch.tensor([1.0, 1.0, *factors])), **attributes
    )


def leaky_relu(graph: GraphWriter, _shape: Shape, *, input: Edge, negative_slope: float) -> str:
    """Write the leaky ReLU."""
    return graph.add("LeakyRelu", input.name, alpha=negative_slope)


def silu(graph: GraphWriter, _shape: Shape, *, input: Edge) -> str:
    """Write SiLU, for which this opset has no node."""
    return graph.add("Mul", input.name, graph.add("Sigmoid", input.name))


def one_input(kind: str, graph: GraphWriter, _shape: Shape, *, input: Edge, **given: Any) -> str:
    """Write an operation that ONNX has as a node with one input and the same attributes."""
    return graph.add(kind, input.name, **given)


def unchanged(_graph: GraphWriter, _shape: Shape, *, input: Edge, **_: Any) -> str:
    """Return the input of a copy, which is what dropout is outside training."""
    return input.name


def two_inputs(
    kind: str, graph: GraphWriter, _shape: Shape, *, input: Value, other: Value, alpha: float = 1
) -> str:
    """Write a sum, difference, product or quotient; ``alpha`` is a factor of the second input."""
    second = graph.name(other)
    if alpha != 1:
        second = graph.add("Mul", second, graph.name(alpha))
    return graph.add(kind, graph.name(input), second)


def concatenation(graph: GraphWriter, _shape: Shape, *, tensors: Sequence[Value], dim: int) -> str:
    """Write a concatenation along one axis."""
    return graph.add("Concat", *_names(graph, *tensors), axis=dim)


def reshaped(graph: GraphWriter, shape: Shape, *, input: Edge, **_: Any) -> str:
    """Write an operation that changes the shape, but not the order of the values."""
    return graph.add("Reshape", input.name, graph.numbers(shape))


def mean(
    graph: GraphWriter, _shape: Shape, *, input: Edge, dim: Sequence[int], keepdim: bool, **_: Any
) -> str:
    """Write the mean over some axes."""
    return graph.add("ReduceMean", input.name, graph.numbers(dim), keepdims=int(keepdim))


def _names(graph: GraphWriter, *values: Value | None) -> list[str]:
    return [graph.name(value) for value in values if value is not None]


OPERATIONS: dict[str, Callable[..., str]] = {
    "conv2d": convolution,
    "conv3d": convolution,
    "conv_transpose2d.input": convolution,
    "conv_transpose3d.input": convolution,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "_native_batch_norm_legit_no_training": batch_norm,
    "avg_pool2d": partial(pool, "AveragePool"),
    "avg_pool3d": partial(pool, "AveragePool"),
    "max_pool2d": partial(pool, "MaxPool"),
    "max_pool3d": partial(pool, "MaxPool"),
    "upsample_bilinear2d.vec": linear_upsampling,
    "upsample_trilinear3d.vec": linear_upsampling,
    "upsample_nearest2d.vec": nearest_upsampling,
    "upsample_nearest3d.vec": nearest_upsampling,
    "leaky_relu": leaky_relu,
    "relu": partial(one_input, "Relu"),
    "sigmoid": partial(one_input, "Sigmoid"),
    "gelu": partial(one_input, "Gelu"),
    "silu": silu,
    "clone": unchanged,
    "add.Tensor": partial(two_inputs, "Add"),
    "sub.Tensor": partial(two_inputs, "Sub"),
    "mul.Tensor": partial(two_inputs, "Mul"),
    "div.Tensor": partial(two_inputs, "Div"),
    "cat": concatenation,
    "view": reshaped,
    "mean.dim": mean,
}
"""Writers by the name of PyTorch's operation, as ``torch.export`` lists it."""
