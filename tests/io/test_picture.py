"""Pictures: axes, types of pixels, and errors."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segkit.errors import InputError
from segkit.io import open_source, read_labels, read_volume, write_image, write_labels
from segkit.volume import Volume

ROWS = np.arange(6, dtype=np.uint8).reshape(2, 3)
COLOURS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)


def flat(array: Any) -> Volume:
    return Volume(np.asarray(array), np.eye(4), "px")


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff", "bmp"])
def test_columns_are_x_and_rows_are_y(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(COLOURS).save(path)
    volume = read_volume(path)
    assert (volume.unit, volume.spacing, volume.array.shape) == (
        "px",
        (1.0, 1.0, 1.0),
        (3, 3, 2, 1),
    )
    assert volume.array[2, 1, 0, 0] == COLOURS[0, 1, 2]


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_gray(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(ROWS).save(tmp_path / f"a.{suffix}")
    source = open_source(tmp_path / f"a.{suffix}")
    assert (source.channels, source.dtype, source.grid.shape) == (1, np.uint8, (3, 2, 1))
    np.testing.assert_array_equal(source.planes(0, 1)[0, :, :, 0], ROWS.T)
    assert source.planes(1, 1).shape == (1, 3, 2, 0)


@pytest.mark.parametrize(
    ("dtype", "suffix"), [("u2", "png"), ("u2", "tif"), ("i4", "tif"), ("f4", "tif")]
)
def test_deep_gray(tmp_path: Path, dtype: str, suffix: str) -> None:
    rows = ROWS.astype(dtype) * 1000
    Image.fromarray(rows).save(tmp_path / f"a.{suffix}")
    array = read_volume(tmp_path / f"a.{suffix}").array
    assert array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(array[0, :, :, 0], rows.T)


def test_one_bit(tmp_path: Path) -> None:
    Image.fromarray(ROWS > 2).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "a.png").array[0, :, :, 0], (ROWS > 2).T)


@pytest.mark.parametrize(("mode", "channels"), [("RGBA", 3), ("LA", 1)])
def test_transparency_is_left_out(
    tmp_path: Path, mode: str, channels: int, caplog: pytest.LogCaptureFixture
) -> None:
    Image.new(mode, (3, 2)).save(tmp_path / "a.png")
    assert read_volume(tmp_path / "a.png").channels == channels
    assert "a.png: the alpha channel (transparency) is left out" in caplog.text


def test_palette_is_colours_in_a_scan_and_indices_in_a_label_map(tmp_path: Path) -> None:
    picture = Image.fromarray(ROWS).convert("P")
    picture.putpalette([10, 20, 30] * 256)
    picture.save(tmp_path / "a.png")
    assert read_volume(tmp_path / "a.png").array[:, 0, 0, 0].tolist() == [10, 20, 30]
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png").array[0, :, :, 0], ROWS.T)


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def test_deep_colours_lose_bits_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    head = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" + b"\x12\x34" * 3)
    content = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )
    (tmp_path / "a.png").write_bytes(content)
    assert read_volume(tmp_path / "a.png").array.ravel().tolist() == [0x12] * 3
    assert "16-bit colors are read as 8-bit colors" in caplog.text


def test_several_pages(tmp_path: Path) -> None:
    page = Image.fromarray(ROWS)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page, page])
    with pytest.raises(InputError, match="expected a picture of one page, found 3 pages"):
        open_source(tmp_path / "a.tif")


def test_other_kinds_of_pixels(tmp_path: Path) -> None:
    Image.new("CMYK", (3, 2)).save(tmp_path / "a.tif")
    with pytest.raises(
        InputError, match="expected gray or RGB pixels, found pixels of Pillow's mode CMYK"
    ):
        open_source(tmp_path / "a.tif")


def test_damaged_and_truncated(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match="expected a picture that can be read"):
        open_source(tmp_path / "a.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99)).astype(np.uint8)).save(
        tmp_path / "a.png"
    )
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:3000])
    with pytest.raises(InputError, match="expected a picture that can be read"):
        read_volume(tmp_path / "a.png")


def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (2000, 1000)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    with pytest.raises(
        InputError, match="expected a picture of at most 1000000 pixels, found 2000000 pixels"
    ):
        open_source(tmp_path / "a.png")


def test_floats_that_are_not_finite(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 3), np.nan, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="found 6 of 6 that are NaN or infinite"):
        read_volume(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    for array in (
        ROWS.T[None, ..., None],
        COLOURS.transpose(2, 1, 0)[..., None],
        ROWS.T[None, ..., None] > 2,
    ):
        write_image(tmp_path / f"a.{suffix}", flat(array))
        np.testing.assert_array_equal(read_volume(tmp_path / f"a.{suffix}").array, array)


def test_labels_above_255_make_a_16_bit_picture(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.png", flat(np.full((1, 3, 2, 1), 300)))
    assert open_source(tmp_path / "a.png").dtype == np.uint16
    assert read_labels(tmp_path / "a.png").array.max() == 300


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("a.png", np.zeros((1, 3, 2, 2), np.uint8)),
        ("a.png", np.full((1, 3, 2, 1), -1)),
        ("a.bmp", np.full((1, 3, 2, 1), 300)),
    ],
)
def test_what_a_picture_cannot_hold(tmp_path: Path, name: str, array: Any) -> None:
    with pytest.raises(InputError, match=r"expected one plane, gray .* Choose another suffix"):
        write_labels(tmp_path / name, flat(array))
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_two_channels_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected one plane, gray .* Choose another suffix"):
        write_image(tmp_path / "a.png", flat(np.zeros((2, 3, 2, 1), np.uint8)))
    assert list(tmp_path.iterdir()) == []
