"""Sliding window: equal to MONAI's, to itself slab by slab, and reversed with the image."""

from __future__ import annotations

import dataclasses
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import sliding_window_inference
from torch import Tensor, nn
from torch.nn import functional

from segkit.sliding_window.rows import Rows, Windows
from segkit.sliding_window.scores import predict_scores, score_slabs
from segkit.sliding_window.windows import (
    WholeImage,
    apply_network,
    covering_starts,
    gaussian_weights,
    margins,
    window_starts,
)
from segkit.volume import Box

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
    edges = torch.meshgrid(
        *(torch.arange(n) * torch.arange(n).flip(0) for n in windows.shape[2:]), indexing="ij"
    )
    return windows * sum(edges)


@pytest.mark.parametrize("shape", [(8, 8, 8), (11, 20, 13), (5, 9, 30), (1, 8, 7), (1, 1, 1)])
def test_a_network_that_changes_nothing_gives_the_image_back(shape: tuple[int, int, int]) -> None:
    # Also says that the weights of every voxel's windows make 1.
    image = draw(2, *shape)
    scores = predict_scores(identity, image, Windows((8, 8, 8)))
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, image, rtol=1e-5, atol=1e-6)


def test_two_windows_by_hand() -> None:
    # Windows start at 0 and 2; voxels 2 and 3 lie in both, with the weights of each other's place.
    def place(windows: Tensor) -> Tensor:
        return torch.arange(4.0).reshape(1, 1, 4, 1, 1).expand_as(windows)

    scores = predict_scores(place, torch.ones(1, 6, 1, 1), Windows((4, 1, 1))).flatten()
    outer, inner = gaussian_weights((4, 1, 1)).flatten()[:2].tolist()
    third = (2 * inner + 0 * outer) / (inner + outer)
    fourth = (3 * outer + 1 * inner) / (inner + outer)
    torch.testing.assert_close(scores, torch.tensor([0, 1, third, fourth, 2, 3]))


@pytest.mark.parametrize("batch", [1, 3, None])
def test_equals_monais_sliding_window(batch: int | None) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv3d(4, 3, 1)
    )
    # Sizes at which MONAI's windows, which start every half window, end at the image's end as well.
    image, window = draw(2, 16, 20, 12), (8, 8, 8)
    with torch.no_grad():
        ours = predict_scores(network, image, Windows(window, batch=batch))
        theirs = sliding_window_inference(
            image[None], window, 4, network, overlap=0.5, mode="gaussian"
        )[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("network", [symmetric_network, place_network])
@pytest.mark.parametrize("shape", [(11, 20, 13), (5, 9, 30), (7, 6, 3)])
def test_scores_turn_with_the_image(
    axes: tuple[int, ...], network: nn.Module, shape: tuple[int, int, int]
) -> None:
    image, flipped = draw(1, *shape), [axis + 1 for axis in axes]
    scores = predict_scores(network, image, Windows((8, 6, 8)))
    turned = predict_scores(network, image.flip(flipped), Windows((8, 6, 8)))
    torch.testing.assert_close(turned, scores.flip(flipped), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("slice_axis", [0, 1, 2])
def test_slices_go_through_a_2d_network_one_by_one(slice_axis: int) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(2, 3, 3, padding=1)
    image = draw(2, 6, 7, 8)
    window = [12, 12, 12]
    window[slice_axis] = 1
    with torch.no_grad():
        scores = predict_scores(
            network, image, Windows((window[0], window[1], window[2]), slice_axis=slice_axis)
        )
        expected = [network(plane) for plane in image.unbind(1 + slice_axis)]
    torch.testing.assert_close(
        scores, torch.stack(expected, dim=1 + slice_axis), rtol=1e-5, atol=1e-5
    )


def test_a_network_in_training_may_return_a_list() -> None:
    def network(windows: Tensor) -> list[Tensor]:
        return [windows, windows[..., ::2, ::2]]

    windows = draw(2, 1, 1, 4, 6)
    assert [tuple(each.shape) for each in apply_network(network, windows, 0)] == [
        (2, 1, 1, 4, 6),
        (2, 1, 1, 2, 3),
    ]
    assert torch.equal(apply_network(identity, windows, 0), windows)
    with pytest.raises(TypeError, match="call its eval"):
        predict_scores(network, windows[0], Windows((1, 4, 6), slice_axis=0))


def test_scores_are_summed_in_float32() -> None:
    scores = predict_scores(
        lambda windows: windows.bfloat16(), draw(1, 20, 8, 8), Windows((8, 8, 8))
    )
    assert scores.dtype == torch.float32


def batch_sizes(image: Tensor, windows: Windows) -> list[int]:
    """Windows of each call of the network."""
    sizes = []

    def network(windows: Tensor) -> Tensor:
        sizes.append(len(windows))
        return windows

    predict_scores(network, image, windows)
    return sizes


def test_batches_are_as_asked_for() -> None:
    assert batch_sizes(draw(1, 8, 8, 28), Windows((8, 8, 8), batch=4)) == [4, 2]
    assert batch_sizes(draw(1, 8, 8, 28), Windows((8, 8, 8))) == [6]


def naive(image: Tensor, windows: Windows) -> Tensor:
    """Everything at once: all sums of the padded image, then all weights, then their quotient."""
    around = margins(WholeImage(image), windows.edges, windows.overlap)
    padded = functional.pad(image, [width for pair in reversed(around) for width in pair])
    starts = [
        window_starts(size, edge, windows.overlap)
        for size, edge in zip(padded.shape[1:], windows.edges, strict=True)
    ]
    if windows.cover:
        places = zip(starts, windows.edges, around, windows.cover, strict=True)
        starts = [
            covering_starts(each, n, lower + part.start, lower + part.stop)
            for each, n, (lower, _), part in places
        ]
    order = [windows.axis, *(axis for axis in range(3) if axis != windows.axis)]
    weights = gaussian_weights(windows.edges)
    sums, total = torch.zeros_like(padded), torch.zeros(padded.shape[1:])
    corners = [
        dict(zip(order, corner, strict=True))
        for corner in product(*(starts[axis] for axis in order))
    ]
    for corner in corners:
        box = tuple(slice(corner[axis], corner[axis] + windows.edges[axis]) for axis in range(3))
        scores = place_network(padded[:, *box][None])[0]
        if len(corners) == 1:
            sums[:, *box], total = scores, torch.ones(())
            break
        sums[:, *box].addcmul_(scores, weights)
        total[box] += weights
    inside = [
        slice(lower, size - upper)
        for (lower, upper), size in zip(around, padded.shape[1:], strict=True)
    ]
    return sums.div_(total)[:, *inside]


layouts = st.builds(
    Windows,
    edges=st.tuples(*[st.integers(1, 7)] * 3),
    overlap=st.sampled_from([0, 0.25, 0.5, 0.75]),
    axis=st.integers(0, 2),
    batch=st.integers(1, 40),
)


def spans(size: int) -> st.SearchStrategy[slice]:
    """A part of an axis."""
    pairs = st.tuples(st.integers(0, size - 1), st.integers(1, size)).filter(
        lambda pair: pair[0] < pair[1]
    )
    return pairs.map(lambda pair: slice(*pair))


@settings(deadline=None)
@given(st.tuples(st.integers(1, 2), *[st.integers(1, 14)] * 3), layouts)
def test_slab_by_slab_is_the_same_bit_for_bit(shape: tuple[int, ...], windows: Windows) -> None:
    image = draw(*shape)
    expected = naive(image, windows)
    slabs = [
        slab.clone()
        for slab in score_slabs(place_network, WholeImage(image), windows, device=image.device)
    ]
    assert torch.equal(torch.cat(slabs, dim=1 + windows.axis), expected)
    assert torch.equal(predict_scores(place_network, image, windows), expected)


@settings(deadline=None)
@given(st.tuples(st.integers(1, 2), *[st.integers(1, 14)] * 3), layouts, st.data())
def test_a_box_is_a_part_of_the_whole_bit_for_bit(
    shape: tuple[int, ...], windows: Windows, data: st.DataObject
) -> None:
    image, x, y, z = draw(*shape), *(data.draw(spans(size)) for size in shape[1:])
    slabs = score_slabs(
        place_network, WholeImage(image), windows, device=image.device, within=(x, y, z)
    )
    found = torch.cat([slab.clone() for slab in slabs], dim=1 + windows.axis)
    assert torch.equal(found, naive(image, windows)[:, x, y, z])


@settings(deadline=None)
@given(st.tuples(st.integers(1, 2), *[st.integers(1, 14)] * 3), layouts, st.data())
def test_as_few_windows_as_cover_a_box(
    shape: tuple[int, ...], windows: Windows, data: st.DataObject
) -> None:
    image, x, y, z = draw(*shape), *(data.draw(spans(size)) for size in shape[1:])
    windows = dataclasses.replace(windows, cover=(x, y, z))
    slabs = score_slabs(place_network, WholeImage(image), windows, device=image.device)
    found = torch.cat([slab.clone() for slab in slabs], dim=1 + windows.axis)
    assert torch.equal(found, naive(image, windows)[:, x, y, z])


def test_of_a_box_only_the_windows_that_touch_it_are_computed() -> None:
    # Windows start every 4 voxels: 8 and 12 touch the voxels 13 to 15, and 4 ends at 12.
    sizes, image = [], draw(1, 40, 8, 8)

    def network(windows: Tensor) -> Tensor:
        sizes.append(len(windows))
        return windows

    box = (slice(13, 16), slice(0, 8), slice(0, 8))
    slabs = score_slabs(
        network, WholeImage(image), Windows((8, 8, 8), batch=1), device=image.device, within=box
    )
    found = torch.cat([slab.clone() for slab in slabs], dim=1)
    assert sizes == [1, 1]
    torch.testing.assert_close(found, image[:, *box])


class Counting(WholeImage):
    """Remembers which planes were asked for, and the most at a time."""

    def __init__(self, voxels: Tensor) -> None:
        super().__init__(voxels)
        self.asked: list[int] = []
        self.most = 0

    def part(self, box: Box) -> Tensor:
        self.asked += range(box[0].start, box[0].stop)
        self.most = max(self.most, box[0].stop - box[0].start)
        return super().part(box)


def test_every_plane_is_asked_for_once_and_sums_are_as_deep_as_a_window() -> None:
    image, windows = Counting(draw(1, 40, 9, 10)), Windows((8, 8, 8), axis=0, batch=1)
    slabs = list(score_slabs(place_network, image, windows, device=torch.device("cpu")))
    assert image.asked == list(range(40))
    assert image.most == 8
    assert [slab.shape[1] for slab in slabs] == [4] * 8 + [8]
    assert {slab.untyped_storage().nbytes() for slab in slabs} == {4 * 8 * 9 * 10}


def test_thin_rows_are_computed_together() -> None:
    assert batch_sizes(draw(1, 20, 8, 8), Windows((1, 8, 8), batch=8)) == [8, 8, 4]


def test_what_is_held_is_known_before() -> None:
    around = [(0, 0)] * 3
    rows = Rows.over((40, 9, 10), around, Windows((8, 8, 8), axis=0, batch=1))
    assert (rows.held, rows.count) == ([8, 9, 10], 9 * 2 * 2)
    # Eight windows of a row of 2 x 2 fit into a call, so two rows are computed together.
    assert Rows.over((40, 9, 10), around, Windows((8, 8, 8), axis=0, batch=8)).held == [12, 9, 10]
    box = (slice(0, 40), slice(20, 24), slice(0, 10))
    part = Rows.over((40, 60, 10), around, Windows((8, 8, 8), axis=0, batch=1), box)
    # Windows along Y start every 4 voxels: those from 16 (13 to 20 reach 20) to 20.
    assert (part.held, part.starts[1]) == ([8, 12, 10], [16, 20])
