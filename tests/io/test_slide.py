"""Slides: tiled TIFFs of more pixels than Pillow takes. The limit is set to 5000 pixels here."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segkit.errors import InputError
from segkit.io import open_source, read_labels, read_volume, write_labels
from segkit.io.memory import is_mapped
from segkit.io.slide import SlideSource
from segkit.volume import Volume

tifffile = pytest.importorskip("tifffile", reason="the extra [wsi] is not installed")
ROWS = np.arange(90 * 70 * 3, dtype=np.uint32).reshape(90, 70, 3).astype(np.uint8)


@pytest.fixture(autouse=True)
def _pictures_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)


def written(path: Path, rows: Any = ROWS, **options: Any) -> Path:
    kind = "rgb" if rows.ndim == 3 else "minisblack"
    options = {
        "tile": (32, 16),
        "compression": "zlib",
        "photometric": kind,
        "metadata": None,
    } | options
    tifffile.imwrite(path, rows, **options)
    return path


@pytest.mark.parametrize("compression", ["zlib", None])
def test_a_slide_is_what_its_tiles_hold(tmp_path: Path, compression: str | None) -> None:
    volume = read_volume(written(tmp_path / "a.tif", compression=compression))
    assert is_mapped(volume.array)
    assert (volume.array.shape, volume.unit, volume.dtype) == ((3, 70, 90, 1), "px", np.uint8)
    assert np.array_equal(volume.array[..., 0].transpose(2, 1, 0), ROWS)


@pytest.mark.parametrize("dtype", ["u2", ">u2", "f4"])
def test_gray_of_other_types(tmp_path: Path, dtype: str) -> None:
    rows = ROWS[..., 0].astype(dtype)
    volume = read_volume(
        written(tmp_path / "a.tiff", rows, byteorder=">" if dtype == ">u2" else "<")
    )
    assert volume.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.array_equal(volume.array[0, ..., 0].T, rows)


def test_pixels_that_are_not_finite(tmp_path: Path) -> None:
    rows = ROWS[..., 0].astype(np.float32)
    rows[0, 0] = np.nan
    with pytest.raises(InputError, match=r"a\.tif: expected a number in every voxel, found 1 of"):
        read_volume(written(tmp_path / "a.tif", rows))


def test_the_largest_level_of_a_pyramid_is_read(tmp_path: Path) -> None:
    options = {"tile": (32, 32), "photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(ROWS, subifds=1, **options)
        file.write(ROWS[::2, ::2], subfiletype=1, **options)
        file.write(ROWS[::4, ::4], subfiletype=1, **options)
    assert np.array_equal(read_volume(tmp_path / "a.tif").array[..., 0].transpose(2, 1, 0), ROWS)


def test_transparency_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = np.concatenate([ROWS, ROWS[..., :1]], axis=-1)
    assert read_volume(written(tmp_path / "a.tif", rows, extrasamples=["unassalpha"])).channels == 3
    assert "a.tif: the alpha channel (transparency) is left out" in caplog.text


def test_tiles_that_are_left_out_are_0(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", ROWS[..., 0], compression=None)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for code in (324, 325):  # offsets and byte counts of tiles
            tag = file.pages[0].tags[code]
            tag.overwrite([*tag.value[:5], 0, *tag.value[6:]])
    expected = ROWS[..., 0].copy()
    expected[32:64, :16] = 0  # five tiles in a row of tiles
    assert np.array_equal(read_volume(path).array[0, ..., 0].T, expected)


def test_small_pictures_and_those_without_tiles_are_none(tmp_path: Path) -> None:
    assert not isinstance(open_source(written(tmp_path / "small.tif", ROWS[:64])), SlideSource)
    assert isinstance(open_source(written(tmp_path / "a.tif")), SlideSource)
    path = written(tmp_path / "stripes.tif", tile=None)
    with pytest.raises(
        InputError,
        match=r"at most 5000 pixels, found 6300 pixels\. Save it as a tiled TIFF, and install",
    ):
        read_volume(path)


def test_label_maps_are_written_in_tiles_and_read_again(tmp_path: Path) -> None:
    labels = Volume((ROWS[..., 1] % 7).T[None, :, :, None], np.eye(4), "px")
    write_labels(tmp_path / "a.tif", labels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        assert (page.is_tiled, page.compression.name, page.dtype) == (
            True,
            "ADOBE_DEFLATE",
            np.uint8,
        )
        assert np.array_equal(page.asarray(), ROWS[..., 1] % 7)
    assert np.array_equal(read_labels(tmp_path / "a.tif").array, labels.array)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_other_colours_are_refused(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.tif", np.concatenate([ROWS, ROWS[..., :1]], axis=-1), photometric="separated"
    )
    with pytest.raises(
        InputError,
        match=r"found SEPARATED pixels with 4 samples of type uint8\. Convert the slide",
    ):
        read_volume(path)


def test_damaged_tiles(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif")
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[3]
    content = bytearray(path.read_bytes())
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.tif: expected a tiled TIFF that can be read, found"):
        read_volume(path)


def test_tiles_larger_than_tiles_can_be(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", ROWS[..., 0], tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+b") as file:
        tag = file.pages[0].tags[325]
        tag.overwrite([60_000, *tag.value[1:]])
    with pytest.raises(
        InputError,
        match=r"expected 30 tiles of at most 4\.6 KB, found 30 tiles, the largest of 60\.0 KB",
    ):
        read_volume(path)


def test_a_codec_that_is_missing_is_named(tmp_path: Path) -> None:
    if importlib.util.find_spec("imagecodecs"):
        pytest.skip("imagecodecs is installed")
    path = written(tmp_path / "a.tif")
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[259].overwrite(7)  # JPEG
    with pytest.raises(
        InputError, match=r"Install the package that unpacks it: pip install imagecodecs"
    ):
        read_volume(path)


def test_a_disk_that_becomes_full_while_unpacking(
    tmp_path: Path, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = written(tmp_path / "a.tif")
    message = (
        r"expected a place that can be written to, found File too large, "
        r"while unpacking .*a\.tif"
    )
    with full_disk(6000), pytest.raises(InputError, match=message):
        read_volume(path)


def test_no_room_for_the_unpacked_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.tif")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 18899}))
    with pytest.raises(
        InputError, match=r"a\.tif: expected 18\.9 KB of free space for its unpacked pixels in"
    ):
        read_volume(path)
