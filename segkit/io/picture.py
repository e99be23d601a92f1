"""Reader and writer of pictures (PNG, TIFF, BMP) with Pillow.

array[c, x, y, 0] is channel c of the pixel in row y and column x. A picture has no physical
position: its affine is the identity and its unit "px".
"""

from __future__ import annotations

import io
import logging
import math
import re
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segkit.errors import InputError
from segkit.files.atomic import atomic_path
from segkit.files.names import SLIDES, must_exist
from segkit.io import slide
from segkit.io.limits import check_finite, check_memory
from segkit.volume import Grid, Volume

log = logging.getLogger(__name__)

_TYPES = {
    "1": "u1",
    "L": "u1",
    "I;16": "u2",
    "I;16B": "u2",
    "I;16L": "u2",
    "I": "i4",
    "F": "f4",
    "RGB": "u1",
}
"""Pixel type for each of Pillow's modes."""
_READ_AS = {"RGBA": "RGB", "RGBX": "RGB", "LA": "L", "P": "RGB", "PA": "RGB"}
"""Mode to which Pillow converts pixels of another mode."""
_WRITABLE = {
    ".png": ("u1", "u2"),
    ".tif": ("u1", "u2", "i4", "f4"),
    ".tiff": ("u1", "u2", "i4", "f4"),
    ".bmp": ("u1",),
}
"""Pixel types that each format can hold."""
_FORMATS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}


@dataclass(frozen=True)
class PictureSource:
    """Picture whose header was checked; its pixels are read on first use and kept."""

    path: Path
    grid: Grid
    mode: str
    """Pillow's mode of the pixels that ``planes`` returns."""

    @property
    def channels(self) -> int:
        """Number of channels: 3 for RGB, else 1."""
        return 3 if self.mode == "RGB" else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return np.dtype(_TYPES[self.mode])

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Return the pixels (C, X, Y, 1), or (C, X, Y, 0) for planes other than 0 to 1.

        Raises:
            InputError: the file is damaged, pixels are NaN or infinite, or there is too little
                memory.
        """
        return self._pixels[..., start:stop]

    @cached_property
    def _pixels(self) -> NDArray[Any]:
        check_memory(self.path, self.grid.voxels * self.channels * self.dtype.itemsize)
        pixels = self._rows().astype(self.dtype)
        check_finite(self.path, pixels)
        return np.atleast_3d(pixels).transpose(2, 1, 0)[..., None]

    def _rows(self) -> NDArray[Any]:
        with warnings.catch_warnings():
            # The header was checked; Pillow's further warnings are about metadata.
            warnings.simplefilter("ignore")
            try:
                with Image.open(self.path) as picture:
                    # The indices of a label map with a palette (mode P) are its labels.
                    as_stored = (self.mode, "P") if self.mode == "L" else (self.mode,)
                    if picture.mode not in as_stored:
                        return np.asarray(picture.convert(self.mode))
                    return np.asarray(picture)
            except (OSError, SyntaxError, ValueError) as error:
                raise _unreadable(self.path, str(error)) from error


def open_scan(path: Path, *, indices: bool = False) -> PictureSource | slide.SlideSource:
    """Open a picture: read and check its header.

    A tiled TIFF of more pixels than Pillow accepts is opened as a whole-slide image.

    Args:
        path: the file.
        indices: read the palette indices instead of the colors, as for a label map.

    Raises:
        InputError: the file is not a picture, or has several pages, too many pixels, or pixels that
            are neither gray nor RGB.
    """
    must_exist(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as picture:
                return PictureSource(path, _grid(picture), _mode(path, picture, indices))
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            source = slide.open_slide(path)
            if source is None:
                raise _too_large(path, str(error)) from error
            return source
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise _unreadable(path, str(error)) from error


def is_slide(path: Path) -> bool:
    """Return whether `open_scan` opens a file as a slide; False if it cannot be read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            Image.open(path).close()
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            return slide.installed()
        except (OSError, SyntaxError, ValueError):
            return False
    return False


def _grid(picture: Image.Image) -> Grid:
    return Grid((picture.width, picture.height, 1), np.eye(4), "px")


def _mode(path: Path, picture: Image.Image, indices: bool) -> str:
    if getattr(picture, "n_frames", 1) > 1:
        raise InputError(
            path,
            expected="a picture of one page",
            found=f"{getattr(picture, 'n_frames', 1)} pages",
            remedy="Save a stack of slices as .nii.gz or .nrrd, or each page as a separate file.",
        )
    if indices and picture.mode == "P":
        return "L"
    mode = _READ_AS.get(picture.mode, picture.mode)
    if mode not in _TYPES:
        raise InputError(
            path,
            expected="gray or RGB pixels",
            found=f"pixels of Pillow's mode {picture.mode}",
            remedy="Convert the picture to gray or RGB.",
        )
    _warn_of_loss(path, picture)
    return mode


def _warn_of_loss(path: Path, picture: Image.Image) -> None:
    if picture.mode in ("RGBA", "LA", "PA"):
        log.warning("%s: the alpha channel (transparency) is left out", path.name)
    if picture.mode.startswith("RGB") and "16" in str(getattr(picture, "tile", "")):
        log.warning("%s: 16-bit colors are read as 8-bit colors", path.name)


def _unreadable(path: Path, found: str) -> InputError:
    return InputError(
        path,
        expected="a picture that can be read",
        found=found,
        remedy="The file is incomplete or damaged: copy it again.",
    )


def _too_large(path: Path, message: str) -> InputError:
    """Return the error for too many pixels; the first number in Pillow's ``message`` is theirs."""
    return InputError(
        path,
        expected=f"a picture of at most {Image.MAX_IMAGE_PIXELS} pixels",
        found=f"{re.findall('[0-9]+', message)[0]} pixels",
        remedy="Save it as a tiled TIFF, and install the extra that reads tiled TIFFs: "
        f"{slide.INSTALL}"
        if path.suffix.lower() in SLIDES
        else "Cut it into tiles.",
    )


def save(path: Path, volume: Volume) -> None:
    """Write a volume of one plane atomically: one channel as gray, three channels as RGB.

    Raises:
        InputError: the volume has several planes, another number of channels, or a type that the
            format cannot hold; or the file cannot be written.
    """
    array = volume.array.astype(np.uint8) if volume.dtype == np.bool_ else volume.array
    check_fits(path, array.shape, array.dtype)
    if _is_slide(path, volume):
        slide.save(path, volume)
        return
    rows = np.ascontiguousarray(array[..., 0].transpose(2, 1, 0))
    # Encode in memory first: Pillow does not notice if the disk fills up while it writes a TIFF.
    content = io.BytesIO()
    pixels = rows if volume.channels == 3 else rows[..., 0]
    Image.fromarray(pixels).save(content, _FORMATS[path.suffix.lower()])
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _is_slide(path: Path, volume: Volume) -> bool:
    """Return whether a label map is too large for Pillow and can be written as a tiled TIFF."""
    large = volume.grid.voxels > (Image.MAX_IMAGE_PIXELS or math.inf)
    return large and volume.channels == 1 and path.suffix.lower() in SLIDES and slide.installed()


def check_fits(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Check that a picture with this suffix can hold an array.

    Args:
        path: the file to write.
        shape: shape (C, X, Y, Z) of the array.
        dtype: type of the array.

    Raises:
        InputError: it cannot.
    """
    allowed = _WRITABLE[path.suffix.lower()]
    kind = f"{dtype.kind}{dtype.itemsize}"
    color = shape[0] == 3 and kind == "u1"
    if shape[3] != 1 or not (shape[0] == 1 or color) or kind not in allowed:
        types = ", ".join(np.dtype(name).name for name in allowed)
        raise InputError(
            path,
            expected=f"one plane, gray ({types}) or RGB of uint8",
            found=f"the shape {' x '.join(map(str, shape))} (C, X, Y, Z) of {dtype.name}",
            remedy="Choose another suffix, for example .nii.gz.",
        )
