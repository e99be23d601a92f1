from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from segkit.io.nifti.sform_qform import header_grids, itk_grid
from segkit.volume import LPS_TO_RAS

SHAPE = (3, 4, 5)


def rotation(random: np.random.Generator) -> NDArray[np.float64]:
    axes, _ = np.linalg.qr(random.normal(size=(3, 3)))
    return np.asarray(axes)


def itk_reads(path: Path) -> NDArray[np.float64]:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(reader.GetDirection(), (3, 3)) * reader.GetSpacing()
    affine[:3, 3] = reader.GetOrigin()
    return np.asarray(LPS_TO_RAS @ affine)


@pytest.mark.parametrize("codes", [(q, s) for q in (0, 1, 2) for s in (0, 1, 2, 4)])
@pytest.mark.parametrize("unit", ["mm", "meter", "micron"])
def test_where_itk_puts_a_file(codes: tuple[int, int], unit: str, tmp_path: Path) -> None:
    """Compare with SimpleITK itself."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    random = np.random.default_rng(10 * codes[0] + codes[1])
    scale = {"mm": 1.0, "meter": 1e-3, "micron": 1e3}[unit]
    for same, factor in ((True, 1.0), (False, 1.0), (False, 1.1)):
        qform, sform = np.eye(4), np.eye(4)
        for affine in (qform, sform):
            affine[:3, :3] = rotation(random) * [1.0, 1.5, 2.0] * scale
            affine[:3, 3] = random.uniform(-50, 50, 3) * scale
        sform = qform if same else sform @ np.diag([factor, factor, factor, 1])
        image = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), None)
        image.header.set_xyzt_units(unit)
        image.set_sform(sform, codes[1])
        image.set_qform(qform, codes[0])
        image.header["qform_code"], image.header["sform_code"] = codes
        nib.save(image, tmp_path / "a.nii")
        found = itk_grid(tmp_path / "a.nii")
        assert found is not None
        np.testing.assert_allclose(found.affine, itk_reads(tmp_path / "a.nii"), atol=5e-3)


@pytest.mark.parametrize("signs", [(1, 1, -1), (-1, 1, 1), (-1, -1, 1)])
def test_where_itk_puts_a_file_whose_forms_differ_in_the_direction_of_axes(
    signs: tuple[int, int, int], tmp_path: Path
) -> None:
    """A program mirrored the sform and forgot qfac: which form ITK takes depends on the numbers."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    for seed in range(4):
        qform = np.eye(4)
        qform[:3, :3] = rotation(np.random.default_rng(seed)) * [3.0, 2.0, 1.0]
        qform[:3, 3] = 3, -4, 5
        image = nib.Nifti1Image(np.zeros(SHAPE, np.uint8), None)
        image.set_sform(qform @ np.diag([*signs, 1]), 2)
        image.set_qform(qform, 1)
        nib.save(image, tmp_path / "a.nii")
        found = itk_grid(tmp_path / "a.nii")
        assert found is not None
        np.testing.assert_allclose(found.affine, itk_reads(tmp_path / "a.nii"), atol=5e-3)


def test_other_formats_have_one_reading(tmp_path: Path) -> None:
    assert header_grids(tmp_path / "a.nrrd") == {}
    assert itk_grid(tmp_path / "a.nrrd") is None
