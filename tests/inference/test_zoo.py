"""Every real file of the zoo with `segkit predict`: predicted on its own grid, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray

from segkit.bundle.bundle import Bundle
from segkit.cli import main
from segkit.files.names import NIFTI, READABLE, suffix_of
from segkit.io import read_volume
from segkit.volume import Grid

REFUSED = {
    "complex.nii.gz": "found complex numbers",
    "shear.nii.gz": "found a shear",
    "ct_perfusion.nii.gz": "expected 1 channel (channel0), found 3",
    "nb_example4d.nii.gz": "found 2",
    "nb_example_nifti2.nii.gz": "found 2",
    "nb_functional.nii": "found 20",
    "pcasl.nii.gz": "found 10",
    "BallBinary30x30x30_byteskip_minus_five.nhdr": "a 'byte skip' that leads out of the file",
    "test1d_ascii.nrrd": "expected 2 or 3 voxel axes",
    "test_customFields.nrrd": "expected 2 or 3 voxel axes",
    "test_simple4d_raw.nrrd": "a fourth axis",
}


def grid(path: Path) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Shape and RAS+ affine as nibabel or SimpleITK itself gives them."""
    if suffix_of(path) in NIFTI:
        image = nib.load(path)
        return (*image.shape, 1)[:3], image.affine
    image = sitk.ImageFileReader()  # of bzip2 SimpleITK reads the header only
    image.SetFileName(str(path))
    image.ReadImageInformation()
    count = image.GetDimension()
    affine = np.eye(4)
    affine[:count, :count] = np.reshape(image.GetDirection(), (count, count)) * image.GetSpacing()
    affine[:count, 3] = image.GetOrigin()
    return (*image.GetSize(), 1)[:3], np.diag([-1, -1, 1, 1]) @ affine


def test_one_by_one(
    make_bundle: Callable[..., Bundle],
    tmp_path: Path,
    data_root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_bundle(patch=(64, 64, 64), spacing=(None, None, None))
    scans = sorted(path for path in (data_root / "zoo").rglob("*") if path.is_file())
    for scan in scans:
        out = tmp_path / f"out{'.nii.gz' if suffix_of(scan) in NIFTI else '.nrrd'}"
        words = [
            str(scan),
            "-m",
            str(tmp_path / "model"),
            "-o",
            str(out),
            "--overlap",
            "0",
            "--overwrite",
        ]
        code, err = main(["predict", *words]), capsys.readouterr().err
        assert "Traceback" not in err
        if scan.name in REFUSED or suffix_of(scan) not in READABLE:
            assert code == 3, scan
            assert REFUSED.get(scan.name, f"found the suffix '{suffix_of(scan)}'") in err
        else:
            assert code == 0, err
            assert grid(out)[0] == grid(scan)[0], scan
            np.testing.assert_allclose(grid(out)[1], grid(scan)[1], atol=1e-6, err_msg=str(scan))


REFUSED_DICOM = {
    "failing_notavolume_001": (3, "4 groups of images in series 1 that differ in acquisition"),
    "failing_sliceincrement_001": (
        3,
        "missing slices: 1 at 33.11 mm along the normal, between IM-0001-0009",
    ),
    "failing_sliceincrement_002": (
        3,
        "missing slices: 1 at -133 mm along the normal, between IM-0001-0003",
    ),
    "failing_sliceorientation_001": (3, "groups of images in series 1 that differ in"),
    "generic_rgb_001": (3, "expected 1 channel (channel0), found 3"),
    "US-YBR_FULL_422-EVRLE.dcm": (3, "expected 1 channel (channel0), found 3"),
    "no-pixel-data.dcm": (
        3,
        "expected images, found DICOM, but no image that could be a scan (1 x SR)",
    ),
    "no-pixel-spacing.dcm": (3, "expected 1 channel (channel0), found 3"),
    "createAllTransferSyntaxes.sh": (3, "found the suffix '.sh'"),
    "Study1": (2, "3 series, 3 of them volumes; choose by --series"),
}


def itk_grid(place: Path) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """Return shape and RAS+ affine as ITK reads the files of a series; only the tilt is missing."""
    files = (
        sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(place))
        if place.is_dir()
        else [str(place)]
    )
    image = sitk.ReadImage(files[0] if len(files) == 1 else files, imageIO="GDCMImageIO")
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return image.GetSize(), np.diag([-1, -1, 1, 1]) @ affine


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dicom(
    make_bundle: Callable[..., Bundle],
    tmp_path: Path,
    data_root: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("pydicom", reason="the extra [dicom] is not installed")
    make_bundle(patch=(64, 64, 64), spacing=(None, None, None))
    places = [
        path
        for path in sorted((data_root / "dicom_hard").iterdir())
        if path.name != "transfer_syntaxes"
    ]
    places += sorted((data_root / "dicom_hard" / "transfer_syntaxes").iterdir())
    places += [data_root / "dicom" / "Study1", *sorted((data_root / "dicom" / "Study1").iterdir())]
    for place in places:
        out = tmp_path / "out.nii.gz"
        words = [
            str(place),
            "-m",
            str(tmp_path / "model"),
            "-o",
            str(out),
            "--overlap",
            "0",
            "--overwrite",
        ]
        code, err = main(["predict", *words]), capfd.readouterr().err
        expected = REFUSED_DICOM.get(place.name, (0, ""))
        assert code == expected[0], err
        assert expected[1] in err
        if code == 0:
            shape, affine = itk_grid(place)
            if "gantry" in place.name:
                affine[:3, 2] = read_volume(place).affine[:3, 2]
            assert nib.load(out).shape == shape, place
            # Which end of a multi-frame file is the first differs; where the corners lie does not.
            ours, theirs = (
                sorted(map(tuple, Grid(shape, each).corners().round(3)))
                for each in (nib.load(out).affine, affine)
            )
            np.testing.assert_allclose(ours, theirs, atol=2e-3, err_msg=str(place))


def test_as_a_folder(
    make_bundle: Callable[..., Bundle],
    tmp_path: Path,
    data_root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_bundle(patch=(64, 64, 64), spacing=(None, None, None))
    words = ["-m", str(tmp_path / "model"), "-o", str(tmp_path / "out"), "--overlap", "0"]
    assert main(["predict", str(data_root / "zoo" / "mha"), *words]) == 0
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 7
    assert main(["predict", str(data_root / "zoo" / "nrrd"), *words]) == 2
    assert (
        "two scans are called 'BallBinary30x30x30' and would have the same output"
        in capsys.readouterr().err
    )
