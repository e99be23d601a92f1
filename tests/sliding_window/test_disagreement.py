"""Single windows against all that overlap, by hand, by a plain loop, and part by part."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from segkit.sliding_window.disagreement import TileMismatch
from segkit.sliding_window.rows import Windows
from segkit.sliding_window.scores import predict_scores, score_slabs
from segkit.sliding_window.windows import WholeImage, margins, own_spans, window_starts
from segkit.volume import Box

CPU = torch.device("cpu")


def place(windows: Tensor) -> Tensor:
    """A voxel's place along X in its window, plus the image."""
    size = windows.shape[2]
    return windows + torch.arange(float(size)).reshape(1, 1, size, 1, 1)


def above(threshold: float) -> TileMismatch:
    return TileMismatch(lambda scores: (scores[0] > threshold).numpy().astype(np.uint8))


def counted(
    image: Tensor, windows: Windows, mismatch: TileMismatch, within: Box | None = None
) -> tuple[int, int]:
    for _ in score_slabs(
        place, WholeImage(image), windows, device=CPU, within=within, mismatch=mismatch
    ):
        pass
    return mismatch.different, mismatch.voxels


def test_two_windows_by_hand() -> None:
    # Windows start at 0 and 2. Voxel 2 belongs to the first one, at its index 2; the mean with
    # index 0 of the second one is 1.964.
    # Voxel 3 is the second one's, place 1, its mean 1.036.
    image, windows = torch.zeros(1, 6, 1, 1), Windows((4, 1, 1))
    assert counted(image, windows, above(1.98)) == (1, 6)
    assert counted(image, windows, above(1.5)) == (0, 6)
    assert counted(image, windows, above(1.01)) == (1, 6)
    mismatch = above(1.98)
    counted(image, windows, mismatch)
    assert mismatch.share == 1 / 6


def test_one_window_agrees_with_itself() -> None:
    mismatch = above(1)
    assert counted(torch.zeros(1, 3, 1, 1), Windows((4, 1, 1)), mismatch) == (0, 0)
    assert mismatch.share == 0


def test_every_second_window_is_what_no_overlap_would_compute() -> None:
    starts = window_starts(40, 8, 0.5)
    assert starts == list(range(0, 33, 4))
    assert own_spans(starts, 8) == {start: (start, start + 8) for start in window_starts(40, 8, 0)}
    assert own_spans([0, 6, 12], 8) == {0: (0, 7), 6: (7, 13), 12: (13, 20)}


def expected(image: Tensor, windows: Windows, threshold: float) -> tuple[int, int]:
    """The same with everything in memory."""
    around = margins(WholeImage(image), windows.edges, windows.overlap)
    padded = functional.pad(image, [width for pair in reversed(around) for width in pair])
    spans = [
        own_spans(window_starts(size, edge, windows.overlap), edge)
        for size, edge in zip(padded.shape[1:], windows.edges, strict=True)
    ]
    alone: NDArray[np.bool_] = np.zeros(padded.shape[1:], bool)
    for corner in product(*spans):
        box = [
            slice(start, start + edge) for start, edge in zip(corner, windows.edges, strict=True)
        ]
        own = tuple(slice(*span[start]) for span, start in zip(spans, corner, strict=True))
        whole = torch.zeros(padded.shape)
        whole[:, *box] = place(padded[:, *box][None])[0]
        alone[own] = (whole[0] > threshold).numpy()[own]
    together = (predict_scores(place, image, windows)[0] > threshold).numpy()
    inside = tuple(
        slice(lower, lower + size) for (lower, _), size in zip(around, image.shape[1:], strict=True)
    )
    return int((alone[inside] != together).sum()), together.size


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    edges=st.tuples(*[st.integers(1, 7)] * 3),
    overlap=st.sampled_from([0, 0.25, 0.5, 0.75]),
    axis=st.integers(0, 2),
    batch=st.integers(1, 40),
    other=st.integers(0, 2),
)
def test_slabs_and_boxes_count_what_a_plain_loop_counts(
    shape: tuple[int, int, int],
    edges: tuple[int, int, int],
    overlap: float,
    axis: int,
    batch: int,
    other: int,
) -> None:
    image = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    windows = Windows(edges, overlap, axis, batch)
    if all(size <= edge for size, edge in zip(shape, edges, strict=True)):
        return
    assert counted(image, windows, above(1.5)) == expected(image, windows, 1.5)
    across = (axis + other) % 3
    size = shape[across]
    whole = [slice(0, edge) for edge in shape]
    mismatch = above(1.5)
    for first, last in ((0, size // 2), (size // 2, size)):
        if first < last:
            x, y, z = (
                slice(first, last) if each == across else part for each, part in enumerate(whole)
            )
            counted(image, windows, mismatch, (x, y, z))
    assert (mismatch.different, mismatch.voxels) == expected(image, windows, 1.5)
