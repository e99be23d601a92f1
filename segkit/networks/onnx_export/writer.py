"""Nodes and constants of an ONNX graph while it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class NotInOnnx(Exception):
    """A network has something that cannot be written as ONNX; the text says what."""


Shape = tuple[int, ...]
"""Sizes of all axes; -1 is the number of windows."""


@dataclass(frozen=True)
class Edge:
    """Tensor that depends on the windows: its name in the graph, and its shape."""

    name: str
    shape: Shape


Value = Edge | Tensor | float
"""Tensor of the graph, or a constant."""


class GraphWriter:
    """Nodes and constants of an ONNX graph, in the order in which they are computed."""

    def __init__(self, make_node: Callable[..., Any]) -> None:
        """Take ``onnx.helper.make_node``."""
        self._make_node = make_node
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self._weights: dict[int, str] = {}
        self._numbers: dict[tuple[int, ...], str] = {}

    def name_weights(self, weights: dict[str, Tensor]) -> None:
        """Give tensors their names in the network; they are added once a node uses them."""
        self._weights |= {id(tensor): name for name, tensor in weights.items()}

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        output = output or f"{kind}_{len(self.nodes)}"
        self.nodes.append(
            self._make_node(kind, list(inputs), [output], name=f"node_{output}", **attributes)
        )
        return output

    def name(self, value: Value) -> str:
        """Return the name of an edge, or of a constant: a float32 tensor or number."""
        if isinstance(value, Edge):
            return value.name
        name = self._weights.get(id(value), f"constant_{len(self.constants)}")
        if name not in self.constants:
            tensor = torch.as_tensor(value).detach().cpu().float()
            self.constants[name] = np.ascontiguousarray(tensor.numpy())
        return name

    def numbers(self, values: Sequence[int]) -> str:
        """Return the name of a constant of whole numbers, such as axes or a shape."""
        key = tuple(values)
        if key not in self._numbers:
            self._numbers[key] = f"constant_{len(self.constants)}"
            self.constants[self._numbers[key]] = np.array(key, np.int64)
        return self._numbers[key]
