"""Label maps lie where the scan lies, as nibabel and SimpleITK themselves read both files."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from segkit.bundle.bundle import Bundle
from segkit.cli import main

Make = Callable[..., Bundle]
SUFFIXES = (".nii.gz", ".nrrd", ".mha")
MODELS = {
    "as_it_is": {"spacing": (None, None, None), "crop_to_content": True},
    "finer": {"spacing": (0.7, 0.9, 1.1), "crop_to_content": True},
    "coarser": {"spacing": (1.5, 1.5, 3.0)},
    "slices": {"dims": 2, "spacing": (1.0, 1.0, None), "crop_to_content": True},
}
LEAST = {"as_it_is": 1.0, "finer": 0.9, "coarser": 0.75, "slices": 0.85}
"""Dice that resampling leaves of a box of 6 x 5 x 3 voxels."""


def voxels() -> NDArray[np.int16]:
    """A border of zeros, tissue of 20, and in the lower corner of all axes a box of 100."""
    array = np.zeros((15, 12, 9), np.int16)
    array[2:-2, 2:-2, 2:-2] = 20
    array[2:8, 2:7, 2:5] = 100
    return array


def write(path: Path, array: NDArray[np.int16], affine: NDArray[np.float64]) -> None:
    """Without segkit."""
    if path.suffix == ".gz":
        nib.save(nib.Nifti1Image(array, affine), path)
        return
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0).copy())
    axes = np.diag([-1, -1, 1]) @ affine[:3, :3]
    edges = np.linalg.norm(axes, axis=0)
    image.SetSpacing(edges.tolist())
    image.SetDirection((axes / edges).ravel().tolist())
    image.SetOrigin((affine[:3, 3] * (-1, -1, 1)).tolist())
    sitk.WriteImage(image, str(path))


def read(path: Path) -> tuple[NDArray[np.integer], NDArray[np.float64]]:
    """Voxels and RAS+ affine, without segkit."""
    if path.suffix == ".gz":
        image = nib.load(path)
        return np.asarray(image.dataobj), image.affine
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ affine


def placed(order: tuple[int, ...], signs: tuple[int, ...], *, oblique: bool) -> NDArray[np.float64]:
    axes = np.eye(3)[:, order] * np.multiply(signs, (0.8, 1.3, 2.5))
    turned = nib.eulerangles.euler2mat(0.3, -0.2, 0.25) @ axes if oblique else axes
    return np.asarray(nib.affines.from_matvec(turned, [-91.25, 17.5, 3.75]), dtype=np.float64)


def centre(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(
        nib.affines.apply_affine(affine, np.argwhere(mask).mean(axis=0)), dtype=np.float64
    )


def check(folder: Path, affine: NDArray[np.float64], *, model: str, scan: str, out: str) -> None:
    source, target = folder / f"scan{scan}", folder / f"out{out}"
    write(source, voxels(), affine)
    assert (
        main(["predict", str(source), "-o", str(target), "-m", str(folder / model), "--overwrite"])
        == 0
    )
    (before, place), (labels, found) = read(source), read(target)
    assert labels.shape == before.shape
    # NIfTI keeps 32 bits of each number.
    np.testing.assert_allclose(found, place, rtol=1e-6, atol=1e-6)
    wanted, labelled = before > 50, labels > 0
    assert 2 * (wanted & labelled).sum() / (wanted.sum() + labelled.sum()) >= LEAST[model]
    np.testing.assert_allclose(centre(labelled, found), centre(wanted, place), atol=0.7)


@pytest.fixture
def models(make_bundle: Make, tmp_path: Path) -> Path:
    for name, changes in MODELS.items():
        make_bundle(folder=name, **changes)
    return tmp_path


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("oblique", [False, True])
def test_48_orientations(models: Path, order: tuple[int, ...], oblique: bool) -> None:
    for number, signs in enumerate(product((1, -1), repeat=3), start=order[0]):
        model = list(MODELS)[(number + oblique) % 4]
        scan, out = SUFFIXES[number % 3], SUFFIXES[(number // 2 + oblique) % 3]
        check(models, placed(order, signs, oblique=oblique), model=model, scan=scan, out=out)


@pytest.mark.parametrize("shape", [(3, 4, 5), (20, 20, 1), (1, 9, 9), (1, 1, 1)])
@pytest.mark.parametrize("model", MODELS)
def test_smaller_than_a_window_and_one_slice(
    models: Path, shape: tuple[int, int, int], model: str
) -> None:
    array = np.full(shape, 100, np.int16)
    write(models / "a.nii.gz", array, placed((2, 0, 1), (1, -1, 1), oblique=True))
    assert (
        main(
            [
                "predict",
                str(models / "a.nii.gz"),
                "-o",
                str(models / "o.nii.gz"),
                "-m",
                str(models / model),
            ]
        )
        == 0
    )
    labels, affine = read(models / "o.nii.gz")
    assert labels.shape == shape
    assert (labels == 7).all()
    np.testing.assert_array_equal(affine, nib.load(models / "a.nii.gz").affine)


def test_a_constant_scan_warns(
    make_bundle: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bundle(normalise="zscore", crop_to_content=True)
    write(tmp_path / "flat.nii.gz", np.full((9, 9, 9), 300, np.int16), np.eye(4))
    words = [
        str(tmp_path / "flat.nii.gz"),
        "-o",
        str(tmp_path / "o.nii.gz"),
        "-m",
        str(tmp_path / "model"),
    ]
    assert main(["predict", *words]) == 0
    assert (
        "flat.nii.gz: channel channel0: the scan has one constant value" in capsys.readouterr().err
    )
    assert not read(tmp_path / "o.nii.gz")[0].any()
