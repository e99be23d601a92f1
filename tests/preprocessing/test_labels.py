from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.preprocessing.labels import to_indices


def test_values_become_indices_in_the_order_of_the_names() -> None:
    values = np.array([[0, 255], [-3, 255]])
    indices = to_indices(values, {"vessel": 255, "hole": -3}, False, "m.png")
    assert indices.tolist() == [[0, 1], [2, 1]]
    assert indices.dtype == np.uint8


def test_many_labels_need_two_bytes() -> None:
    labels = {f"l{value}": value for value in range(1, 300)}
    indices = to_indices(np.array([299]), labels, False, "m.nii")
    assert indices.dtype == np.uint16
    assert indices.tolist() == [299]


def test_unknown_values_name_file_values_and_voxels() -> None:
    with pytest.raises(
        InputError,
        match=r"m\.nii: expected only the values background 0, a 1, found also 7 \(2 voxels\)",
    ):
        to_indices(np.array([0, 1, 7, 7]), {"a": 1}, False, "m.nii")


def test_many_unknown_values_are_cut_short() -> None:
    with pytest.raises(InputError, match=r"9 \(1 voxels\) and 3 more"):
        to_indices(np.arange(13), {"a": 1}, False, "m.nii")


def test_the_message_on_many_unknown_values_takes_little_memory() -> None:
    """A scan in place of a label map: 200,000 values are not put into words to name eight."""
    scan = np.arange(200_000, dtype=np.int32)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="and 199990 more"):
            to_indices(scan, {"a": 1}, False, "m.nii")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60 * scan.size


def test_shades_of_grey_are_no_labels() -> None:
    with pytest.raises(InputError, match="mark of smoothed"):
        to_indices(np.arange(13), {"a": 1}, False, "m.nii")
    with pytest.raises(InputError, match=r"give dataset\.ignore=7\.$"):
        to_indices(np.array([0, 7]), {"a": 1}, False, "m.nii")


def test_a_mask_of_0_and_255_is_told_the_value_of_its_label_first() -> None:
    first = (
        r"If 255 is a here, save this mask with 1 in its place; "
        r"if all masks are so, give dataset\.labels={a:255}"
    )
    with pytest.raises(InputError, match=first):
        to_indices(np.array([0, 255]), {"a": 1}, False, "m.nii")
    with pytest.raises(InputError, match="Name these values"):
        to_indices(np.array([0, 1, 255]), {"a": 1}, False, "m.nii")


def test_in_a_subset_the_rest_is_background() -> None:
    assert to_indices(np.array([0, 1, 7]), {"b": 7}, True, "m.nii").tolist() == [0, 0, 1]


def test_the_order_in_memory_makes_no_difference() -> None:
    values = np.random.default_rng(0).choice([0, 5, 255], (1, 6, 7, 8)).astype(np.uint8)
    labels = {"organ": 255, "vessel": 5}
    expected = np.select([values == 255, values == 5], [1, 2], 0)
    for array in (values, np.asfortranarray(values), values[:, ::-1].copy()[:, ::-1]):
        indices = to_indices(array, labels, False, "m.nii")
        assert np.array_equal(indices, expected)
        assert indices.flags.c_contiguous
