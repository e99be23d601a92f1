"""Kernels of orbits: by hand, invariant under the group, and with the right gradients."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from segkit.networks.kernels.orbit_kernel import (
    Movement,
    moved_positions,
    orbit_channels,
    orbit_kernel,
    unmoved_channels,
)
from segkit.plans.symmetry import SYMMETRIES, elements

CASES = [
    (name, dims, edge)
    for (name, row), edge in product(SYMMETRIES.items(), (1, 2, 3))
    for dims in row.dims
]


def movement(name: str, dims: int, edge: int, *, orbits: bool = True) -> Movement:
    found = elements(name, (0, 1, 2)[: SYMMETRIES[name].axes], dims)
    channels = (orbit_channels if orbits else unmoved_channels)(found)
    return Movement(found, channels, (edge,) * dims)


def test_a_quarter_turn_by_hand() -> None:
    filters = torch.arange(4.0).view(1, 1, 2, 2)
    kernel = orbit_kernel(filters, movement("p4", 2, 2, orbits=False))
    # Rows of the kernel of each element, in the order of `elements`.
    identity, half = [0, 1, 2, 3], [3, 2, 1, 0]
    assert kernel.flatten(1)[0].tolist() == identity
    assert kernel.flatten(1)[1].tolist() == half
    assert sorted(kernel.flatten(1)[2:].tolist()) == [[1, 3, 0, 2], [2, 0, 3, 1]]


def test_channels_of_an_orbit_are_permuted_with_the_positions() -> None:
    # The filter reads its own orientation at the left and the mirrored one at the right.
    filters = torch.tensor([1.0, 0, 0, 0, 0, 2.0]).view(1, 2, 3, 1)
    kernel = orbit_kernel(
        filters, Movement(mirror := elements("mirror", (0,), 2), orbit_channels(mirror), (3, 1))
    )
    assert kernel[1].flatten().tolist() == [2, 0, 0, 0, 0, 1]


@pytest.mark.parametrize(("name", "dims", "edge"), CASES)
def test_moving_channels_and_positions_does_not_change_a_kernel(
    name: str, dims: int, edge: int
) -> None:
    how = movement(name, dims, edge)
    order = len(how.elements)
    filters = torch.randn(2, 3 * order, *how.kernel)
    kernel = orbit_kernel(filters, how)
    assert kernel.shape == (2 * order, 3 * order, *how.kernel)
    by_orbit = kernel.view(2, order, 3, order, -1)
    assert torch.equal(by_orbit[:, 0].flatten(), filters.flatten())
    for element, moved in zip(how.elements, how.channels, strict=True):
        positions = torch.from_numpy(moved_positions(element, how.kernel))
        at_target = by_orbit[:, list(moved)][:, :, :, list(moved)][..., positions]
        assert torch.equal(at_target, by_orbit)


@pytest.mark.parametrize(("name", "dims"), [("mirror", 2), ("p4m", 2), ("d4", 3)])
def test_gradients_are_those_of_autograd(name: str, dims: int) -> None:
    how = movement(name, dims, 2)
    filters = torch.randn(2, 2 * len(how.elements), *how.kernel, dtype=torch.float64)
    filters.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: orbit_kernel(x, how), filters)


def test_each_value_is_used_once_per_element() -> None:
    how = movement("octahedral48", 3, 3)
    filters = torch.zeros(1, 48, 3, 3, 3, requires_grad=True)
    orbit_kernel(filters, how).sum().backward()
    assert filters.grad is not None
    assert torch.equal(filters.grad, torch.full_like(filters, 48))


def test_channels_last_filters_give_the_same_kernel() -> None:
    how = movement("d4", 3, 3)
    filters = torch.randn(2, 8, 3, 3, 3)
    last = filters.contiguous(memory_format=torch.channels_last_3d)
    assert torch.equal(orbit_kernel(last, how), orbit_kernel(filters, how))


def test_a_kernel_of_unequal_edges_cannot_be_turned() -> None:
    how = Movement(found := elements("p4", (0, 1), 2), unmoved_channels(found), (3, 1))
    with pytest.raises(ValueError, match="cannot be turned"):
        orbit_kernel(torch.zeros(1, 1, 3, 1), how)
