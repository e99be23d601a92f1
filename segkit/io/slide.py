"""Whole-slide images: tiled TIFFs with more pixels than a picture may have (``segkit[wsi]``).

The tiles are decompressed one by one into a temporary file, which is memory-mapped, so that memory
holds only the pixels in use. The first, largest level of a pyramid is read. tifffile is imported
when the first slide is opened.
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
from segkit.io.memory import map_numbers
from segkit.units import size_text
from segkit.volume import Grid, Volume

log = logging.getLogger(__name__)

INSTALL = "pip install 'segkit[wsi]'"
TILE = 512
"""Edge length in pixels of the tiles that are written."""
_PHOTOMETRIC = {"MINISBLACK", "RGB", "YCBCR"}
_ERRORS = (
    *(OSError, EOFError, ValueError, LookupError, TypeError),
    *(AttributeError, ArithmeticError, RuntimeError, struct.error, zlib.error),
)
"""Errors that tifffile raises for a damaged file."""


def installed() -> bool:
    """Return whether the extra that reads and writes slides is installed."""
    return importlib.util.find_spec("tifffile") is not None


@dataclass(frozen=True)
class SlideSource:
    """Whole-slide image whose header was checked; its tiles are decompressed on first use."""

    path: Path
    grid: Grid
    samples: int
    """Number of samples per pixel: 1, 3, or 4 with transparency, which is left out."""
    dtype: np.dtype[Any]
    """Type of the pixels."""
    tile_rows: int
    """Number of rows of a tile."""

    @property
    def channels(self) -> int:
        """Number of channels: 1 or 3."""
        return min(self.samples, 3)

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Return the pixels (C, X, Y, 1), read-only, or (C, X, Y, 0) for planes other than 0 to 1.

        Raises:
            InputError: the file is damaged, pixels are NaN or infinite, or there is too little
                memory or disk space.
        """
        return self._pixels[..., start:stop]

    @cached_property
    def _pixels(self) -> NDArray[Any]:
        width, height, _ = self.grid.shape
        needed = self.channels * width * height * self.dtype.itemsize
        check_memory(self.path, self.samples * width * self.tile_rows * self.dtype.itemsize)
        # A mapped file stays readable after it is removed.
        with tempfile.TemporaryDirectory(prefix="segkit-", ignore_cleanup_errors=True) as folder:
            _check_room(self.path, Path(folder), needed)
            plain = Path(folder) / "pixels"
            self._write_plain(plain)
            pixels = map_numbers(plain, self.dtype, self.channels * width * height, 0)
        voxels = pixels.reshape(self.channels, height, width, 1).transpose(0, 2, 1, 3)
        check_finite(self.path, voxels)
        return voxels

    def _write_plain(self, plain: Path) -> None:
        """Write all pixels to the file ``plain``, channel by channel, row by row."""
        width, height, _ = self.grid.shape
        bands = self._bands()
        try:
            with plain.open("wb") as file:
                for first, rows in bands:
                    for channel, band in enumerate(rows):
                        file.seek((channel * height + first) * width * self.dtype.itemsize)
                        file.write(np.ascontiguousarray(band).data)
        except OSError as error:
            reason = f"{error.strerror}, while unpacking {self.path}"
            raise unwritable(plain.parent, reason) from error

    def _bands(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the first pixel row of each row of tiles, and the pixels (C, Y, X) of its tiles."""
        width, height, _ = self.grid.shape
        band = np.zeros((self.channels, self.tile_rows, width), self.dtype)
        first = 0
        for tile, (y, x) in self._tiles():
            if y != first:
                yield first, band[:, : height - first]
                first = y
                band[:] = 0
            if tile is not None:
                target = band[:, : height - y, x:]
                pixels = tile.transpose(2, 0, 1)[: self.channels]
                pixels = pixels[:, : target.shape[1], : target.shape[2]]
                target[:, : pixels.shape[1], : pixels.shape[2]] = pixels
        yield first, band[:, : height - first]

    def _tiles(self) -> Iterator[tuple[NDArray[Any] | None, tuple[int, int]]]:
        """Yield tiles (Y, X, samples) row by row, each with its first y and x.

        A tile that the file leaves out is None.
        """
        try:
            with _opened(self.path) as slide:
                # One at a time: with a larger buffer, tifffile (2026.3) mixes up the tiles after a
                # missing one.
                for tile, (_, _, y, x, _), _ in slide.pages[0].segments(maxworkers=1, buffersize=1):
                    yield None if tile is None else tile[0], (y, x)
        except _ERRORS as error:
            raise _unreadable(self.path, error) from error


def open_slide(path: Path) -> SlideSource | None:
    """Open a tiled TIFF: read and check its header.

    The result is None for other files, and if the extra is not installed.

    Raises:
        InputError: the header is damaged, or the pixels are neither gray nor RGB.
    """
    if path.suffix.lower() not in SLIDES or not installed():
        return None
    try:
        with _opened(path) as slide:
            page = slide.pages[0]
            return _checked_source(path, page) if page.is_tiled else None
    except _ERRORS as error:
        raise _unreadable(path, error) from error


def _checked_source(path: Path, page: Any) -> SlideSource:
    _check_pixels(path, page)
    _check_tiles(path, page)
    if page.samplesperpixel == 4:
        log.warning("%s: the alpha channel (transparency) is left out", path.name)
    grid = Grid((page.imagewidth, page.imagelength, 1), np.eye(4), "px")
    dtype = page.dtype.newbyteorder("=")
    return SlideSource(path, grid, page.samplesperpixel, dtype, page.tilelength)


def _check_pixels(path: Path, page: Any) -> None:
    gray = page.samplesperpixel == 1
    color = page.samplesperpixel in (3, 4) and int(page.planarconfig) == 1
    numbers = page.dtype is not None and page.dtype.kind in "iuf"
    if page.photometric.name not in _PHOTOMETRIC or not (gray or color) or not numbers:
        dtype = page.dtype or "an unknown type"
        raise InputError(
            path,
            expected="gray or RGB pixels, with the colors of each pixel stored together",
            found=f"{page.photometric.name} pixels with {page.samplesperpixel} samples of type "
            f"{dtype}",
            remedy="Convert the slide to RGB.",
        )


def _check_tiles(path: Path, page: Any) -> None:
    """Check the number and the sizes of the compressed tiles in the header."""
    tile = page.tilewidth * page.tilelength * page.samplesperpixel * page.dtype.itemsize
    columns = math.ceil(page.imagewidth / page.tilewidth)
    count = columns * math.ceil(page.imagelength / page.tilelength)
    most = 2 * tile + (1 << 12)
    sizes = page.databytecounts
    if page.imagedepth != 1 or len(sizes) != count or max(sizes) > most:
        raise InputError(
            path,
            expected=f"{count} tiles of at most {size_text(most)}",
            found=f"{len(sizes)} tiles, the largest of {size_text(max(sizes, default=0))}",
            remedy="The file is damaged: copy it again.",
        )


def _check_room(path: Path, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            path,
            expected=f"{size_text(needed)} of free space for its unpacked pixels in "
            f"{tempfile.gettempdir()}",
            found=size_text(free),
            remedy="Free some space there, or set the environment variable TMPDIR to another "
            "folder.",
        )


def _opened(path: Path) -> Any:
    import tifffile  # noqa: PLC0415  (an optional extra)

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # real errors are raised
    return tifffile.TiffFile(path)


def _unreadable(path: Path, error: Exception) -> InputError:
    remedy = "The file is incomplete or damaged: copy it again."
    if "imagecodecs" in str(error):
        remedy = (
            "Install the package that unpacks it: pip install imagecodecs. "
            "Or save the slide with deflate."
        )
    return InputError(
        path, expected="a tiled TIFF that can be read", found=str(error), remedy=remedy
    )


def save(path: Path, volume: Volume) -> None:
    """Write a volume of one plane and one channel atomically as a tiled TIFF with deflate.

    Raises:
        InputError: the file cannot be written.
    """
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
