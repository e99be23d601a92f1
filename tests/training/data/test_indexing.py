"""Gathering of voxels by index."""

from __future__ import annotations

import pytest
import torch

from segkit.training.data.indexing import gather_along, gather_flat


def test_at_takes_the_shape_of_the_index() -> None:
    index = torch.tensor([[2, 0], [1, 2]], dtype=torch.int32)
    assert gather_flat(torch.tensor([5, 6, 7]), index).tolist() == [[7, 5], [6, 7]]


@pytest.mark.parametrize("axis", range(3))
def test_along_is_index_select(axis: int) -> None:
    values = torch.arange(2 * 3 * 4).view(4, 2, 3).movedim(0, 2)  # (2, 3, 4), not contiguous
    index = torch.tensor([1, 0, 1, 1], dtype=torch.int32)
    assert torch.equal(gather_along(values, axis, index), values.index_select(axis, index))
