"""Label maps: read as integers, written in the smallest type."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from segkit.errors import InputError, UsageError
from segkit.io import (
    check_labels_fit,
    labels_in,
    read_labels,
    read_volume,
    write_image,
    write_labels,
)
from segkit.volume import Shape, Volume


def filled(*values: float, dtype: type = np.float32) -> Volume:
    return Volume(np.array(values, dtype).reshape(1, -1, 1, 1), np.eye(4))


def test_values_next_to_whole_numbers_are_rounded(tmp_path: Path) -> None:
    write_image(tmp_path / "a.nii", filled(0.0, 0.99999997, 2.0004, -3))
    labels = read_labels(tmp_path / "a.nii")
    assert labels.dtype == np.int16
    assert labels.array.ravel().tolist() == [0, 1, 2, -3]


def test_integers_stay_as_they_are(tmp_path: Path) -> None:
    write_image(tmp_path / "a.nii", filled(0, 500, dtype=np.int32))
    assert read_labels(tmp_path / "a.nii").dtype == np.int32


@pytest.mark.parametrize(
    ("dtype", "slope", "intercept"),
    [
        ("u8", 1, 0),
        ("i8", 1, 0),
        ("f8", 1, 0),
        ("u1", np.nan, np.nan),
        ("u1", 0, 5),
        ("u1", 1 / 255, 0),
    ],
)
def test_labels_as_other_programs_store_them(
    tmp_path: Path, dtype: str, slope: float, intercept: float
) -> None:
    """A slope of 0 or NaN means none; (X, Y, Z, 1) is one map; 255 / 255 is close to an integer."""
    stored = np.array([0, 255 if slope == 1 / 255 else 1], dtype).reshape(2, 1, 1, 1)
    image = nib.Nifti1Image(stored, np.eye(4), dtype=stored.dtype)
    nib.save(image, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[112:120] = np.array([slope, intercept], "<f4").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    assert read_labels(tmp_path / "a.nii").array.tolist() == [[[[0]], [[1]]]]


def test_a_scan_is_no_label_map(tmp_path: Path) -> None:
    write_image(tmp_path / "a.nii", filled(0, 0.5, 0.25, 1))
    with pytest.raises(
        InputError,
        match=r"found 2 voxels with other values, for example 0\.5\. Is this a scan",
    ):
        read_labels(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ((0, 255), "u1"),
        ((0, 256), "u2"),
        ((-1, 5), "i2"),
        ((0, 65536), "i4"),
        ((-1, 40000), "i4"),
        ((), "u1"),
    ],
)
def test_smallest_type_that_fits(tmp_path: Path, values: tuple[int, ...], dtype: str) -> None:
    labels = filled(*(values or (0,)), dtype=np.int64)
    write_labels(tmp_path / "a.nii.gz", labels)
    assert nib.load(tmp_path / "a.nii.gz").get_data_dtype() == np.dtype(dtype)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.nii.gz").array, labels.array)


def test_labels_of_more_than_32_bits(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="expected labels that fit into 32 bits, found values from 0 to 4294967296"
    ):
        write_labels(tmp_path / "a.nii", filled(0, 2**32, dtype=np.int64))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mgz", "a.nhdr", "a.mhd", "a.jpg", "a"])
def test_formats_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        UsageError, match=r"cannot write this format; the suffix must be one of \.nii\.gz"
    ):
        write_labels(tmp_path / name, filled(1))


def test_like_that_is_no_nifti_changes_nothing(tmp_path: Path) -> None:
    scan = Volume(np.zeros((1, 2, 1, 1), np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
    write_image(tmp_path / "scan.nrrd", scan)
    write_labels(tmp_path / "a.nii", scan, like=tmp_path / "scan.nrrd")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").affine, scan.affine)


def test_values_of_several_files(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.nii", filled(0, 7))
    write_labels(tmp_path / "b.nii", filled(-2, 7))
    assert labels_in([tmp_path / "a.nii", tmp_path / "b.nii"]) == [-2, 7]


@pytest.mark.parametrize(
    ("name", "shape", "values", "fits"),
    [
        ("a.nii.gz", (3, 4, 5), [300], True),
        ("a.png", (3, 4, 1), [300], True),
        ("a.png", (3, 4, 5), [1], False),
        ("a.bmp", (3, 4, 1), [300], False),
        ("a.png", (3, 4, 1), [-1], False),
        ("a.tif", (3, 4, 1), [70000], True),
    ],
)
def test_a_label_map_that_will_not_fit_is_refused_before_the_work(
    name: str, shape: Shape, values: list[int], fits: bool
) -> None:
    if fits:
        check_labels_fit(Path(name), shape, values)
    else:
        with pytest.raises(
            InputError, match=r"expected one plane, gray \(uint8.* Choose another suffix"
        ):
            check_labels_fit(Path(name), shape, values)


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (
            filled(0, 0.25, 0.99),
            r"out\.nii: expected whole numbers as labels, found 2 voxels with other values",
        ),
        (filled(0, np.nan), r"out\.nii: expected"),
        (
            Volume(np.zeros((2, 3, 3, 3), np.uint8), np.eye(4)),
            "expected a label map with one value per voxel, found 2",
        ),
    ],
)
def test_what_is_no_label_map_is_not_written(volume: Volume, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        write_labels(tmp_path / "out.nii", volume)
    assert not list(tmp_path.iterdir())
