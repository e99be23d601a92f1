"""Slides: tiled TIFFs of more pixels than a picture may have, as the optional extra ``segkit[wsi]``.

Tiles are unpacked one after the other into a temporary file of plain pixels, which is mapped: what is held in memory is
what is looked at. Of a pyramid the first, largest level is read. tifffile is imported when a slide is met.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.files.atomic import atomic_path, unwritable
from segkit.files.names import SLIDES
from segkit.io.limits import check_finite, check_memory
from segkit.io.memory_map import map_numbers
from segkit.units import size_text
from segkit.volume import Grid, Volume

log = logging.getLogger(__name__)

INSTALL = "pip install 'segkit[wsi]'"
TILE = 512
"""Pixels along the edges of a tile that is written."""
_KINDS = {"MINISBLACK", "RGB", "YCBCR"}
_ERRORS = (
    *(
        OSError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
    ),
    *(struct.error, zlib.error),
)
"""What tifffile lets through when a file is damaged."""


def installed() -> bool:
    """Whether slides can be read and written."""
    return importlib.util.find_spec("tifffile") is not None


@dataclass(frozen=True)
class SlideSource:
    """A slide whose head was checked; its tiles are unpacked on the first call."""

    path: Path
    grid: Grid
    samples: int
    """Of a pixel in the file: 1, 3, or 4 with transparency, which is left out."""
    dtype: np.dtype[Any]
    tile_rows: int

    @property
    def channels(self) -> int:
        return min(self.samples, 3)

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Pixels (C, X, Y, 1), or none of them; read-only."""
        return self._pixels[..., start:stop]

    @cached_property
    def _pixels(self) -> NDArray[Any]:
        width, height, _ = self.grid.shape
        needed = self.channels * width * height * self.dtype.itemsize
        check_memory(self.path, self.samples * width * self.tile_rows * self.dtype.itemsize)
        # A mapped file lives on without its name.
        with tempfile.TemporaryDirectory(prefix="segkit-", ignore_cleanup_errors=True) as folder:
            _check_room(self.path, Path(folder), needed)
            plain = Path(folder) / "pixels"
            self._write_plain(plain)
            pixels = map_numbers(plain, self.dtype, self.channels * width * height, 0)
        found = pixels.reshape(self.channels, height, width, 1).transpose(0, 2, 1, 3)
        check_finite(self.path, found)
        return found

    def _write_plain(self, plain: Path) -> None:
        """All pixels, channel by channel, row by row."""
        width, height, _ = self.grid.shape
        bands = self._bands()
        try:
            with plain.open("wb") as file:
                for first, rows in bands:
                    for channel, band in enumerate(rows):
                        file.seek((channel * height + first) * width * self.dtype.itemsize)
                        file.write(np.ascontiguousarray(band).data)
        except OSError as error:
            raise unwritable(
                plain.parent, f"{error.strerror}, while {self.path} was unpacked"
            ) from error

    def _bands(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Rows (C, some of Y, X) that share tiles, and the number of the first."""
        width, height, _ = self.grid.shape
        band = np.zeros((self.channels, self.tile_rows, width), self.dtype)
        held = 0
        for tile, (y, x) in self._tiles():
            if y != held:
                yield held, band[:, : height - held]
                held = y
                band[:] = 0
            if tile is not None:
                target = band[:, : height - y, x:]
                pixels = tile.transpose(2, 0, 1)[
                    : self.channels, : target.shape[1], : target.shape[2]
                ]
                target[:, : pixels.shape[1], : pixels.shape[2]] = pixels
        yield held, band[:, : height - held]

    def _tiles(self) -> Iterator[tuple[NDArray[Any] | None, tuple[int, int]]]:
        """Tiles (Y, X, samples), row by row, None for one that the file leaves out; each with its first y and x."""
        try:
            with _opened(self.path) as slide:
                # One at a time: in a larger buffer tifffile (2026.3) mixes up tiles behind one that is left out.
                for tile, (_, _, y, x, _), _ in slide.pages[0].segments(maxworkers=1, buffersize=1):
                    yield None if tile is None else tile[0], (y, x)
        except _ERRORS as error:
            raise _unreadable(self.path, error) from error


def open_slide(path: Path) -> SlideSource | None:
    """A tiled TIFF, its head checked; None for other files, and where the extra is not installed.

    Raises:
        InputError: a damaged head, or a kind of pixels that is neither grey nor RGB.
    """
    if path.suffix.lower() not in SLIDES or not installed():
        return None
    try:
        with _opened(path) as slide:
            page = slide.pages[0]
            return _checked(path, page) if page.is_tiled else None
    except _ERRORS as error:
        raise _unreadable(path, error) from error


def _checked(path: Path, page: Any) -> SlideSource:
    kind = f"{page.photometric.name} of {page.samplesperpixel} samples, {page.dtype or 'a strange type'}"
    grey, colour = (
        page.samplesperpixel == 1,
        page.samplesperpixel in (3, 4) and int(page.planarconfig) == 1,
    )
    if (
        page.photometric.name not in _KINDS
        or not (grey or colour)
        or page.dtype is None
        or page.dtype.kind not in "iuf"
    ):
        raise InputError(
            path,
            expected="grey or RGB pixels, the colours of a pixel side by side",
            found=f"pixels of the kind {kind}",
            remedy="Convert the slide to RGB.",
        )
    tile = page.tilewidth * page.tilelength * page.samplesperpixel * page.dtype.itemsize
    tiles = math.ceil(page.imagewidth / page.tilewidth) * math.ceil(
        page.imagelength / page.tilelength
    )
    if (
        page.imagedepth != 1
        or len(page.databytecounts) != tiles
        or max(page.databytecounts) > 2 * tile + (1 << 12)
    ):
        raise InputError(
            path,
            expected=f"{tiles} tiles of at most {size_text(2 * tile + (1 << 12))}",
            found=f"{len(page.databytecounts)} tiles, the largest of {size_text(max(page.databytecounts, default=0))}",
            remedy="The file is damaged: copy it again.",
        )
    if page.samplesperpixel == 4:
        log.warning("%s: the alpha channel (transparency) is left out", path.name)
    grid = Grid((page.imagewidth, page.imagelength, 1), np.eye(4), "px")
    return SlideSource(
        path, grid, page.samplesperpixel, page.dtype.newbyteorder("="), page.tilelength
    )


def _check_room(path: Path, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            path,
            expected=f"{size_text(needed)} of room for its unpacked pixels in {tempfile.gettempdir()}",
            found=size_text(free),
            remedy="Make room there, or name another folder in the variable TMPDIR.",
        )


def _opened(path: Path) -> Any:
    import tifffile  # noqa: PLC0415  (an optional extra)

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what matters is raised
    return tifffile.TiffFile(path)


def _unreadable(path: Path, error: Exception) -> InputError:
    remedy = "The file is incomplete or damaged: copy it again."
    if "imagecodecs" in str(error):
        remedy = "Install the package that unpacks it: pip install imagecodecs. Or save the slide with deflate."
    return InputError(
        path, expected="a tiled TIFF that can be read", found=str(error), remedy=remedy
    )


def save(path: Path, volume: Volume) -> None:
    """Write a flat volume of one channel atomically, tile by tile: a TIFF of tiles packed by deflate."""
    import tifffile  # noqa: PLC0415

    rows = volume.array[0, ..., 0].T
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            _tiles(rows),
            shape=rows.shape,
            dtype=rows.dtype,
            tile=(TILE, TILE),
            compression="zlib",
            photometric="minisblack",
            metadata=None,
            maxworkers=1,
        )


def _tiles(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    for y in range(0, rows.shape[0], TILE):
        for x in range(0, rows.shape[1], TILE):
            yield np.ascontiguousarray(rows[y : y + TILE, x : x + TILE])
