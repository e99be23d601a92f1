"""Activations that the backward pass computes anew from the convolution's output before them, instead of keeping both.

In convolution, norm, activation, convolution the norm's backward pass needs its input, and the second convolution's its
own: two tensors of one size. The second follows from the first for the price of a norm and an activation, which is
small beside a convolution's. While `recomputing`, autograd keeps the way to such a tensor, a `Recipe`, in its place.
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

_ON: ContextVar[bool] = ContextVar("recomputing", default=False)
_KEY = "segkit.recipe"


class Block(Protocol):
    """Ends in an activation whose backward pass needs one tensor: its output if it works in place, else its input."""

    activation: nn.Module
    has_norm: bool
    """Without one nothing else keeps what the activation would be computed from."""

    def normed(self, *parts: Tensor) -> Tensor:
        """What enters the activation, from outputs of convolutions."""

    def modules(self) -> Iterator[nn.Module]:
        """As nn.Module."""


@contextmanager
def recomputing() -> Iterator[None]:
    """Networks that run in here keep less for their backward pass; the gradients are the same bit for bit."""
    token = _ON.set(True)
    try:
        with saved_tensors_hooks(_packed, _unpacked):
            yield
    finally:
        _ON.reset(token)


def is_recomputing() -> bool:
    """Whether `recomputing` is on."""
    return _ON.get()


def finished(block: Block, *parts: Tensor) -> Tensor:
    """The activation of ``block.normed(*parts)``, which is not kept while `recomputing`."""
    if not (_ON.get() and block.has_norm and torch.is_grad_enabled()):
        result: Tensor = block.activation(block.normed(*parts))
        return result
    recipe = _Finished(block, parts)
    normed = block.normed(*parts)
    with saved_tensors_hooks(lambda _: recipe.last, _unpacked):
        result = block.activation(normed)
    return _known(result, recipe)


def derived(function: Callable[..., Tensor], *parts: Tensor) -> Tensor:
    """``function(*parts)``, by a function that costs little, which is not kept while `recomputing`."""
    result = function(*parts)
    if not (_ON.get() and result.requires_grad):
        return result
    recipe = _Derived(function, parts)
    result.recipe = recipe  # type: ignore[attr-defined]  # alive until autograd has packed it
    return _known(result, recipe)


class _Finished:
    """The recipe of an activation; once made it stays until the activation's own backward pass, its last user."""

    def __init__(self, block: Block, parts: tuple[Tensor, ...]) -> None:
        self.block = block
        self.parts = [_source(part) for part in parts]
        self.in_place = getattr(block.activation, "inplace", False)
        self.kept: Tensor | None = None
        self.autocast = _autocast_of(parts[0])

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """For who comes after the activation."""
        self.kept = self._made()
        with self.autocast:
            result: Tensor = self.kept if self.in_place else self.block.activation(self.kept)
        return result

    @torch.no_grad()
    def last(self) -> Tensor:
        """For the activation's own backward pass."""
        made, self.kept = self._made(), None
        return made

    def _made(self) -> Tensor:
        """What the activation had kept: its output if it works in place, else its input."""
        if self.kept is not None:
            return self.kept
        with self.autocast, _running_statistics_left(self.block):
            made = self.block.normed(*[part() for part in self.parts])
            return self.block.activation(made) if self.in_place else made


class _Derived:
    """The recipe of a tensor that one convolution uses. What went into it is needed next much later, and is dropped."""

    def __init__(self, function: Callable[..., Tensor], parts: tuple[Tensor, ...]) -> None:
        self.function = function
        self.parts = [_source(part) for part in parts]
        self.autocast = _autocast_of(parts[0])

    @torch.no_grad()
    def __call__(self) -> Tensor:
        with self.autocast:
            made = self.function(*[part() for part in self.parts])
        for part in self.parts:
            if isinstance(part, _Finished):
                part.kept = None
        return made


class _Kept:
    """A tensor that is kept, of which casts need not be."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()

    def __call__(self) -> Tensor:
        return self.tensor


class _Cast:
    """Another precision of what a recipe makes."""

    def __init__(self, recipe: Recipe, dtype: torch.dtype) -> None:
        self.recipe, self.dtype = recipe, dtype

    def __call__(self) -> Tensor:
        return self.recipe().to(self.dtype)


def _autocast_of(tensor: Tensor) -> torch.autocast:
    """The autocast that ``tensor`` is in now; autograd's backward pass is in none."""
    device = tensor.device.type
    return torch.autocast(
        device, dtype=torch.get_autocast_dtype(device), enabled=torch.is_autocast_enabled(device)
    )


def _source(part: Tensor) -> Recipe:
    """The recipe of what another one starts from: its own, or the tensor."""
    found = _packed(part)
    if isinstance(found, Tensor):
        found = _Kept(part)
        _known(part, found)
    return found


def _known(tensor: Tensor, recipe: Recipe) -> Tensor:
    """Let who keeps ``tensor`` find ``recipe``. Weakly: autograd's nodes live on when what they kept is freed."""
    if tensor.grad_fn is not None:
        _notes(tensor.grad_fn)[_KEY] = weakref.ref(recipe)
    return tensor


def _packed(tensor: Tensor) -> Tensor | Recipe:
    """What autograd keeps for ``tensor``, which may be a cast (autocast's) of one that has a recipe."""
    node = tensor.grad_fn
    found = _found(node)
    if node is None or found is not None or node.name() != "ToCopyBackward0":
        return found or tensor
    found = _found(node.next_functions[0][0])
    return _Cast(found, tensor.dtype) if found else tensor


def _found(node: Node | None) -> Recipe | None:
    reference = None if node is None else _notes(node).get(_KEY)
    return reference() if reference else None


def _notes(node: Node) -> dict[str, Any]:
    return cast(dict[str, Any], node.metadata)  # a property, whatever PyTorch's annotation says


def _unpacked(packed: Tensor | Recipe) -> Tensor:
    return packed if isinstance(packed, Tensor) else packed()


@contextmanager
def _running_statistics_left(block: Block) -> Iterator[None]:
    """BatchNorm takes those of the batch in training whether or not it follows them, which it shall do once a step."""
    norms = [module for module in block.modules() if getattr(module, "track_running_stats", False)]
    for norm in norms:
        norm.track_running_stats = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True  # type: ignore[assignment]
