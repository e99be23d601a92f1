"""No more of a file is unpacked than its header promises; pixels that are cut short are noticed."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io import read_volume
from segkit.io.dicom.files.dicom_file import DicomFile
from segkit.io.dicom.headers import read_image_header

PIXELS = np.arange(400 * 500, dtype=np.int16).reshape(400, 500)
LONG = b"\x55" * 3_000_000
"""Bytes that are harmless, and more than twice the pixels."""


@pytest.fixture
def low_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.io.dicom.headers._BYTES_BESIDE_PIXELS", 1 << 16)


def deflated(dicom: Any, path: Path, more: bytes = b"") -> Path:
    """Write a file of the deflated transfer syntax, with more bytes behind its last element."""
    plain = dicom.pydicom.dcmread(dicom.file(path, PIXELS))
    plain.file_meta.TransferSyntaxUID = dicom.pydicom.uid.DeflatedExplicitVRLittleEndian
    plain.save_as(path)
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    unpacked = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(content[:start] + packer.compress(unpacked + more) + packer.flush())
    return path


def zipped(path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", method) as archive:
        archive.write(path, path.name)
    return path.with_suffix(".zip")


def test_deflated_files_are_read(dicom: Any, tmp_path: Path, low_bound: None) -> None:
    scan = deflated(dicom, tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_volume(scan).array[0, ..., 0].T, PIXELS)
    np.testing.assert_array_equal(read_volume(zipped(scan)).array[0, ..., 0].T, PIXELS)


def test_deflated_file_with_more_than_its_header_promises(
    dicom: Any, tmp_path: Path, low_bound: None
) -> None:
    scan = deflated(dicom, tmp_path / "a.dcm", LONG)
    with pytest.raises(
        InputError,
        match=r"a\.dcm: expected at most 865\.5 KB unpacked, by the pixels .* found more",
    ):
        read_volume(scan)


def test_only_the_beginning_is_unpacked_for_a_header(
    dicom: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pixels lie behind the part that may be unpacked for the header."""
    monkeypatch.setattr("segkit.io.dicom.headers._HEADER_BYTES", 1 << 16)
    for file in (
        deflated(dicom, tmp_path / "a.dcm"),
        zipped(dicom.file(tmp_path / "b.dcm", PIXELS)),
    ):
        found = read_image_header(DicomFile(file, "b.dcm" if file.suffix == ".zip" else ""))
        assert (found.pixels, found.is_complete, found.header.Rows) == ("PixelData", True, 400)


def test_deflated_file_that_ends_too_soon(dicom: Any, tmp_path: Path) -> None:
    scan = deflated(dicom, tmp_path / "a.dcm")
    scan.write_bytes(scan.read_bytes()[:-20])
    with pytest.raises(
        InputError, match="expected a complete deflated file, found one that ends too early"
    ):
        read_volume(scan)


def test_deflated_noise(dicom: Any, tmp_path: Path) -> None:
    scan = deflated(dicom, tmp_path / "a.dcm")
    content = scan.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    scan.write_bytes(content[:start] + b"\xff" * 400)
    with pytest.raises(InputError, match="expected DICOM that follows its standard, found error"):
        read_volume(scan)


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_member_with_more_than_its_header_promises(
    dicom: Any, tmp_path: Path, low_bound: None, method: int
) -> None:
    scan = dicom.file(tmp_path / "a.dcm", PIXELS)
    np.testing.assert_array_equal(read_volume(zipped(scan, method)).array[0, ..., 0].T, PIXELS)
    scan.write_bytes(scan.read_bytes() + LONG)
    assert read_volume(scan).array.size == PIXELS.size  # a file on disk is not unpacked
    with pytest.raises(InputError, match=r"a\.zip:a\.dcm: expected at most 865\.5 KB unpacked"):
        read_volume(zipped(scan, method))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_member_with_more_than_the_zip_promises(dicom: Any, tmp_path: Path, method: int) -> None:
    """The directory of the zip states 1000 bytes less than the member has."""
    scan = dicom.file(tmp_path / "a.dcm", PIXELS)
    archive = zipped(scan, method)
    content, size = bytearray(archive.read_bytes()), scan.stat().st_size
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = (size - 1000).to_bytes(4, "little")
    archive.write_bytes(content)
    with pytest.raises(
        InputError, match=r"found Bad CRC-32|cannot be read|pixels that can be decoded"
    ):
        read_volume(archive)


def test_pixels_that_are_cut(dicom: Any, tmp_path: Path) -> None:
    scan = dicom.file(tmp_path / "a.dcm", PIXELS)
    assert read_image_header(DicomFile(scan)).is_complete
    scan.write_bytes(scan.read_bytes()[:-1])
    assert not read_image_header(DicomFile(scan)).is_complete


def test_fragments_that_are_cut(dicom: Any, tmp_path: Path) -> None:
    plain = dicom.pydicom.dcmread(dicom.file(tmp_path / "a.dcm", PIXELS))
    plain.compress(dicom.pydicom.uid.RLELossless)
    plain.save_as(tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.dcm").array[0, ..., 0].T, PIXELS)
    content = (tmp_path / "a.dcm").read_bytes()
    for end, whole in ((None, True), (-8, True), (-9, False), (-1000, False)):
        (tmp_path / "b.dcm").write_bytes(content[:end])
        assert read_image_header(DicomFile(tmp_path / "b.dcm")).is_complete == whole
