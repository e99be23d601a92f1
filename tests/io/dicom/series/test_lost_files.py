"""Files beside DICOM that cannot be read: counted and named, and an error if a slice is lost."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io.dicom import open_dicom
from segkit.io.dicom.files.detection import files_of
from segkit.io.dicom.files.dicom_file import DicomFile
from segkit.io.dicom.series.lost_files import suspicious

VOXELS = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)


@pytest.fixture
def scan(dicom: Any, tmp_path: Path) -> Path:
    """Write four slices IM0.dcm to IM3.dcm."""
    for index in range(4):
        own = {
            "number": index + 1,
            "ImagePositionPatient": [0, 0, index],
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.2",
        }
        dicom.file(tmp_path / "s" / f"IM{index}.dcm", VOXELS[..., index].T.copy(), **own)
    return tmp_path / "s"


def link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere/at/all")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "cut in the header": (
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        "DICOM that is cut short",
    ),
    "cut behind the series": (
        lambda path: path.write_bytes(path.read_bytes()[:600]),
        "DICOM that is cut short",
    ),
    "cut in the pixels": (
        lambda path: path.write_bytes(path.read_bytes()[:-4]),
        "DICOM that is cut short",
    ),
    "text": (lambda path: path.write_text("<html>504 Gateway Time-out</html>"), "an HTML page"),
    "noise": (lambda path: path.write_bytes(b"\xff" * 900), "no DICOM"),
    "pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
        "a pointer of Git LFS without content",
    ),
    "link": (link_to_nothing, "a link to /nowhere/at/all, which is not there"),
    "pipe": (pipe, "a pipe"),
    "device": (lambda path: (path.unlink(), path.symlink_to("/dev/zero")), "a device"),
}


@pytest.mark.parametrize(("damage", "problem"), DAMAGE.values(), ids=DAMAGE)
def test_the_last_slice_is_missed(scan: Path, damage: Callable[[Path], Any], problem: str) -> None:
    """The loss leaves no gap."""
    damage(scan / "IM3.dcm")
    with pytest.raises(
        InputError, match=rf"all slices of series 1, found 1 file .*: IM3\.dcm \({problem}"
    ):
        open_dicom(scan)


def test_other_files_are_not_missed(scan: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in (
        "Thumbs.db",
        ".DS_Store",
        "._IM1.dcm",
        "README",
        "notes.txt",
        "VERSION",
        "LOCKFILE",
        "viewer.exe",
    ):
        (scan / name).write_bytes(b"")
    (scan / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (scan / "log.1").write_text("done")
    assert open_dicom(scan).grid.shape == (2, 3, 4)
    assert not caplog.text


def test_an_empty_file_among_names_of_words(scan: Path) -> None:
    for index, word in enumerate(("apple", "banana", "cherry", "date")):
        (scan / f"IM{index}.dcm").rename(scan / word)
    (scan / "date").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"1 file that cannot be read and probably belong to it: date \(empty\)"
    ):
        open_dicom(scan)


def test_a_file_with_another_name_is_reported(scan: Path, caplog: pytest.LogCaptureFixture) -> None:
    (scan / "other.dcm").write_bytes(b"")
    (scan / "elsewhere").mkdir()
    (scan / "elsewhere" / "IM9.dcm").write_bytes(b"")
    source = open_dicom(scan)
    assert source.notes == (
        "2 files that cannot be read are left out: other.dcm (empty), IM9.dcm (empty)",
    )
    assert source.notes[0] in caplog.text


def test_many_are_counted(scan: Path) -> None:
    for index in range(4, 30):
        (scan / f"IM{index}.dcm").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"found 26 files .*: IM4\.dcm \(empty\), .* and 21 more\. Copy them again"
    ):
        open_dicom(scan)


def test_files_of_another_series_in_the_folder(dicom: Any, scan: Path) -> None:
    """Series A is IM0 to IM3 and series B IM10 to IM13: a file after B is no slice of A."""
    for index in range(4):
        own = {
            "number": index + 1,
            "ImagePositionPatient": [0, 0, index],
            "series": "1.9",
            "SeriesNumber": 2,
        }
        dicom.file(scan / f"IM{10 + index}.dcm", VOXELS[..., index].T.copy(), **own)
    (scan / "IM14.dcm").write_bytes(b"")
    assert open_dicom(scan, "1").notes == (
        "1 file that cannot be read is left out: IM14.dcm (empty)",
    )
    with pytest.raises(InputError, match="all slices of series 2"):
        open_dicom(scan, "2")


def test_a_file_that_is_cut_short_names_its_series(dicom: Any, scan: Path) -> None:
    cut = dicom.file(scan / "x" / "y.dcm", VOXELS[..., 0].T.copy(), series="1.9", number=7)
    cut.write_bytes(cut.read_bytes()[:-4])
    assert "y.dcm (DICOM that is cut short)" in open_dicom(scan).notes[0]
    cut = dicom.file(cut, VOXELS[..., 0].T.copy(), number=7)
    cut.write_bytes(cut.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"belong to it: y\.dcm \(DICOM that is cut short\)"):
        open_dicom(scan)


def test_a_damaged_copy_is_no_loss(
    dicom: Any, scan: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (scan / "copy of IM3.dcm").write_bytes((scan / "IM3.dcm").read_bytes()[:-4])
    (scan / "IM3.dcm.part").write_bytes(b"")
    assert open_dicom(scan).notes == ()
    assert not caplog.text


def test_an_incomplete_download(scan: Path) -> None:
    (scan / "IM4.dcm.part").write_bytes(b"")
    with pytest.raises(InputError, match=r"IM4\.dcm\.part \(empty\)"):
        open_dicom(scan)


def test_names_that_are_hashes(dicom: Any, tmp_path: Path) -> None:
    for index, name in enumerate(("a7f0", "b81c", "c0de", "9fa2")):
        own = {"number": index + 1, "ImagePositionPatient": [0, 0, index]}
        dicom.file(tmp_path / "s" / name, VOXELS[..., index].T.copy(), **own)
    (tmp_path / "s" / "e1d4").write_bytes(b"")
    with pytest.raises(InputError, match=r"belong to it: e1d4 \(empty\)"):
        open_dicom(tmp_path / "s")


def test_members_of_a_zip(scan: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(scan.iterdir()):
            archive.write(path, path.name)
        archive.writestr("IM4.dcm", b"")
        archive.writestr("README.txt", b"")
    with pytest.raises(
        InputError, match=r"found 1 file that cannot be read .*: IM4\.dcm \(empty\)"
    ):
        open_dicom(tmp_path / "a.zip")


def test_a_linked_folder_is_named(scan: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (scan / "more").symlink_to(tmp_path / "other")
    assert open_dicom(scan).notes[0].endswith("more (a link to a folder, which is not followed)")


def test_linked_files_are_read(scan: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    for path in scan.iterdir():
        (tmp_path / "links" / path.name).symlink_to(path)
    source = open_dicom(tmp_path / "links")
    assert (source.grid.shape, source.notes) == ((2, 3, 4), ())


def test_no_file_can_be_read(scan: Path) -> None:
    for path in scan.iterdir():
        path.write_bytes(b"")
    with pytest.raises(
        InputError, match=r"no file that begins as DICOM does, and 4 files that cannot be"
    ):
        open_dicom(scan)


def test_a_folder_that_cannot_be_entered(scan: Path) -> None:
    (scan / "closed").mkdir(mode=0)
    found = {str(each) for each in suspicious(files_of(scan))}
    (scan / "closed").chmod(0o700)
    assert found == (set() if os.geteuid() == 0 else {"closed (a folder that cannot be read)"})
    assert files_of(scan)[DicomFile(scan / "IM0.dcm")] == ""


@pytest.mark.parametrize(
    ("elements", "note"),
    [
        (
            {"ImagesInAcquisition": 6},
            "the headers announce 6 images (ImagesInAcquisition), but there are 4",
        ),
        ({"ImagesInAcquisition": 4}, ""),
        ({"ImagesInAcquisition": 6, "ImageType": ["DERIVED", "SECONDARY", "AXIAL"]}, ""),
        (
            {"NumberOfSlices": 5, "Modality": "PT"},
            "the headers announce 5 images (NumberOfSlices), but there are 4",
        ),
    ],
)
def test_headers_count_the_images(
    dicom: Any, tmp_path: Path, elements: dict[str, Any], note: str
) -> None:
    notes = open_dicom(dicom.series(tmp_path / "s", VOXELS, **elements)).notes
    assert bool(notes) == bool(note)
    assert all(each.startswith(note) for each in notes)
