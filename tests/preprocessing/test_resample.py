from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segkit.preprocessing.resample import (
    SlabResampler,
    apply_matrix,
    axis_matrices,
    axis_matrix,
    grid_shape,
    resample,
    resample_labels,
)

SIZES = st.integers(1, 40)
KINDS = pytest.mark.parametrize("kind", ["cubic", "linear"])


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, st.sampled_from(["cubic", "linear"]))
def test_rows_sum_to_one_and_mirror_each_other(n_in: int, n_out: int, kind: str) -> None:
    matrix = axis_matrix(n_in, n_out, kind).toarray()  # type: ignore[arg-type]
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)


@KINDS
def test_the_same_size_is_the_identity(kind: str) -> None:
    np.testing.assert_array_equal(axis_matrix(7, 7, kind).toarray(), np.eye(7))  # type: ignore[arg-type]


@KINDS
@pytest.mark.parametrize("n_out", [11, 33, 64])
def test_a_ramp_stays_a_ramp_in_the_interior(kind: str, n_out: int) -> None:
    centers = (np.arange(n_out) + 0.5) * 32 / n_out - 0.5
    ramp = axis_matrix(32, n_out, kind) @ np.arange(32.0)  # type: ignore[arg-type]
    inside = (centers > 6) & (centers < 25)
    np.testing.assert_allclose(ramp[inside], centers[inside], atol=0.02)


def test_cubic_weights_half_way_are_keys() -> None:
    row = axis_matrix(8, 16, "cubic").toarray()[8]
    x = np.array([1.75, 0.75, 0.25, 1.25])
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    np.testing.assert_allclose(row[2:6], np.where(x < 1, near, far))


def test_shrinking_averages_instead_of_skipping() -> None:
    stripes = np.tile([0.0, 1.0], 32)
    np.testing.assert_allclose((axis_matrix(64, 16, "linear") @ stripes)[2:-2], 0.5, atol=1e-12)


@KINDS
def test_any_slab_is_exact(kind: str) -> None:
    scan = np.random.default_rng(0).normal(size=(13, 5, 4)).astype(np.float32)
    matrix = axis_matrix(13, 29, kind)  # type: ignore[arg-type]
    whole = apply_matrix(matrix, scan, 0)
    np.testing.assert_array_equal(apply_matrix(matrix[7:12], scan, 0), whole[7:12])


@KINDS
def test_constants_stay(kind: str) -> None:
    scan = np.full((2, 5, 1, 9), 3, dtype=np.float32)
    matrices = axis_matrices((5, 1, 9), (8, 3, 4), kind)  # type: ignore[arg-type]
    assert list(matrices) == [2, 0, 1]  # the axis that shrinks first
    result = resample(scan, matrices)
    assert result.shape == (2, 8, 3, 4)
    np.testing.assert_allclose(result, 3, rtol=1e-6)


def test_resampling_equal_sizes_changes_nothing() -> None:
    scan = np.random.default_rng(0).normal(size=(1, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(
        resample(scan, axis_matrices((3, 4, 5), (3, 4, 5), "cubic")), scan
    )


def test_grid_shape_keeps_the_field_of_view() -> None:
    assert grid_shape((10, 5, 1), (1.0, 3.0, 5.0), (2.0, None, 50.0)) == (5, 5, 1)
    assert grid_shape((135, 1, 1), (0.799999, 1, 1), (0.8, 1, 1)) == (135, 1, 1)


@pytest.mark.parametrize(
    ("shape", "least"), [((14, 18, 10), 1), ((13, 21, 11), 0.85), ((28, 36, 20), 0.99)]
)
def test_labels_come_back_after_a_round_trip(shape: tuple[int, int, int], least: float) -> None:
    labels = np.zeros((14, 18, 10), dtype=np.uint8)
    labels[2:12, 4:9, 2:8] = 1
    labels[2:12, 9:15, 2:8] = 3
    there = resample_labels(labels, shape)
    back = resample_labels(there, labels.shape)
    assert set(np.unique(there)) == {0, 1, 3}
    assert there.dtype == np.uint8
    for index in (0, 1, 3):
        a, b = labels == index, back == index
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) >= least


def test_doubled_labels_are_doubled_blocks() -> None:
    labels = np.array([0, 2, 2, 1], dtype=np.uint16).reshape(4, 1, 1)
    assert resample_labels(labels, (8, 1, 1)).ravel().tolist() == [0, 0, 2, 2, 2, 2, 1, 1]


def test_the_lower_label_wins_a_tie_from_either_side() -> None:
    labels = np.array([0, 5], dtype=np.uint8).reshape(2, 1, 1)
    assert resample_labels(labels, (3, 1, 1)).ravel().tolist() == [0, 0, 5]
    assert resample_labels(labels[::-1], (3, 1, 1)).ravel().tolist() == [5, 0, 0]
    assert resample_labels(labels, (1, 1, 1)).ravel().tolist() == [0]


def test_a_single_annotated_slice_never_vanishes_between_thicker_ones() -> None:
    for position in range(20):
        labels = np.full((20, 4, 1), 2, np.uint8)
        labels[position] = [[0], [0], [1], [1]]
        for slices in (20, 17, 15, 11):
            found = resample_labels(labels, (slices, 4, 1), ignored=2)
            known = [index for index in range(slices) if (found[index] != 2).any()]
            assert 1 <= len(known) <= 2
            assert all(found[index].ravel().tolist() == [0, 0, 1, 1] for index in known)


def test_ignored_voxels_stay_ignored_at_twice_the_resolution() -> None:
    labels = np.array([2, 1, 2, 2], np.uint8).reshape(4, 1, 1)
    assert resample_labels(labels, (8, 1, 1), ignored=2).ravel().tolist() == [
        2,
        2,
        1,
        1,
        2,
        2,
        2,
        2,
    ]
    assert resample_labels(
        np.zeros((4, 1, 1), np.uint8), (2, 1, 1), ignored=2
    ).ravel().tolist() == [0, 0]


@pytest.mark.parametrize("axis", [0, 2])
def test_planes_that_arrive_one_by_one_give_what_the_whole_gives(axis: int) -> None:
    array = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32)
    matrices = axis_matrices((4, 5, 6), (7, 5, 3), "linear")
    resampler = SlabResampler(matrices, axis=axis, planes=4)
    slabs = np.split(array, array.shape[1 + axis], axis=1 + axis)
    planes = [part for slab in slabs for part in resampler.add(slab)]
    assert max(part.shape[1 + axis] for part in planes) <= 2  # 4 planes of 2 channels
    np.testing.assert_allclose(
        np.concatenate(planes, axis=1 + axis), resample(array, matrices), atol=1e-6
    )
