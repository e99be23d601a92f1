"""Windows cover an image evenly, weigh as MONAI's do, and turn with it when an axis is reversed."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from monai.data.utils import compute_importance_map
from torch import Tensor
from torch.nn import functional

from segkit.errors import UsageError
from segkit.sliding_window.windows import (
    WholeImage,
    count_windows,
    gaussian_weights,
    margins,
    missing,
    window_starts,
)

AXES = [(0,), (1,), (2,), (0, 1, 2)]


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def pad(image: Tensor, window: tuple[int, int, int], overlap: float = 0.5) -> Tensor:
    around = margins(WholeImage(image), window, overlap)
    return functional.pad(image, [width for pair in reversed(around) for width in pair])


@pytest.mark.parametrize(
    ("size", "window", "overlap", "starts"),
    [
        (8, 8, 0.5, [0]),
        (12, 8, 0.5, [0, 4]),
        (9, 8, 0.5, [0, 1]),
        (16, 8, 0.5, [0, 4, 8]),
        (15, 8, 0.5, [0, 4, 7]),
        (10, 3, 0.0, [0, 2, 5, 7]),
        (4, 1, 0.5, [0, 1, 2, 3]),
        (5, 1, 0.0, [0, 1, 2, 3, 4]),
    ],
)
def test_starts_by_hand(size: int, window: int, overlap: float, starts: list[int]) -> None:
    assert window_starts(size, window, overlap) == starts


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7])
def test_starts_reach_from_end_to_end_and_back(overlap: float) -> None:
    for window in range(1, 12):
        for size in range(window, 60):
            padded = size + missing(size, window, overlap)
            starts = window_starts(padded, window, overlap)
            assert len(starts) == count_windows((size,), (window,), overlap)
            gaps = [after - before for before, after in pairwise(starts)]
            assert starts == [padded - window - start for start in reversed(starts)]
            assert (starts[0], starts[-1]) == (0, padded - window)
            assert all(0 < gap < window * (1 - overlap) + 1 for gap in gaps)
            assert all(gap <= window for gap in gaps)


@pytest.mark.parametrize("overlap", [-0.1, 1.0, 1.5])
def test_overlap_out_of_range_is_refused(overlap: float) -> None:
    with pytest.raises(UsageError, match="overlap must be at least 0 and below 1"):
        window_starts(10, 5, overlap)


@pytest.mark.parametrize("window", [(8, 9, 10), (40, 56, 40), (32, 32, 1), (2, 2, 2)])
def test_weights_are_monais(window: tuple[int, int, int]) -> None:
    weights = gaussian_weights(window)
    assert weights.dtype == torch.float32
    assert weights.min() > 0
    assert weights.max() <= 1
    assert torch.equal(weights, weights.flip(0, 1, 2))
    torch.testing.assert_close(
        weights, compute_importance_map(window, mode="gaussian"), rtol=1e-5, atol=1e-7
    )


def test_padding_by_hand() -> None:
    image = torch.arange(1.0, 4.0).reshape(1, 3, 1, 1)
    padded = pad(image, (6, 1, 1))
    # Three voxels are missing; the darker end (1) gets two of them.
    assert padded.flatten().tolist() == [0, 0, 1, 2, 3, 0]
    padded = pad(image.flip(1), (6, 1, 1))
    assert padded.flatten().tolist() == [0, 3, 2, 1, 0, 0]


def test_padding_looks_further_in_where_both_ends_are_alike() -> None:
    image = torch.tensor([5.0, 1.0, 2.0, 5.0]).reshape(1, 1, 4, 1)
    assert pad(image, (1, 5, 1)).flatten().tolist() == [0, 5, 1, 2, 5]
    assert pad(image.flip(2), (1, 5, 1)).flatten().tolist() == [5, 2, 1, 5, 0]
    assert pad(torch.ones(1, 4, 1, 1), (5, 1, 1)).flatten().tolist() == [1, 1, 1, 1, 0]


def test_an_odd_voxel_is_added_where_the_middle_window_would_begin_between_two() -> None:
    image = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]).reshape(1, 7, 1, 1)
    # Windows of 4 begin at 0, 1.5 and 3; with a voxel more at the darker end at 0, 2 and 4.
    assert pad(image, (4, 1, 1)).flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert pad(image.flip(1), (4, 1, 1)).flatten().tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert pad(image, (4, 1, 1), overlap=0.25).flatten().tolist() == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("axes", AXES)
def test_padding_turns_with_the_image(axes: tuple[int, ...]) -> None:
    image, flipped = draw(2, 5, 6, 9), [axis + 1 for axis in axes]
    padded = pad(image, (8, 8, 8))
    assert padded.shape == (2, 8, 8, 9)
    assert torch.equal(pad(image.flip(flipped), (8, 8, 8)), padded.flip(flipped))


@pytest.mark.parametrize(
    ("size", "window", "overlap", "count"),
    [(120, 40, 0.8, 11), (192, 96, 0.9, 11), (128, 80, 0.7, 3)],
)
def test_rounding_adds_no_window(size: int, window: int, overlap: float, count: int) -> None:
    # (120 - 40) / (40 * 0.2) = 10 steps, though 40 * (1 - 0.8) is 7.999999999999998.
    starts = window_starts(size, window, overlap)
    assert len(starts) == count
    assert starts[-1] + window == size
