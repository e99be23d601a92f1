"""A compressed frame must have the size in the header before it is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError
from segkit.io import read_volume
from segkit.io.dicom.pixels.compressed_size import size_of


def test_sizes_of_streams() -> None:
    assert size_of(bytes.fromhex("ffd8 ffe0 0004 0000 fff7 000b 08 0102 0003 01")) == (258, 3)
    assert size_of(bytes.fromhex("ff4f ff51 0029 0000 00000203 00000100 00000003 00000000")) == (
        256,
        512,
    )
    assert size_of(b"\xff\xd8\xff\xd9") is None
    assert size_of(b"no stream") is None


def test_a_frame_that_is_larger_than_the_header_says(
    dicom: Any, data_root: Path, tmp_path: Path
) -> None:
    """`test_source` reads files of the four transfer syntaxes whose sizes agree."""
    for folder in (
        "generic_compressed_jpegls_001",
        "generic_compressed_j2k_001",
        "generic_compressed_jpeg_001",
    ):
        scan = dicom.pydicom.dcmread(sorted((data_root / "dicom_hard" / folder).iterdir())[0])
        scan.Rows = 200
        scan.save_as(tmp_path / "a.dcm")
        with pytest.raises(
            InputError, match="a frame of 256 x 256 pixels where the header says 256 x 200"
        ):
            read_volume(tmp_path / "a.dcm")


def test_rle_of_more_bytes_than_the_frame_can_have(dicom: Any, tmp_path: Path) -> None:
    scan = dicom.pydicom.dcmread(dicom.file(tmp_path / "a.dcm", np.zeros((4, 4), np.int16)))
    scan.compress(dicom.pydicom.uid.RLELossless)
    assert read_volume(scan.filename).array.max() == 0
    scan.PixelData = dicom.pydicom.encaps.encapsulate([bytes(100_000)])
    scan.save_as(tmp_path / "a.dcm")
    with pytest.raises(InputError, match="100000 packed bytes for a frame of 32 bytes"):
        read_volume(tmp_path / "a.dcm")
