"""Round trips of the 48 orientations and oblique affines through every format."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segkit.io import read_labels, read_volume, write_image, write_labels
from segkit.volume import Volume

FORMATS = ("nii", "nii.gz", "nrrd", "mha")
ORIENTATIONS = list(product(permutations(range(3)), product((1, -1), repeat=3)))


def turned(order: tuple[int, ...], signs: tuple[int, ...]) -> NDArray[np.float64]:
    """Return an affine whose voxel axis i runs along the world axis order[i].

    The voxel spacing is 0.5, 1.25 and 3 mm.
    """
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * np.multiply(signs, (0.5, 1.25, 3.0))
    affine[:3, 3] = (-91.25, 17.5, 3.75)
    return affine


def oblique(angles: tuple[float, float, float]) -> NDArray[np.float64]:
    rotation = nib.eulerangles.euler2mat(*angles)
    return np.asarray(
        nib.affines.from_matvec(rotation * (0.7, 1.3, 2.9), (-12.3, 45.6, -7.8)), dtype=np.float64
    )


def check_round_trip(path: Path, affine: NDArray[np.float64]) -> None:
    volume = Volume(np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4), affine)
    write_image(path, volume)
    read = read_volume(path)
    np.testing.assert_array_equal(read.array, volume.array)
    np.testing.assert_allclose(read.affine, affine, rtol=1e-6, atol=1e-6)


def check_label_map(folder: Path, suffix: str) -> None:
    """A label map that is written like the scan lies on the scan, its labeled corner included."""
    scan = read_volume(folder / "scan.nii.gz")
    labels = np.zeros((1, *scan.grid.shape), np.int32)
    labels[0, -1, 0, 0] = 7
    write_labels(folder / f"seg.{suffix}", scan.with_array(labels), like=folder / "scan.nii.gz")
    read = read_labels(folder / f"seg.{suffix}")
    assert np.argwhere(read.array).tolist() == [[0, scan.grid.shape[0] - 1, 0, 0]]
    np.testing.assert_allclose(read.affine, scan.affine, rtol=1e-6, atol=1e-6)
    if suffix.startswith("nii"):
        np.testing.assert_array_equal(read.affine, scan.affine)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_48_orientations(
    tmp_path: Path, suffix: str, order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    check_round_trip(tmp_path / f"a.{suffix}", turned(order, signs))


@pytest.mark.parametrize("suffix", FORMATS)
def test_label_maps_in_48_orientations(tmp_path: Path, suffix: str) -> None:
    for order, signs in ORIENTATIONS:
        nib.save(
            nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), turned(order, signs)),
            tmp_path / "scan.nii.gz",
        )
        check_label_map(tmp_path, suffix)


ANGLE = st.floats(-3.1, 3.1)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(angles=st.tuples(ANGLE, ANGLE, ANGLE))
def test_oblique(tmp_path: Path, angles: tuple[float, float, float]) -> None:
    nib.save(
        nib.Nifti1Image(np.zeros((2, 3, 4), np.int16), oblique(angles)), tmp_path / "scan.nii.gz"
    )
    for suffix in FORMATS:
        check_round_trip(tmp_path / f"a.{suffix}", oblique(angles))
        check_label_map(tmp_path, suffix)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_both_libraries_see_one_place(tmp_path: Path, order: tuple[int, ...]) -> None:
    """ITK's reader of NIfTI must agree with the NRRD that is written."""
    volume = Volume(np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4), turned(order, (1, -1, 1)))
    write_image(tmp_path / "a.nii.gz", volume)
    write_image(tmp_path / "a.nrrd", volume)
    nifti, nrrd = (sitk.ReadImage(str(tmp_path / name)) for name in ("a.nii.gz", "a.nrrd"))
    np.testing.assert_allclose(nifti.GetDirection(), nrrd.GetDirection(), atol=1e-6)
    np.testing.assert_allclose(nifti.GetOrigin(), nrrd.GetOrigin(), atol=1e-5)
    place = nifti.TransformIndexToPhysicalPoint((1, 2, 3))
    np.testing.assert_allclose(place, (volume.affine @ (1, 2, 3, 1))[:3] * (-1, -1, 1), atol=1e-5)
