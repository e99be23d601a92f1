"""Stored numbers become values; real files in 14 transfer syntaxes are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io import open_source, read_volume
from segkit.io.dicom.files.detection import dicom_files

PIXELS = np.array([[0, 1, 2], [100, 200, 4095]], np.uint16)


def values(dicom: Any, folder: Path, pixels: Any = PIXELS, **elements: Any) -> Any:
    """Write one slice and return its values as rows and columns."""
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


def test_signed_and_unsigned_slices_in_one_series(dicom: Any, tmp_path: Path) -> None:
    dicom.file(
        tmp_path / "s" / "a", np.array([[-5, 7]], np.int16), RescaleSlope=1, RescaleIntercept=0
    )
    own = {
        "number": 2,
        "ImagePositionPatient": [0, 0, 1],
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
    }
    dicom.file(tmp_path / "s" / "b", np.array([[1019, 65000]], np.uint16), **own)
    assert read_volume(tmp_path / "s").array[0, :, 0].T.tolist() == [[-5, 7], [-5, 63976]]


def test_every_slice_has_its_own_slope(dicom: Any, tmp_path: Path) -> None:
    """PET images have a slope for each slice."""
    for place, slope in enumerate((0.5, 3)):
        own = {
            "number": place + 1,
            "ImagePositionPatient": [0, 0, place],
            "RescaleSlope": slope,
            "RescaleIntercept": 0,
        }
        dicom.file(tmp_path / "s" / f"{place}", np.array([[10, 20]], np.int16), Units="BQML", **own)
    assert read_volume(tmp_path / "s").array[0, :, 0].T.tolist() == [[5, 10], [30, 60]]


def test_monochrome1_is_inverted(dicom: Any, tmp_path: Path) -> None:
    found = values(dicom, tmp_path, BitsStored=12, PhotometricInterpretation="MONOCHROME1")
    assert found.tolist() == [[4095, 4094, 4093], [3995, 3895, 0]]


def test_values_that_are_not_finite(dicom: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a number in every voxel, found 5 of 6 that are"):
        values(dicom, tmp_path, RescaleSlope=1e300, RescaleIntercept=0)


def test_bits_above_the_stored_ones_are_ignored(dicom: Any, tmp_path: Path) -> None:
    assert values(dicom, tmp_path, PIXELS + 0x1000, BitsStored=12).tolist() == PIXELS.tolist()
    signed = np.array([[0x0FFF, 0x17FF]], np.int16)  # 12 bits: -1, and 2047 below an overlay
    assert values(dicom, tmp_path, signed, BitsStored=12).tolist() == [[-1, 2047]]


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ({"PixelPaddingValue": 4095}, [[0, 1, 2], [100, 200, 0]]),
        (
            {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 2},
            [[100, 100, 100], [100, 200, 4095]],
        ),
        ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}, PIXELS.tolist()),
    ],
)
def test_padding_becomes_the_lowest_measured_value(
    dicom: Any, tmp_path: Path, padding: dict[str, int], expected: list[list[int]]
) -> None:
    assert values(dicom, tmp_path, **padding).tolist() == expected


@pytest.mark.parametrize(("bits", "scale"), [(8, 1), (16, 257)])
def test_a_palette_becomes_colors(dicom: Any, tmp_path: Path, bits: int, scale: int) -> None:
    """Four colors from index 1 on: lower indices have the first color, higher ones the last."""
    table = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90], [1, 2, 3]])
    own = {"PhotometricInterpretation": "PALETTE COLOR"}
    for column, color in enumerate(("Red", "Green", "Blue")):
        own[f"{color}PaletteColorLookupTableDescriptor"] = [4, 1, bits]
        data = (table[:, column] * scale).astype(f"<u{bits // 8}").tobytes()
        own[f"{color}PaletteColorLookupTableData"] = data
    indices = np.array([[0, 1, 2], [3, 9, 2]], np.uint8)
    dicom.file(tmp_path / "s" / "a", indices, **own)
    dicom.file(
        tmp_path / "s" / "b", indices[::-1].copy(), number=2, ImagePositionPatient=[0, 0, 1], **own
    )
    volume = read_volume(tmp_path / "s")
    assert (volume.array.shape, volume.dtype) == ((3, 3, 2, 2), np.uint8)
    expected = table[[[0, 0, 1], [2, 3, 1]]]
    assert np.array_equal(volume.array[..., 0].transpose(2, 1, 0), expected)
    assert np.array_equal(volume.array[..., 1].transpose(2, 1, 0), expected[::-1])


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "HSV",
            r"one of the photometric interpretations .*, found HSV. "
            "Convert it to RGB or gray values first",
        ),
        (
            "PALETTE COLOR",
            "lookup tables for red, green and blue, as PALETTE COLOR requires, found none",
        ),
    ],
)
def test_other_colors_are_refused(dicom: Any, tmp_path: Path, kind: str, message: str) -> None:
    scan = dicom.file(tmp_path / "a", PIXELS, PhotometricInterpretation=kind)
    with pytest.raises(InputError, match=message):
        open_source(scan)


@pytest.mark.parametrize(
    ("syntax", "message"),
    [
        (
            "1.2.840.10008.1.2.4.102",
            r"found a video: the transfer syntax MPEG-4 AVC/H.264 .* \(1.2.840.*4.102\)",
        ),
        (
            "1.2.840.10008.1.2.4.100.1",
            r"found a video: .*segkit does not read videos: export the images that you need",
        ),
        (
            "1.2.840.10008.1.2.7.1",
            "found a video: the transfer syntax SMPTE ST 2110-20 Uncompressed",
        ),
        (
            "1.2.840.10008.1.2.4.201",
            r"High-Throughput JPEG 2000 .*4.201\): .*pip install pylibjpeg pylibjpeg-open",
        ),
        (
            "1.2.840.10008.1.2.4.91",
            r"syntax JPEG 2000 .*4.91\): .*Copy the file again if it is damaged, or have it",
        ),
    ],
)
def test_transfer_syntaxes_that_are_not_decoded_are_named(
    dicom: Any, tmp_path: Path, syntax: str, message: str
) -> None:
    content = dicom.pydicom.dcmread(dicom.file(tmp_path / "a", PIXELS))
    content.file_meta.TransferSyntaxUID = syntax
    content.PixelData = dicom.pydicom.encaps.encapsulate([b"nothing!"])
    content["PixelData"].is_undefined_length = True
    content.save_as(tmp_path / "a")
    with pytest.raises(InputError, match=message):
        read_volume(tmp_path / "a")


def test_too_few_pixels(dicom: Any, tmp_path: Path) -> None:
    scan = dicom.file(tmp_path / "a", PIXELS)
    scan.write_bytes(scan.read_bytes()[:-6])
    with pytest.raises(
        InputError, match=r"expected pixels that can be decoded, found .* Explicit VR Little Endian"
    ):
        read_volume(scan)


def test_a_header_that_announces_too_much(dicom: Any, tmp_path: Path) -> None:
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
"""Largest difference in HU of lossy files, by a part of their name."""


def test_transfer_syntaxes(dicom: Any, data_root: Path) -> None:
    folder = data_root / "dicom_hard" / "transfer_syntaxes"
    plain = read_volume(folder / "CTImage.dcm").array
    assert (plain.min(), plain.max()) == (-3024, 1378)
    packed = [file.path for file in dicom_files(folder) if file.name.startswith("CTImage.dcm_")]
    assert len(packed) == 15
    for path in packed:
        allowed = next(
            (most for sign, most in LOSSY.items() if path.name.removesuffix(".dcm").endswith(sign)),
            0,
        )
        assert np.abs(read_volume(path).array - plain.astype(float)).max() <= allowed, path.name


def test_gray_and_color_in_one_series(dicom: Any, tmp_path: Path) -> None:
    dicom.file(tmp_path / "s" / "a", PIXELS)
    data = dicom.pydicom.dcmread(
        dicom.file(tmp_path / "s" / "b", PIXELS, number=2, ImagePositionPatient=[0, 0, 1])
    )
    data.SamplesPerPixel, data.PhotometricInterpretation = 3, "RGB"
    data.save_as(tmp_path / "s" / "b")
    with pytest.raises(
        InputError, match="expected images of one kind, found gray and color images"
    ):
        open_source(tmp_path / "s")


def test_colors_are_channels(dicom: Any, data_root: Path) -> None:
    volume = read_volume(data_root / "dicom_hard" / "generic_rgb_001")
    assert (volume.array.shape, volume.dtype) == ((3, 52, 77, 4), np.uint8)
