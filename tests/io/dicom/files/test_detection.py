"""DICOM is told by content; zips that cannot be trusted are refused."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io import read_volume
from segkit.io.dicom.files.detection import dicom_files, is_dicom, looks_like_dicom, scan_name

VOXELS = np.arange(24, dtype=np.int16).reshape(2, 3, 4)


def packed(folder: Path, target: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(target, "w", method) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return target


def test_start_of_a_file() -> None:
    assert looks_like_dicom(bytes(128) + b"DICM")
    assert looks_like_dicom(
        b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100".ljust(132, b"\0")
    )  # without a preamble
    assert looks_like_dicom(b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100".ljust(132, b"\0"))
    assert not looks_like_dicom(b"DICM")
    assert not looks_like_dicom(
        b"\x08\x00text that is long enough to be a file of another kind".ljust(132, b"x")
    )


def test_files_folders_and_zips(dicom: Any, tmp_path: Path) -> None:
    dicom.series(tmp_path / "study" / "deep", VOXELS)
    (tmp_path / "study" / "DICOMDIR").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "study" / "notes.txt").write_text("no scan")
    assert is_dicom(tmp_path / "study")
    assert [file.name for file in dicom_files(tmp_path / "study")] == ["000", "001", "002", "003"]
    assert is_dicom(tmp_path / "study" / "deep" / "000")
    assert not is_dicom(tmp_path / "study" / "notes.txt")
    assert not is_dicom(tmp_path / "nowhere")
    (tmp_path / "study" / "study_seg.nii.gz").write_bytes(b"")
    assert is_dicom(tmp_path / "study")
    (tmp_path / "study" / "scan.nii").write_bytes(b"")
    assert not is_dicom(tmp_path / "study")
    assert is_dicom(tmp_path / "study" / "deep")


def test_scan_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "case.7").mkdir()
    monkeypatch.chdir(tmp_path / "case.7")
    assert scan_name(Path()) == "case.7"
    assert scan_name(Path("study.2.zip")) == "study.2"
    assert scan_name(Path("a.dcm")) == "a"
    assert scan_name(Path("a.nii.gz")) == "a"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_reads_as_the_folder_does(dicom: Any, tmp_path: Path, method: int) -> None:
    folder = dicom.series(tmp_path / "study" / "one", VOXELS, names=[3, 1, 0, 2])
    archive = packed(tmp_path / "study", tmp_path / "study.zip", method)
    np.testing.assert_array_equal(read_volume(archive).array, read_volume(folder).array)
    np.testing.assert_array_equal(read_volume(archive).affine, read_volume(folder).affine)


@pytest.mark.parametrize("name", ["../a", "/a", "b/../../a", "C:\\a", "..\\a"])
def test_zip_that_leads_out_of_itself(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, bytes(128) + b"DICM")
    with pytest.raises(
        InputError,
        match=r"expected a plain zip of DICOM files, found the member .* leads outside the zip",
    ):
        dicom_files(tmp_path / "a.zip")


def test_encrypted_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"x" * 200)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match="found the member 'a', which is encrypted"):
        dicom_files(tmp_path / "a.zip")


def test_zip_that_states_more_than_it_can_hold(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"x" * 200)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    start = content.index(b"PK\x01\x02") + 24
    content[start : start + 4] = (2**31).to_bytes(4, "little")
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(
        InputError, match=r"found a zip of \d+ bytes that claims to hold 2147483648"
    ):
        dicom_files(tmp_path / "a.zip")


def test_member_that_does_not_fit(
    dicom: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dicom.series(tmp_path / "s", VOXELS)
    archive = packed(tmp_path / "s", tmp_path / "s.zip")
    monkeypatch.setattr("segkit.io.limits.available_memory", lambda: 100)
    with pytest.raises(InputError, match=r"s\.zip:000: expected a scan that fits"):
        read_volume(archive)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more"])
def test_no_zip(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match="expected a plain zip of DICOM files, found"):
        dicom_files(tmp_path / "a.zip")


def test_damaged_member(dicom: Any, tmp_path: Path) -> None:
    dicom.series(tmp_path / "s", VOXELS)
    archive = packed(tmp_path / "s", tmp_path / "s.zip", zipfile.ZIP_STORED)
    content = archive.read_bytes()
    place = content.index(VOXELS[..., 1].T.tobytes())
    archive.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    with pytest.raises(InputError, match=r"s\.zip:001: .* found Bad CRC-32"):
        read_volume(archive)


def test_no_dicom(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"text")
    with pytest.raises(InputError, match="expected DICOM, found no file that begins as DICOM does"):
        read_volume(tmp_path / "a.dcm")
    with pytest.raises(InputError, match=r"b\.dcm: expected a file, found no such file"):
        read_volume(tmp_path / "b.dcm")


def test_a_zip_without_dicom_must_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "scan.nii.gz").write_bytes(b"a scan")
    archive = packed(tmp_path / "s", tmp_path / "s.zip", zipfile.ZIP_STORED)
    with pytest.raises(InputError, match="A zip may hold DICOM only: unpack it"):
        read_volume(archive)


def test_deflated_file_that_unpacks_to_too_much(
    dicom: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = dicom.file(tmp_path / "a", np.zeros((500, 500), np.int16))
    data = dicom.pydicom.dcmread(scan)
    data.file_meta.TransferSyntaxUID = dicom.pydicom.uid.DeflatedExplicitVRLittleEndian
    data.save_as(scan)
    assert read_volume(scan).array.shape == (1, 500, 500, 1)
    monkeypatch.setattr("segkit.io.limits.available_memory", lambda: 400_000)
    with pytest.raises(
        InputError, match=r"a: expected a scan that fits into the .* found a header that promises"
    ):
        read_volume(scan)
