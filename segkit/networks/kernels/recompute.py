"""Recompute activations in the backward pass instead of keeping them.

In a sequence of convolution, norm, activation and convolution, the backward pass of the norm needs
the output of the first convolution, and the backward pass of the second convolution needs its own
input: two tensors of the same size. The second can be computed from the first by a norm and an
activation, which cost little compared with a convolution. While `recomputing`, autograd keeps a
`Recipe` for such a tensor in its place.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node, saved_tensors_hooks

Recipe = Callable[[], Tensor]
"""Function that computes a tensor again."""

_ON: ContextVar[bool] = ContextVar("recomputing", default=False)
_KEY = "segkit.recipe"


class Block(Protocol):
    """Part of a network that ends in an activation.

    The backward pass of the activation needs one tensor: its output if it works in place, otherwise
    its input.
    """

    activation: nn.Module
    has_norm: bool
    """False if no norm keeps the tensor from which the activation could be computed again."""

    def normalize(self, *outputs: Tensor) -> Tensor:
        """Return the input of the activation, computed from outputs of convolutions."""

    def modules(self) -> Iterator[nn.Module]:
        """Return all modules, as nn.Module does."""


@contextmanager
def recomputing() -> Iterator[None]:
    """Keep less for the backward pass in this context; gradients are bitwise the same."""
    token = _ON.set(True)
    try:
        with saved_tensors_hooks(_pack, _unpack):
            yield
    finally:
        _ON.reset(token)


def is_recomputing() -> bool:
    """Return whether `recomputing` is active."""
    return _ON.get()


def activated(block: Block, *outputs: Tensor) -> Tensor:
    """Return the activation of ``block.normalize(*outputs)``, not kept while `recomputing`."""
    if not (_ON.get() and block.has_norm and torch.is_grad_enabled()):
        result: Tensor = block.activation(block.normalize(*outputs))
        return result
    recipe = _ActivationRecipe(block, outputs)
    normalized = block.normalize(*outputs)
    with saved_tensors_hooks(lambda _: recipe.last, _unpack):
        result = block.activation(normalized)
    return _register(result, recipe)


def recomputable(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """Return ``function(*inputs)``, which is not kept while `recomputing`.

    The function should cost little, because it runs again in the backward pass.
    """
    result = function(*inputs)
    if not (_ON.get() and result.requires_grad):
        return result
    recipe = _FunctionRecipe(function, inputs)
    result.recipe = recipe  # type: ignore[attr-defined]  # alive until autograd has packed it
    return _register(result, recipe)


class _ActivationRecipe:
    """Recipe of an activation, whose result is kept until the activation's own backward pass.

    That backward pass is the last to use it.
    """

    def __init__(self, block: Block, outputs: tuple[Tensor, ...]) -> None:
        self.block = block
        self.inputs = [_recipe_for(output) for output in outputs]
        self.in_place = getattr(block.activation, "inplace", False)
        self.statistics = _running_statistics(block)
        self.kept: Tensor | None = None
        self.autocast = _autocast_of(outputs[0])

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """Return the output of the activation, for the layer after it."""
        self.kept = self._saved_tensor()
        with self.autocast:
            result: Tensor = self.kept if self.in_place else self.block.activation(self.kept)
        return result

    @torch.no_grad()
    def last(self) -> Tensor:
        """Return the tensor for the activation's own backward pass, and release it."""
        saved, self.kept = self._saved_tensor(), None
        return saved

    def _saved_tensor(self) -> Tensor:
        """Return what the activation saves: its output if in place, otherwise its input."""
        if self.kept is not None:
            return self.kept
        with self.autocast, _earlier_statistics(self.statistics):
            normalized = self.block.normalize(*[recipe() for recipe in self.inputs])
            return self.block.activation(normalized) if self.in_place else normalized


class _FunctionRecipe:
    """Recipe of a tensor that one convolution uses.

    The activations it is computed from are needed next much later, so they are not kept.
    """

    def __init__(self, function: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
        self.function = function
        self.inputs = [_recipe_for(tensor) for tensor in inputs]
        self.autocast = _autocast_of(inputs[0])

    @torch.no_grad()
    def __call__(self) -> Tensor:
        with self.autocast:
            result = self.function(*[recipe() for recipe in self.inputs])
        for recipe in self.inputs:
            if isinstance(recipe, _ActivationRecipe):
                recipe.kept = None
        return result


class _KeptTensor:
    """Recipe that returns a tensor which is kept, so that casts of it need not be kept."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()

    def __call__(self) -> Tensor:
        return self.tensor


class _CastRecipe:
    """Recipe of a tensor of another recipe in another precision."""

    def __init__(self, recipe: Recipe, dtype: torch.dtype) -> None:
        self.recipe, self.dtype = recipe, dtype

    def __call__(self) -> Tensor:
        return self.recipe().to(self.dtype)


def _autocast_of(tensor: Tensor) -> torch.autocast:
    """Return the autocast that is active now; autograd's backward pass runs without one."""
    device = tensor.device.type
    return torch.autocast(
        device, dtype=torch.get_autocast_dtype(device), enabled=torch.is_autocast_enabled(device)
    )


def _recipe_for(tensor: Tensor) -> Recipe:
    """Return the recipe of ``tensor``, or a new one that keeps it."""
    packed = _pack(tensor)
    if isinstance(packed, Tensor):
        packed = _KeptTensor(tensor)
        _register(tensor, packed)
    return packed


def _register(tensor: Tensor, recipe: Recipe) -> Tensor:
    """Attach ``recipe`` to the autograd node of ``tensor``, for the layers that save it.

    The reference is weak, because autograd's nodes outlive the tensors that they saved.
    """
    if tensor.grad_fn is not None:
        _metadata(tensor.grad_fn)[_KEY] = weakref.ref(recipe)
    return tensor


def _pack(tensor: Tensor) -> Tensor | Recipe:
    """Return what autograd keeps for ``tensor``.

    This is a recipe if the tensor, or the tensor that it was cast from, has one.
    """
    node = tensor.grad_fn
    recipe = _recipe_of(node)
    if node is None or recipe is not None or node.name() != "ToCopyBackward0":
        return recipe or tensor
    recipe = _recipe_of(node.next_functions[0][0])
    return _CastRecipe(recipe, tensor.dtype) if recipe else tensor


def _recipe_of(node: Node | None) -> Recipe | None:
    reference = None if node is None else _metadata(node).get(_KEY)
    return reference() if reference else None


def _metadata(node: Node) -> dict[str, Any]:
    return cast(
        dict[str, Any], node.metadata
    )  # PyTorch's annotation does not say that it is a dict


def _unpack(packed: Tensor | Recipe) -> Tensor:
    return packed if isinstance(packed, Tensor) else packed()


Statistics = list[tuple[nn.Module, str, Tensor]]
"""Norm, name and value of each running statistic."""


def _running_statistics(block: Block) -> Statistics:
    """Return a copy of the running statistics and counters of the norms of ``block``."""
    return [
        (module, name, buffer.clone())
        for module in block.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]


@contextmanager
def _earlier_statistics(statistics: Statistics) -> Iterator[None]:
    """Give norms the statistics that they had before the forward pass of this step.

    Batch renormalization depends on them, and neither it nor BatchNorm may update them a second
    time per step.
    """
    now = [(norm, name, norm.get_buffer(name)) for norm, name, _ in statistics]
    for norm, name, earlier in statistics:
        setattr(norm, name, earlier.clone())
    try:
        yield
    finally:
        for norm, name, buffer in now:
            setattr(norm, name, buffer)
