"""Kernels of equivariant convolutions: one filter per orbit, moved by every element of a group.

The channels of a layer are orbits of as many channels as the group has elements, one after the
other. Channel (f, g) of a layer is filter f moved by element g. If a convolution satisfies

    kernel[g out, g in, g position] = kernel[out, in, position]   for all elements g

then moving its input moves its output (Cohen & Welling, arXiv 1602.07576). The kernel therefore
follows from the filters of the first channel of each orbit:

    kernel[(f, g), in, position] = filter[f, g^-1 in, g^-1 position]

Once computed it is an ordinary kernel, and the convolution costs as much as any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from segkit.plans.symmetry import Element, multiplication_table

Permutations = tuple[tuple[int, ...], ...]
"""For each element of a group, the channel to which it moves each channel."""
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Movement:
    """How the elements of a group move the channels and positions of a filter.

    ``channels`` permutes the channels of one unit: the input of a layer consists of one or several
    units, each of which is permuted alike.
    """

    elements: tuple[Element, ...]
    channels: Permutations
    kernel: tuple[int, ...]
    """Kernel edges, one per spatial axis."""

    @property
    def unit(self) -> int:
        """Number of channels that are permuted among themselves."""
        return len(self.channels[0])


def unmoved_channels(elements: tuple[Element, ...]) -> Permutations:
    """Return the permutations of a single channel, such as that of an image: it stays."""
    return ((0,),) * len(elements)


def orbit_channels(elements: tuple[Element, ...]) -> Permutations:
    """Return the permutations of the channels of an orbit: channel g becomes channel (u g)."""
    return multiplication_table(elements)


def moved_positions(element: Element, kernel: tuple[int, ...]) -> Numbers:
    """Return the number of the position to which ``element`` moves each position of a kernel.

    Positions are counted with the last axis fastest.

    >>> moved_positions(Element((1, 0), (-1, 1)), (2, 2))
    array([2, 0, 3, 1])
    """
    axes, signs = list(element.axes), np.array(element.signs)[:, None]
    if any(kernel[axis] != edge for axis, edge in zip(axes, kernel, strict=True)):
        raise ValueError(f"a kernel of {kernel} cannot be turned by {element}")
    edges = np.array(kernel)[:, None]
    # Twice the distance from the center is a whole number for odd and even edges.
    doubled = 2 * np.indices(kernel).reshape(len(kernel), -1) - (edges - 1)
    moved = (signs * doubled[axes] + edges - 1) // 2
    numbers: Numbers = np.ravel_multi_index(tuple(moved), kernel).astype(np.int64)
    return numbers


@lru_cache(maxsize=256)
def _targets(movement: Movement) -> Numbers:
    """Return (elements, unit * positions): where each element moves each value of a unit."""
    rows = []
    for element, channels in zip(movement.elements, movement.channels, strict=True):
        positions = moved_positions(element, movement.kernel)
        rows.append((np.array(channels)[:, None] * len(positions) + positions).reshape(-1))
    return np.stack(rows)


@lru_cache(maxsize=256)
def _tables(movement: Movement, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the source of each value of the kernels, and the uses of each value of a filter.

    The first table holds for value i of element g the number of the filter's value, the second for
    value i of the filter the places of g * (unit * positions) + value that it is copied to.
    """
    targets = _targets(movement)
    count, values = targets.shape
    uses = (targets + np.arange(count)[:, None] * values).T
    with torch.inference_mode(False):  # tables are kept, also for trainings
        sources = torch.from_numpy(np.argsort(targets, axis=1).reshape(-1).copy())
        return sources.to(device), torch.from_numpy(uses.reshape(-1).copy()).to(device)


def orbit_kernel(filters: Tensor, movement: Movement) -> Tensor:
    """Return the kernel (F * elements, C, x, y[, z]) of filters (F, C, x, y[, z]).

    Args:
        filters: the filters of the first channel of each of F orbits; C is a multiple of
            ``movement.unit``.
        movement: how the elements move channels and positions.

    >>> from segkit.plans.symmetry import elements
    >>> mirror = elements("mirror", (0,), 2)
    >>> movement = Movement(mirror, unmoved_channels(mirror), (3, 1))
    >>> orbit_kernel(torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3, 1), movement).flatten(1)
    tensor([[1., 2., 3.],
            [3., 2., 1.]])
    """
    function = OrbitKernel
    kernel: Tensor = function.apply(filters, movement)  # type: ignore[no-untyped-call]
    return kernel


class OrbitKernel(torch.autograd.Function):
    """Copies each value of the filters to one place per element; backwards it adds them up."""

    @staticmethod
    def forward(ctx: Any, filters: Tensor, movement: Movement) -> Tensor:
        """Return the kernel of ``filters`` (see `orbit_kernel`)."""
        ctx.movement = movement
        elements, values = len(movement.elements), _values(movement)
        sources, _ = _tables(movement, filters.device)
        copies = filters.reshape(-1, values).index_select(1, sources)
        moved = copies.view(len(filters), -1, elements, values).transpose(1, 2)
        return moved.reshape(len(filters) * elements, *filters.shape[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Add the gradients of all places that a value was copied to."""
        movement = ctx.movement
        elements, values = len(movement.elements), _values(movement)
        _, uses = _tables(movement, grad.device)
        filters = len(grad) // elements
        copies = grad.reshape(filters, elements, -1, values).transpose(1, 2)
        gathered = copies.reshape(-1, elements * values).index_select(1, uses)
        return gathered.view(-1, values, elements).sum(2).view(filters, *grad.shape[1:]), None


def _values(movement: Movement) -> int:
    return movement.unit * int(np.prod(movement.kernel))
