"""Write a network as an ONNX graph.

PyTorch lists the operations of the network (`torch.export`), and each of them is written as nodes
of ONNX (`segkit.networks.onnx_export.operations`). PyTorch's own exporter is not used: it needs two
more packages, writes folders of this machine into the file, and its GroupNorm is wrong in
onnxruntime where a group's mean is large compared with its spread. The package onnx is an argument,
so that this module can be imported without the extra.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram
from torch.fx.operator_schemas import normalize_function

from segkit._version import __version__
from segkit.errors import InputError, is_out_of_memory, printable
from segkit.networks.onnx_export.operations import OPERATIONS
from segkit.networks.onnx_export.writer import Edge, GraphWriter, NotInOnnx, Shape

OPSET = 21
"""Version of ONNX's operations: onnx 1.16 and onnxruntime 1.18 (2024) are the first to have it."""
IR_VERSION = 10
"""Version of the file format that belongs to OPSET."""
INPUT, OUTPUT = "windows", "scores"
MOST_BYTES = 2**31 - 2**20
"""Largest number of bytes of the weights: a protobuf message holds 2 GiB."""

_BATCH_SIZE = object()
"""Value of an operation that returns the number of windows, or a number derived from it."""


def onnx_model(network: nn.Module, shape: Sequence[int], onnx: Any) -> Any:
    """Return a network as an ``onnx.ModelProto`` that maps windows to scores, both float32.

    The number of windows is free; their size is fixed, because the statistics of norms depend on
    it. What depends on weights only, such as standardized kernels, is computed here.

    Args:
        network: a network in evaluation mode on the CPU, with weights in float32.
        shape: (C, X, Y[, Z]) of a window.
        onnx: the package.

    Raises:
        TypeError: a network in training mode.
        InputError: an operation that is not in `OPERATIONS`, a network that PyTorch cannot list,
            or more weights than a file can hold.
    """
    if network.training:
        raise TypeError("a network in training mode: call its eval() before exporting it")
    writer = GraphWriter(onnx.helper.make_node)
    program = traced(network, shape)
    with _refusing(network, "operations that segkit writes as ONNX"):
        scores = _write(program, writer)
        if not isinstance(scores, Edge):
            raise NotInOnnx("something other than one tensor of scores as its result")
    writer.add("Identity", scores.name, output=OUTPUT)
    check_size(sum(array.nbytes for array in writer.constants.values()))
    graph = onnx.helper.make_graph(
        writer.nodes,
        "network",
        [_value_info(onnx, INPUT, shape)],
        [_value_info(onnx, OUTPUT, scores.shape[1:])],
        [onnx.numpy_helper.from_array(array, name) for name, array in writer.constants.items()],
    )
    return onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="segkit",
        producer_version=__version__,
    )


def traced(network: nn.Module, shape: Sequence[int]) -> ExportedProgram:
    """Return the operations of ``network`` on any number of windows (C, X, Y[, Z]).

    Raises:
        InputError: PyTorch cannot list them, for example because they depend on the voxels.
    """
    windows = torch.zeros(2, *shape)  # PyTorch takes a number of one for a constant
    with _refusing(network, "operations that PyTorch (torch.export) can list"):
        with warnings.catch_warnings():
            # PyTorch warns about its own code, and about the list in which MONAI leaves its scores.
            warnings.simplefilter("ignore")
            program = torch.export.export(
                network, (windows,), dynamic_shapes=({0: Dim("number")},), strict=False
            )
            # Without a table, only operations that change their input are replaced.
            listed: ExportedProgram = program.run_decompositions({})
        return listed


@contextmanager
def _refusing(network: nn.Module, expected: str) -> Iterator[None]:
    """Turn every error about a network into one for its user.

    A network of a plugin or of MONAI may use any operation of PyTorch, in any way, and its own code
    may raise any error when it gets tensors without values.
    """
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0]
        found = reason if isinstance(error, NotInOnnx) else f"{type(error).__name__}: {reason}"
        raise InputError(
            f"network {type(network).__name__}",
            expected=expected,
            found=printable(found),
            remedy="It was not written as ONNX. Export the model as a .segkit file, and compute it "
            "with 'segkit predict'.",
        ) from error


def check_size(number: int) -> None:
    """Raise an InputError if a file cannot hold ``number`` bytes of weights."""
    if number > MOST_BYTES:
        raise InputError(
            "network",
            expected=f"at most {MOST_BYTES / 1e9:.1f} GB of weights, which an .onnx file holds",
            found=f"{number / 1e9:.1f} GB",
            remedy="Export the model as .xml, for OpenVINO.",
        )


def _value_info(onnx: Any, name: str, shape: Sequence[int]) -> Any:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["number", *shape])


def _write(program: ExportedProgram, writer: GraphWriter) -> Any:
    """Write the operations of ``program``, and return its output, or a list of several."""
    weights = {placeholder: (name, tensor) for placeholder, name, tensor in _weights(program)}
    writer.name_weights(dict(weights.values()))
    values: dict[fx.Node, Any] = {}
    for node in program.graph.nodes:
        args, options = fx.map_arg((node.args, node.kwargs), values.__getitem__)
        if node.op == "output":
            (outputs,) = args
            return outputs[0] if len(outputs) == 1 else outputs
        if node.op == "placeholder":
            _, values[node] = weights.get(node.name, ("", Edge(INPUT, _shape(node))))
        else:
            values[node] = _value(node, args, options, writer)
    raise ValueError("a program without output")


def _weights(program: ExportedProgram) -> Iterator[tuple[str, str, Tensor]]:
    """Yield placeholder, name and tensor of the weights, buffers and constants of a program."""
    signature = program.graph_signature
    for names in (
        signature.inputs_to_parameters,
        signature.inputs_to_buffers,
        signature.inputs_to_lifted_tensor_constants,
    ):
        for placeholder, name in names.items():
            tensor = program.state_dict.get(name, program.constants.get(name))
            if not isinstance(tensor, Tensor):
                raise TypeError(f"{name} is a {type(tensor).__name__}, not a tensor")
            yield placeholder, name, tensor.detach()


def _value(node: fx.Node, args: Any, options: Any, writer: GraphWriter) -> Any:
    """Return the value of an operation: a constant, or an edge of the graph."""
    target: Any = node.target
    if isinstance(node.meta.get("val"), torch.SymInt):
        return _BATCH_SIZE
    if target is operator.getitem or not _is_variable([args, options]):
        return target(*args, **options)
    if not hasattr(target, "name"):
        raise NotInOnnx(f"{getattr(target, '__name__', node.op)} of a tensor or number of windows")
    name = target.name().partition("::")[2]
    normalized = normalize_function(target, args, options, normalize_to_only_use_kwargs=True)
    if name not in OPERATIONS or normalized is None:
        raise NotInOnnx(f"PyTorch's operation {name}")
    shape = _shape(node)
    edge = Edge(OPERATIONS[name](writer, shape, **normalized.kwargs), shape)
    return (edge,) if isinstance(node.meta["val"], tuple | list) else edge


def _is_variable(value: Any) -> bool:
    """Return whether a value depends on the windows."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return any(_is_variable(part) for part in value)
    return isinstance(value, Edge) or value is _BATCH_SIZE


def _shape(node: fx.Node) -> Shape:
    """Return the shape of the (first) result of a node; -1 stands for the number of windows."""
    result = node.meta["val"]
    tensor = result[0] if isinstance(result, tuple | list) else result
    return tuple(-1 if isinstance(size, torch.SymInt) else int(size) for size in tensor.shape)
