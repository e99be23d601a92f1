from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from segkit.inference.scoring.memory_plan import split_into_parts
from segkit.inference.scoring.to_scan_grid import (
    SLAB_BYTES,
    Output,
    write_on_scan_grid,
)
from segkit.labels.voxel_values import decide_by, highest, label_dtype
from segkit.preprocessing.chain import InverseTransform
from segkit.preprocessing.orient_and_crop import AxisMap
from segkit.preprocessing.resample import axis_matrices, resample
from segkit.volume import Box, Shape

SAME = AxisMap((0, 1, 2), (False, False, False))


def way(
    network: Shape, cropped: Shape, box: Box | None = None, source: Shape | None = None
) -> InverseTransform:
    whole = (slice(0, cropped[0]), slice(0, cropped[1]), slice(0, cropped[2]))
    return InverseTransform(SAME, source or cropped, box or whole, cropped, network)


def labels_of_scores(
    scores: np.ndarray, inverse: InverseTransform, values: Sequence[int], *, regions: bool = False
) -> np.ndarray:
    labels = np.zeros(inverse.source_shape, label_dtype(values))
    write_on_scan_grid([scores], inverse, [Output(decide_by(values, regions=regions), labels)])
    return labels


def slabs_of(scores: np.ndarray, axis: int, thickness: int) -> Iterator[np.ndarray]:
    """Slabs in one buffer, as a sliding window gives them: each is overwritten by the next."""
    buffer = np.empty_like(np.take(scores, range(min(thickness, scores.shape[1 + axis])), 1 + axis))
    for start in range(0, scores.shape[1 + axis], thickness):
        slab = np.take(
            scores, range(start, min(start + thickness, scores.shape[1 + axis])), 1 + axis
        )
        place = tuple(slice(0, size) for size in slab.shape)
        buffer[...] = np.nan
        buffer[place] = slab
        yield buffer[place]


@pytest.mark.parametrize("cropped", [(7, 6, 5), (20, 9, 3), (4, 4, 4), (1, 6, 11)])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("thickness", "slab_bytes"), [(1, 1), (2, 2000), (3, SLAB_BYTES), (9, 1)])
def test_slabs_give_what_the_whole_gives(
    cropped: Shape, axis: int, thickness: int, slab_bytes: int
) -> None:
    scores = np.random.default_rng(0).normal(size=(3, 7, 6, 5)).astype(np.float32)
    inverse, decide = way((7, 6, 5), cropped), decide_by((0, 5, 300))
    slabs, whole = np.zeros((2, *cropped), np.uint16)
    write_on_scan_grid(
        slabs_of(scores, axis, thickness),
        inverse,
        [Output(decide, slabs)],
        axis=axis,
        slab_bytes=slab_bytes,
    )
    write_on_scan_grid([scores], inverse, [Output(decide, whole)], axis=axis, slab_bytes=1 << 40)
    assert np.array_equal(slabs, whole)
    expected = np.array([0, 5, 300])[
        resample(scores, axis_matrices((7, 6, 5), cropped, "linear")).argmax(0)
    ]
    assert np.mean(slabs == expected) > 0.99  # the order of the axes rounds differently


@pytest.mark.parametrize("cropped", [(7, 6, 5), (20, 9, 3), (4, 4, 4), (1, 6, 11)])
@pytest.mark.parametrize(("axis", "other"), [(0, 1), (1, 2), (2, 0)])
@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_parts_give_what_the_whole_gives(cropped: Shape, axis: int, other: int, count: int) -> None:
    scores = np.random.default_rng(0).normal(size=(3, 7, 6, 5)).astype(np.float32)
    inverse, decide = way((7, 6, 5), cropped), decide_by((0, 5, 300))
    parts, whole = np.zeros((2, *cropped), np.uint16)
    write_on_scan_grid([scores], inverse, [Output(decide, whole)], axis=axis)
    found = split_into_parts(inverse, other, count)
    lines = [part.box[other] for part in found]
    assert [each.start for each in lines] == [0, *(each.stop for each in lines[:-1])]
    assert lines[-1].stop == cropped[other]
    for part in found:
        write_on_scan_grid(
            slabs_of(scores[:, *part.network_box], axis, 2),
            inverse,
            [Output(decide, parts)],
            axis=axis,
            box=part.box,
        )
    assert np.array_equal(parts, whole)


@pytest.mark.parametrize(
    ("network", "cropped"), [((6, 64, 64), (6, 64, 64)), ((3, 64, 64), (30, 64, 64))]
)
def test_memory_is_as_asked_for_however_many_labels(network: Shape, cropped: Shape) -> None:
    scores = np.random.default_rng(0).normal(size=(2, *network)).astype(np.float32)
    into = np.zeros(cropped, np.uint8)

    def scores_of(features: np.ndarray) -> np.ndarray:
        return np.repeat(features, 50, axis=0)

    outputs = [Output(decide_by(range(100)), into)]
    tracemalloc.start()
    write_on_scan_grid(
        [scores],
        way(network, cropped),
        outputs,
        scores_of=scores_of,
        classes=100,
        slab_bytes=1 << 17,
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Everything at once would be 10 and 49 MB of scores.
    assert peak < 6 * (1 << 17)
    assert np.array_equal(
        into, scores_of(resample(scores, axis_matrices(network, cropped, "linear"))).argmax(0)
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_turned_cropped_and_in_parts(axis: int) -> None:
    scores = np.random.default_rng(0).normal(size=(3, 7, 6, 5)).astype(np.float32)
    box = (slice(2, 12), slice(0, 9), slice(3, 6))
    turned = InverseTransform(
        AxisMap((1, 2, 0), (True, False, True)), (8, 13, 10), box, (10, 9, 3), (7, 6, 5)
    )
    decide, into, expected = decide_by((0, 5, 300)), *np.zeros((2, 8, 13, 10), np.uint16)
    plain = np.zeros((10, 9, 3), np.uint16)
    write_on_scan_grid([scores], way((7, 6, 5), (10, 9, 3)), [Output(decide, plain)])
    turned.view(expected)[...] = plain
    for part in split_into_parts(turned, (axis + 1) % 3, 2):
        write_on_scan_grid(
            slabs_of(scores[:, *part.network_box], axis, 2),
            turned,
            [Output(decide, into)],
            axis=axis,
            box=part.box,
        )
    assert np.mean(into == expected) > 0.99  # the order of the axes rounds differently
    assert np.array_equal(turned.view(expected), plain)


def test_border_lies_where_the_scores_cross() -> None:
    # Scores of 4 voxels on 8: values at 0, .25, .75, 1.25 ... of the coarse index; they cross 0.5
    # between 1 and 2.
    scores = np.zeros((2, 4, 1, 1), np.float32)
    scores[1, :, 0, 0] = [-1, -1, 1, 1]
    labels = labels_of_scores(scores, way((4, 1, 1), (8, 1, 1)), (0, 9))
    assert labels[:, 0, 0].tolist() == [0, 0, 0, 0, 9, 9, 9, 9]


def test_background_outside_the_box() -> None:
    scores = np.stack([np.zeros((1, 2, 1)), np.ones((1, 2, 1))]).astype(np.float32)
    box = (slice(1, 2), slice(0, 2), slice(2, 3))
    labels = labels_of_scores(scores, way((1, 2, 1), (1, 2, 1), box, (3, 3, 3)), (0, 4))
    assert [tuple(index) for index in np.argwhere(labels == 4)] == [(1, 0, 2), (1, 1, 2)]


@pytest.mark.parametrize(
    ("values", "name"),
    [((0, 255), "uint8"), ((0, 256), "uint16"), ((0, -1), "int16"), ((0, 70000), "uint32")],
)
def test_smallest_type(values: tuple[int, ...], name: str) -> None:
    assert label_dtype(values).name == name


def test_regions_are_written_where_their_score_is_above_zero_later_ones_over_earlier_ones() -> None:
    scores = np.array([[1, 1, -1, -1], [-1, 9, 1, 0]], np.float32).reshape(2, 4, 1, 1)
    labels = labels_of_scores(scores, way((4, 1, 1), (4, 1, 1)), (2, 1), regions=True)
    assert labels.ravel().tolist() == [2, 1, 1, 0]


def test_scores_of_regions_are_resampled_before_they_are_cut_off() -> None:
    scores = np.array([-1, 3], np.float32).reshape(1, 2, 1, 1)
    # Resampled to -1, 0, 2, 3.
    assert labels_of_scores(
        scores, way((2, 1, 1), (4, 1, 1)), (5,), regions=True
    ).ravel().tolist() == [0, 0, 5, 5]


@pytest.mark.parametrize("count", [1, 2, 15, 300])
def test_the_first_of_the_highest_scores_wins_as_numpy_finds_it(count: int) -> None:
    scores = (
        np.random.default_rng(count).integers(-9, 9, (count, 7, 80, 90)).astype(np.float32)
    )  # many are equal
    found = highest(scores)
    assert found.dtype == (np.uint16 if count > 256 else np.uint8)
    np.testing.assert_array_equal(found, scores.argmax(0))
    np.testing.assert_array_equal(highest(scores.transpose(0, 3, 1, 2)), found.transpose(2, 0, 1))
