"""Folders of several studies and of zips."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import UsageError
from segkit.io.dicom.files.folders import study_parts

VOXELS = np.zeros((4, 4, 2), np.int16)


@pytest.fixture
def study(dicom: Any, tmp_path: Path) -> Any:
    """study("a/b", 7) writes a series of the study 1.7 into the folder a/b."""

    def write(name: str, number: int, **elements: Any) -> Path:
        own = {"StudyInstanceUID": f"1.{number}", "series": f"1.{number}.{len(name)}"}
        return dicom.series(tmp_path / "d" / name, VOXELS, **own | elements)

    return write


def found(folder: Path) -> dict[str, str]:
    return {
        name: place.relative_to(folder).as_posix() for name, place in study_parts(folder).items()
    }


def zipped(folder: Path) -> None:
    """Replace a folder by a zip of it."""
    with zipfile.ZipFile(folder.with_suffix(".zip"), "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
            path.unlink()
    folder.rmdir()


def test_one_study_in_several_folders_is_one_scan(study: Any, tmp_path: Path) -> None:
    for name in ("a", "b/deep"):
        study(name, 1)
    assert found(tmp_path / "d") == {}


def test_subfolders_of_several_studies(study: Any, tmp_path: Path) -> None:
    for name, number in (("site/p10/t1", 1), ("site/p10/t22", 1), ("site/p2", 2), ("other/p3", 3)):
        study(name, number)
    assert found(tmp_path / "d") == {"other": "other", "site_p2": "site/p2", "site_p10": "site/p10"}
    assert found(tmp_path / "d" / "site") == {"p2": "p2", "p10": "p10"}
    assert found(tmp_path / "d" / "site" / "p10") == {}


def test_each_zip_is_a_scan(study: Any, tmp_path: Path) -> None:
    zipped(study("p1", 1))
    assert found(tmp_path / "d") == {"p1": "p1.zip"}
    study("p2", 2)
    assert found(tmp_path / "d") == {"p1": "p1.zip", "p2": "p2"}


def test_results_are_no_scans(study: Any, tmp_path: Path, dicom: Any) -> None:
    for name, number in (("p1", 1), ("p2", 2)):
        study(name, number)
    folder = tmp_path / "d"
    dicom.file(
        folder / "out" / "p1.dcm",
        np.zeros((4, 4), np.int16),
        Modality="SEG",
        StudyInstanceUID="1.1",
    )
    dicom.file(
        folder / "p1_seg.dcm", np.zeros((4, 4), np.int16), Modality="SEG", StudyInstanceUID="1.1"
    )
    for name in ("p1_seg.nii.gz", "p1_a_seg.nii.gz", "p1_seg_preview.png"):
        (folder / name).touch()
    assert found(folder) == {"p1": "p1", "p2": "p2"}


def test_scans_of_other_formats_come_first(study: Any, tmp_path: Path) -> None:
    for name, number in (("p1", 1), ("p2", 2)):
        study(name, number)
    (tmp_path / "d" / "p3_seg.nii.gz").touch()  # the output of none of these parts
    assert found(tmp_path / "d") == {}


def test_images_directly_in_the_folder_make_it_one_scan(study: Any, tmp_path: Path) -> None:
    for name, number in ((".", 1), ("p2", 2)):
        study(name, number)
    assert found(tmp_path / "d") == {}


def test_a_damaged_file_has_no_study(study: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        study(name, 1)
    (tmp_path / "d" / "a" / "000").write_bytes(bytes(128) + b"DICM\x02\0\0\0UL")
    assert found(tmp_path / "d") == {}


def test_a_study_that_has_lost_all_its_images_is_one(study: Any, tmp_path: Path) -> None:
    for name, number in (("p1", 1), ("p2", 2), ("p3", 3)):
        study(name, number)
    for path in (tmp_path / "d" / "p3").iterdir():
        path.write_bytes(b"")
    (tmp_path / "d" / "logs").mkdir()
    (tmp_path / "d" / "logs" / "log.1").write_text("done")
    (tmp_path / "d" / "logs" / "notes.txt").write_text("done")
    assert found(tmp_path / "d") == {"p1": "p1", "p2": "p2", "p3": "p3"}


def test_broken_links_to_studies_are_parts(study: Any, tmp_path: Path) -> None:
    for name, number in (("p1", 1), ("p2", 2)):
        study(name, number)
    (tmp_path / "d" / "anna").symlink_to("/nowhere/anna")
    (tmp_path / "d" / "single.dcm").write_bytes(b"")
    (tmp_path / "d" / "VERSION").write_bytes(b"")
    assert found(tmp_path / "d") == {"anna": "anna", "p1": "p1", "p2": "p2", "single": "single.dcm"}


def test_two_parts_with_one_name(study: Any, tmp_path: Path) -> None:
    zipped(study("p1", 1))
    study("p1", 2)
    with pytest.raises(
        UsageError, match=r"two scans are called 'p1' .*: \S*/p1 and \S*/p1\.zip\. Rename one"
    ):
        study_parts(tmp_path / "d")


@pytest.mark.parametrize("kind", ["file", "nothing", "empty"])
def test_no_folder_of_dicom(tmp_path: Path, kind: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert study_parts(tmp_path / kind) == {}
