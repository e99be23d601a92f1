"""Stored numbers to values, and real files in 14 transfer syntaxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io import open_source, read_volume
from segkit.io.dicom.files import dicom_files

PIXELS = np.array([[0, 1, 2], [100, 200, 4095]], np.uint16)


def values(dicom: Any, folder: Path, pixels: Any = PIXELS, **elements: Any) -> Any:
    """Of one slice, as rows and columns."""
    return read_volume(dicom.file(folder / "a", pixels, **elements)).array[0, ..., 0].T


def test_whole_slopes_keep_whole_numbers(dicom: Any, tmp_path: Path) -> None:
    found = values(dicom, tmp_path, BitsStored=12, RescaleSlope=1, RescaleIntercept=-1024)
    assert found.tolist() == [[-1024, -1023, -1022], [-924, -824, 3071]]
    assert found.dtype == np.int16


def test_other_slopes_give_float32(dicom: Any, tmp_path: Path) -> None:
    found = values(dicom, tmp_path, RescaleSlope=0.5, RescaleIntercept=0)
    assert found.tolist() == [[0, 0.5, 1], [50, 100, 2047.5]]
    assert found.dtype == np.float32


def test_signed_pixels(dicom: Any, tmp_path: Path) -> None:
    assert values(dicom, tmp_path, np.array([[-5, 7]], np.int16)).tolist() == [[-5, 7]]


def test_monochrome1_is_turned_around(dicom: Any, tmp_path: Path) -> None:
    found = values(dicom, tmp_path, BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    assert found.tolist() == [[4095, 4094, 4093], [3995, 3895, 0]]


def test_bits_above_the_stored_ones_are_no_part_of_the_number(dicom: Any, tmp_path: Path) -> None:
    assert values(dicom, tmp_path, PIXELS + 0x1000, BitsStored=12).tolist() == PIXELS.tolist()
    signed = np.array([[0x0FFF, 0x17FF]], np.int16)  # 12 bits: -1, and 2047 below an overlay
    assert values(dicom, tmp_path, signed, BitsStored=12).tolist() == [[-1, 2047]]


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ({"PixelPaddingValue": 4095}, [[0, 1, 2], [100, 200, 0]]),
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 2}, [[100, 100, 100], [100, 200, 4095]]),
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}, PIXELS.tolist()),
    ],
)
def test_padding_becomes_the_lowest_measured_value(
    dicom: Any, tmp_path: Path, padding: dict[str, int], expected: list[list[int]]
) -> None:
    assert values(dicom, tmp_path, **padding).tolist() == expected


def test_palette_is_refused(dicom: Any, tmp_path: Path) -> None:
    scan = dicom.file(tmp_path / "a", PIXELS, PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(InputError, match=r"one of the photometric interpretations .* found PALETTE COLOR"):
        open_source(scan)


def test_too_few_pixels(dicom: Any, tmp_path: Path) -> None:
    scan = dicom.file(tmp_path / "a", PIXELS)
    scan.write_bytes(scan.read_bytes()[:-6])
    with pytest.raises(InputError, match=r"expected pixels that can be decoded, found .* Explicit VR Little Endian"):
        read_volume(scan)


def test_a_header_that_promises_too_much(dicom: Any, tmp_path: Path) -> None:
    for z in range(80):
        file = dicom.file(tmp_path / "s" / str(z), PIXELS, number=z, ImagePositionPatient=[0, 0, z])
        made = dicom.pydicom.dcmread(file)
        made.Rows = made.Columns = 65535
        made.save_as(file)
    with pytest.raises(InputError, match="a header that promises"):
        read_volume(tmp_path / "s")


def test_unknown_transfer_syntax(dicom: Any, tmp_path: Path) -> None:
    scan = dicom.file(tmp_path / "a", PIXELS)
    data = dicom.pydicom.dcmread(scan)
    data.PixelData = dicom.pydicom.encaps.encapsulate([b"12345678"])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = dicom.pydicom.uid.MPEG2MPML
    data.save_as(scan)
    with pytest.raises(InputError, match=r"found the transfer syntax MPEG2 .* \(1\.2\.840\.10008\.1\.2\.4\.100\)"):
        read_volume(scan)


def test_transfer_syntax_that_nobody_knows(dicom: Any, tmp_path: Path) -> None:
    scan = dicom.file(tmp_path / "a", PIXELS)
    data = dicom.pydicom.dcmread(scan)
    data.file_meta.TransferSyntaxUID = "1.2.3.4"
    data.save_as(scan, implicit_vr=False, little_endian=True)
    with pytest.raises(InputError, match=r"found the transfer syntax 1\.2\.3\.4 \(1\.2\.3\.4\)"):
        read_volume(scan)


def test_old_file_without_preamble(dicom: Any, tmp_path: Path) -> None:
    data = dicom.pydicom.dcmread(dicom.file(tmp_path / "a", PIXELS))
    del data.file_meta, data.preamble
    data.save_as(tmp_path / "old", implicit_vr=True, little_endian=True)
    (tmp_path / "a").unlink()
    assert read_volume(tmp_path / "old").array[0, ..., 0].T.tolist() == PIXELS.tolist()


def test_no_rows(dicom: Any, tmp_path: Path) -> None:
    scan = dicom.file(tmp_path / "a", PIXELS)
    data = dicom.pydicom.dcmread(scan)
    data.Rows = 0
    data.save_as(scan)
    with pytest.raises(InputError, match="a: expected pixels, found no Rows or Columns"):
        read_volume(scan)


LOSSY = {
    "4.50": 65,  # 8 bits with a slope of 32
    "4.51": 36,
    "4.53": 36,
    "4.55": 36,
    "4.81": 1,
    "2000TransferSyntax_1.2.840.10008.1.2.4.91": 5,
}
"""Largest difference in HU of what was packed with loss, by what stands in the name."""


def test_transfer_syntaxes(dicom: Any, data_root: Path) -> None:
    folder = data_root / "dicom_hard" / "transfer_syntaxes"
    plain = read_volume(folder / "CTImage.dcm").array
    assert (plain.min(), plain.max()) == (-3024, 1378)
    packed = [file.path for file in dicom_files(folder) if file.name.startswith("CTImage.dcm_")]
    assert len(packed) == 15
    for path in packed:
        allowed = next((most for sign, most in LOSSY.items() if path.name.removesuffix(".dcm").endswith(sign)), 0)
        assert np.abs(read_volume(path).array - plain.astype(float)).max() <= allowed, path.name


def test_grey_and_colour_in_one_series(dicom: Any, tmp_path: Path) -> None:
    dicom.file(tmp_path / "s" / "a", PIXELS)
    data = dicom.pydicom.dcmread(dicom.file(tmp_path / "s" / "b", PIXELS, number=2, ImagePositionPatient=[0, 0, 1]))
    data.SamplesPerPixel, data.PhotometricInterpretation = 3, "RGB"
    data.save_as(tmp_path / "s" / "b")
    with pytest.raises(InputError, match="expected images of one kind, found grey and coloured ones"):
        open_source(tmp_path / "s")


def test_colours_are_channels(dicom: Any, data_root: Path) -> None:
    volume = read_volume(data_root / "dicom_hard" / "generic_rgb_001")
    assert (volume.array.shape, volume.dtype) == ((3, 52, 77, 4), np.uint8)
