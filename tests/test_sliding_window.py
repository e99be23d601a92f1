"""Windows cover a scan evenly, weigh it as MONAI does, and turn with it when an axis is reversed."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from monai.data.utils import compute_importance_map
from monai.inferers import sliding_window_inference
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.sliding_window import apply_network, gaussian_weights, pad_to, predict_scores, window_starts

AXES = [(0,), (1,), (2,), (0, 1, 2)]


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


def identity(windows: Tensor) -> Tensor:
    return windows


def symmetric_network(windows: Tensor) -> Tensor:
    """Treats both directions of every axis alike: mean of 3 x 3 x 3 voxels, then a curve."""
    return torch.tanh(functional.avg_pool3d(windows, 3, stride=1, padding=1))


def place_network(windows: Tensor) -> Tensor:
    """Answers differently at every place of a window, alike under reversal."""
    edges = torch.meshgrid(*(torch.arange(n) * torch.arange(n).flip(0) for n in windows.shape[2:]), indexing="ij")
    return windows * sum(edges)


@pytest.mark.parametrize(
    ("size", "window", "overlap", "starts"),
    [
        (8, 8, 0.5, [0]),
        (12, 8, 0.5, [0, 4]),
        (9, 8, 0.5, [0, 1]),
        (16, 8, 0.5, [0, 4, 8]),
        (15, 8, 0.5, [0, 2, 5, 7]),
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
            starts = window_starts(size, window, overlap)
            gaps = [after - before for before, after in pairwise(starts)]
            assert starts == [size - window - start for start in reversed(starts)]
            assert (starts[0], starts[-1]) == (0, size - window)
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
    torch.testing.assert_close(weights, compute_importance_map(window, mode="gaussian"), rtol=1e-5, atol=1e-7)


def test_padding_by_hand() -> None:
    image = torch.arange(1.0, 4.0).reshape(1, 3, 1, 1)
    padded, inside = pad_to(image, (6, 1, 1))
    # Three voxels are missing; the darker end (1) gets two of them.
    assert padded.flatten().tolist() == [0, 0, 1, 2, 3, 0]
    assert torch.equal(padded[:, *inside], image)
    padded, inside = pad_to(image.flip(1), (6, 1, 1))
    assert padded.flatten().tolist() == [0, 3, 2, 1, 0, 0]
    assert torch.equal(padded[:, *inside], image.flip(1))


def test_padding_looks_further_in_where_both_ends_are_alike() -> None:
    image = torch.tensor([5.0, 1.0, 2.0, 5.0]).reshape(1, 1, 4, 1)
    assert pad_to(image, (1, 5, 1))[0].flatten().tolist() == [0, 5, 1, 2, 5]
    assert pad_to(image.flip(2), (1, 5, 1))[0].flatten().tolist() == [5, 2, 1, 5, 0]
    assert pad_to(torch.ones(1, 4, 1, 1), (5, 1, 1))[0].flatten().tolist() == [1, 1, 1, 1, 0]


@pytest.mark.parametrize("axes", AXES)
def test_padding_turns_with_the_image(axes: tuple[int, ...]) -> None:
    image, flipped = draw(2, 5, 6, 9), [axis + 1 for axis in axes]
    padded, _ = pad_to(image, (8, 8, 8))
    assert padded.shape == (2, 8, 8, 9)
    assert torch.equal(pad_to(image.flip(flipped), (8, 8, 8))[0], padded.flip(flipped))


@pytest.mark.parametrize("shape", [(8, 8, 8), (11, 20, 13), (5, 9, 30), (1, 8, 7), (1, 1, 1)])
def test_a_network_that_changes_nothing_gives_the_image_back(shape: tuple[int, int, int]) -> None:
    # Also says that the weights of every voxel's windows make 1.
    image = draw(2, *shape)
    scores = predict_scores(identity, image, window=(8, 8, 8))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, image, rtol=1e-5, atol=1e-6)


def test_two_windows_by_hand() -> None:
    # Windows start at 0 and 2; voxels 2 and 3 lie in both, with the weights of each other's place.
    def place(windows: Tensor) -> Tensor:
        return torch.arange(4.0).reshape(1, 1, 4, 1, 1).expand_as(windows)

    scores = predict_scores(place, torch.ones(1, 6, 1, 1), window=(4, 1, 1)).flatten()
    outer, inner = gaussian_weights((4, 1, 1)).flatten()[:2].tolist()
    third = (2 * inner + 0 * outer) / (inner + outer)
    fourth = (3 * outer + 1 * inner) / (inner + outer)
    torch.testing.assert_close(scores, torch.tensor([0, 1, third, fourth, 2, 3]))


@pytest.mark.parametrize("batch", [1, 3, None])
def test_equals_monais_sliding_window(batch: int | None) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv3d(4, 3, 1))
    # Sizes at which MONAI's windows, which start every half window, end at the image's end as ours do.
    image, window = draw(2, 16, 20, 12), (8, 8, 8)
    with torch.no_grad():
        ours = predict_scores(network, image, window=window, batch=batch)
        theirs = sliding_window_inference(image[None], window, 4, network, overlap=0.5, mode="gaussian")[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("network", [symmetric_network, place_network])
@pytest.mark.parametrize("shape", [(11, 20, 13), (5, 9, 30), (7, 6, 3)])
def test_scores_turn_with_the_image(axes: tuple[int, ...], network: nn.Module, shape: tuple[int, int, int]) -> None:
    image, flipped = draw(1, *shape), [axis + 1 for axis in axes]
    scores = predict_scores(network, image, window=(8, 6, 8))
    turned = predict_scores(network, image.flip(flipped), window=(8, 6, 8))
    torch.testing.assert_close(turned, scores.flip(flipped), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_slices_go_through_a_2d_network_one_by_one(slice_axis: int) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(2, 3, 3, padding=1)
    image = draw(2, 6, 7, 8)
    window = [12, 12, 12]
    window[slice_axis] = 1
    with torch.no_grad():
        scores = predict_scores(network, image, window=(window[0], window[1], window[2]), slice_axis=slice_axis)
        expected = [network(plane) for plane in image.unbind(1 + slice_axis)]
    torch.testing.assert_close(scores, torch.stack(expected, dim=1 + slice_axis), rtol=1e-5, atol=1e-5)


def test_a_network_in_training_may_return_a_list() -> None:
    def network(windows: Tensor) -> list[Tensor]:
        return [windows, windows[..., ::2, ::2]]

    windows = draw(2, 1, 1, 4, 6)
    assert [tuple(each.shape) for each in apply_network(network, windows, 0)] == [(2, 1, 1, 4, 6), (2, 1, 1, 2, 3)]
    assert torch.equal(apply_network(identity, windows, 0), windows)
    with pytest.raises(TypeError, match="call its eval"):
        predict_scores(network, windows[0], window=(1, 4, 6), slice_axis=0)


def test_scores_are_summed_in_float32() -> None:
    scores = predict_scores(lambda windows: windows.bfloat16(), draw(1, 20, 8, 8), window=(8, 8, 8))
    assert scores.dtype == torch.float32


def test_batches_are_as_asked_for() -> None:
    sizes = []

    def network(windows: Tensor) -> Tensor:
        sizes.append(len(windows))
        return windows

    predict_scores(network, draw(1, 8, 8, 28), window=(8, 8, 8), batch=4)
    assert sizes == [4, 2]
    sizes.clear()
    predict_scores(network, draw(1, 8, 8, 28), window=(8, 8, 8))
    assert sizes == [6]
