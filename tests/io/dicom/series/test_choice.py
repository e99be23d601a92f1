"""The series that is meant is opened; without a choice, several are listed."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError, UsageError
from segkit.io.dicom import dicom_scan, dicom_scans, open_dicom

VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


@pytest.fixture
def study(dicom: Any, tmp_path: Path) -> Path:
    """Write series 2 'Early' and 5 'Late', and a localizer of two directions."""
    folder = tmp_path / "study"
    dicom.series(folder / "b", VOXELS, series="1.5", SeriesNumber=5, SeriesDescription="Late")
    dicom.series(
        folder / "a", VOXELS[..., :3], series="1.2", SeriesNumber=2, SeriesDescription="Early"
    )
    scout = {"series": "1.1", "SeriesNumber": 1, "SeriesDescription": "Scout"}
    dicom.file(folder / "s" / "1", VOXELS[0], **scout)
    dicom.file(
        folder / "s" / "2", VOXELS[0], number=2, ImageOrientationPatient=[0, 1, 0, 0, 0, 1], **scout
    )
    return folder


@pytest.mark.parametrize(
    ("choice", "slices"), [("2", 3), ("3", 4), ("1.5", 4), ("Early", 3), ("late", 4)]
)
def test_chosen_by_number_uid_or_description(study: Path, choice: str, slices: int) -> None:
    assert open_dicom(study, choice).grid.shape == (2, 3, slices)


def test_several_volumes_are_listed(study: Path) -> None:
    with pytest.raises(UsageError) as caught:
        open_dicom(study)
    assert str(caught.value).splitlines() == [
        f"{study}: 3 series, 2 of them volumes; choose by --series, such as --series 1, or "
        "--series all for each:",
        "  1  CT, series 1, 'Scout', 2 images of 4 x 3, 1.1",
        "  2  CT, series 2, 'Early', 3 images of 2 x 3, 1.2",
        "  3  CT, series 5, 'Late', 4 images of 2 x 3, 1.5",
    ]


def test_the_only_volume_is_opened(study: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in (study / "b").iterdir():
        path.unlink()
    with caplog.at_level(logging.INFO):
        assert open_dicom(study).series.description == "Early"
    assert "of 2 series, one is a volume: CT, series 2, 'Early'" in caplog.text


def test_the_only_volume_of_several_studies_is_not_opened(dicom: Any, tmp_path: Path) -> None:
    """Files of two patients in one folder."""
    dicom.series(tmp_path / "d", VOXELS, series="1.1")
    dicom.file(tmp_path / "d" / "x", VOXELS[0], series="1.2", StudyInstanceUID="9")
    with pytest.raises(
        UsageError, match="d: 2 series of 2 studies, 1 of them volumes; choose by --series"
    ):
        open_dicom(tmp_path / "d")


@pytest.mark.parametrize(("choice", "found"), [("4", "no series fits"), ("7.7", "no series fits")])
def test_choice_that_fits_none(study: Path, choice: str, found: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_dicom(study, choice)
    assert str(caught.value).startswith(
        f"{study}: --series {choice}: {found}; give the first number of one of these lines, or its "
        "whole description:\n  1  CT"
    )


def test_description_of_two_series(dicom: Any, study: Path) -> None:
    dicom.series(study / "c", VOXELS, series="1.6", SeriesNumber=6, SeriesDescription="Late")
    with pytest.raises(UsageError, match="--series Late: 2 series fit"):
        open_dicom(study, "Late")


def test_no_volume_among_several(dicom: Any, tmp_path: Path) -> None:
    for number in (1, 2):
        dicom.file(tmp_path / "s" / str(number), VOXELS[0], series=f"1.{number}")
    with pytest.raises(UsageError, match="2 series, none of them a volume of several slices"):
        open_dicom(tmp_path / "s")


def test_all_series(study: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = dicom_scans(study)
    assert {name: scan.source.grid.shape[2] for name, scan in found.items()} == {"a": 3, "b": 4}
    assert "series 1 is left out" in caplog.text


def test_names_of_series_that_share_a_folder(dicom: Any, tmp_path: Path) -> None:
    dicom.series(tmp_path / "s", VOXELS, series="1.2", names=[0, 1, 2, 3])
    dicom.series(tmp_path / "s", VOXELS, series="1.3", names=[4, 5, 6, 7], SeriesNumber=3)
    assert list(dicom_scans(tmp_path / "s")) == ["s_series1", "s_series2"]


def test_a_scan_that_cannot_be_used_is_not_skipped(dicom: Any, study: Path) -> None:
    for path in (study / "a").iterdir():
        path.unlink()
    dicom.series(study / "a", VOXELS, series="1.2", SeriesNumber=2, PixelSpacing=None)
    assert "expected PixelSpacing" in str(dicom_scans(study)["a"])
    with pytest.raises(UsageError, match="3 series, 2 of them volumes"):
        open_dicom(study)
    for path in (study / "b").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="expected PixelSpacing"):
        open_dicom(study)


def test_a_slice_that_continues_the_volume_must_be_chosen(dicom: Any, tmp_path: Path) -> None:
    """The last slice has a SeriesInstanceUID of its own."""
    dicom.series(tmp_path / "s", VOXELS[..., :3], series="1.1")
    last = {"series": "1.2", "number": 4}
    dicom.file(
        tmp_path / "s" / "3", VOXELS[..., 3].T.copy(), ImagePositionPatient=[0, 0, 3], **last
    )
    with pytest.raises(UsageError, match="2 series, 1 of them volumes; choose by --series"):
        open_dicom(tmp_path / "s")
    assert open_dicom(tmp_path / "s", "1").grid.shape == (2, 3, 3)
    dicom.file(
        tmp_path / "s" / "3", VOXELS[..., 3].T.copy(), ImagePositionPatient=[0, 0, 1], **last
    )
    assert open_dicom(tmp_path / "s").grid.shape == (2, 3, 3)


def test_nothing_that_is_a_scan(dicom: Any, tmp_path: Path) -> None:
    dicom.series(tmp_path / "s", VOXELS[..., :2], PixelSpacing=None)
    with pytest.raises(
        InputError, match="expected at least one series that is a volume, found none of 1"
    ):
        dicom_scans(tmp_path / "s")


def test_derived_objects_are_no_scans(dicom: Any, tmp_path: Path) -> None:
    dicom.series(tmp_path / "s", VOXELS)
    dicom.series(tmp_path / "s" / "seg", VOXELS, series="1.9", Modality="SEG")
    assert open_dicom(tmp_path / "s").series.uid == "1.2.3.1"
    with pytest.raises(
        InputError,
        match=r"expected images, found DICOM, but no image that could be a scan \(4 x SEG\)",
    ):
        open_dicom(tmp_path / "s" / "seg")


def test_damaged_file(dicom: Any, tmp_path: Path) -> None:
    dicom.series(tmp_path / "s", VOXELS)
    (tmp_path / "s" / "x").write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x00\x00XX" + b"\xff" * 40)
    with pytest.raises(
        InputError, match=r"1 file that cannot be read .* belong to it: x \(DICOM that cannot be"
    ):
        open_dicom(tmp_path / "s")


def test_choice_without_dicom(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"")
    with pytest.raises(UsageError, match=r"--series 1: .*a\.nii is not DICOM"):
        dicom_scan(tmp_path / "a.nii", "1")
    assert dicom_scan(tmp_path / "a.nii") is None


def test_without_the_extra(dicom: Any, tmp_path: Path) -> None:
    """The process of this test cannot import pydicom."""
    dicom.series(tmp_path / "s", VOXELS)
    code = (
        "import sys; sys.modules['pydicom'] = None; "
        "from segkit.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    run = [sys.executable, "-c", code, "info", str(tmp_path / "s")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs pydicom, which is not installed: pip install 'segkit[dicom]'" in done.stderr
