"""Flat pictures (PNG, TIFF, BMP) by Pillow: array[c, x, y, 0] is the picture's row y, column x, channel c.

A picture has no place in the world: its affine is the identity and its unit "px".
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
_AS_READ = {"RGBA": "RGB", "RGBX": "RGB", "LA": "L", "P": "RGB", "PA": "RGB"}
_WRITTEN = {
    ".png": ("u1", "u2"),
    ".tif": ("u1", "u2", "i4", "f4"),
    ".tiff": ("u1", "u2", "i4", "f4"),
    ".bmp": ("u1",),
}

_FORMATS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP"}


@dataclass(frozen=True)
class PictureSource:
    """A picture whose head was checked; its pixels are read on the first call, and kept."""

    path: Path
    grid: Grid
    mode: str
    """Pillow's name of the kind of pixels that ``planes`` gives."""

    @property
    def channels(self) -> int:
        return 3 if self.mode == "RGB" else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(_TYPES[self.mode])

    def planes(self, start: int, stop: int) -> NDArray[Any]:
        """Pixels (C, X, Y, 1), or none of them."""
        return self._pixels[..., start:stop]

    @cached_property
    def _pixels(self) -> NDArray[Any]:
        check_memory(self.path, self.grid.voxels * self.channels * self.dtype.itemsize)
        pixels = self._rows().astype(self.dtype)
        check_finite(self.path, pixels)
        return np.atleast_3d(pixels).transpose(2, 1, 0)[..., None]

    def _rows(self) -> NDArray[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # the head was checked, the rest is Pillow's talk about metadata
            try:
                with Image.open(self.path) as picture:
                    # A label map with a palette keeps its indices: mode P read as L.
                    same = picture.mode == self.mode or (self.mode == "L" and picture.mode == "P")
                    return np.asarray(picture if same else picture.convert(self.mode))
            except (OSError, SyntaxError, ValueError) as error:
                raise _unreadable(self.path, str(error)) from error


def open_scan(path: Path, *, indices: bool = False) -> PictureSource | slide.SlideSource:
    """Read and check the picture's head. With ``indices`` a palette's indices are the values (a label map).

    A tiled TIFF of more pixels than Pillow takes is a slide.

    Raises:
        InputError: no picture, several pages, too many pixels, or a kind of pixels such as CMYK.
    """
    must_exist(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as picture:
                return PictureSource(path, _grid(picture), _mode(path, picture, indices))
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            found = slide.open_slide(path)
            if found is None:
                raise _too_large(path, str(error)) from error
            return found
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
            raise _unreadable(path, str(error)) from error


def is_slide(path: Path) -> bool:
    """Whether `open_scan` takes a file for a slide; False for one that cannot be read, which is said when it is."""
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
            remedy="Save a stack of slices as .nii.gz or .nrrd, or each page as a file of its own.",
        )
    if indices and picture.mode == "P":
        return "L"
    mode = _AS_READ.get(picture.mode, picture.mode)
    if mode not in _TYPES:
        raise InputError(
            path,
            expected="grey or RGB pixels",
            found=f"pixels of the kind {picture.mode}",
            remedy="Convert the picture to grey or RGB.",
        )
    _warn_of_loss(path, picture)
    return mode


def _warn_of_loss(path: Path, picture: Image.Image) -> None:
    if picture.mode in ("RGBA", "LA", "PA"):
        log.warning("%s: the alpha channel (transparency) is left out", path.name)
    if picture.mode.startswith("RGB") and "16" in str(getattr(picture, "tile", "")):
        log.warning("%s: 16-bit colours are read as 8-bit ones", path.name)


def _unreadable(path: Path, found: str) -> InputError:
    return InputError(
        path,
        expected="a picture that can be read",
        found=found,
        remedy="The file is incomplete or damaged: copy it again.",
    )


def _too_large(path: Path, message: str) -> InputError:
    """Pillow's message names the number of pixels first."""
    return InputError(
        path,
        expected=f"a picture of at most {Image.MAX_IMAGE_PIXELS} pixels",
        found=f"{re.findall('[0-9]+', message)[0]} pixels",
        remedy="Cut it into tiles."
        if path.suffix.lower() not in SLIDES
        else f"Save it as a tiled TIFF, and have the extra that reads those installed: {slide.INSTALL}",
    )


def save(path: Path, volume: Volume) -> None:
    """Write a flat volume atomically: one channel grey, three channels RGB.

    Raises:
        InputError: several planes, another number of channels, or a type that the format cannot hold.
    """
    array = volume.array.astype(np.uint8) if volume.dtype == np.bool_ else volume.array
    check_fits(path, array.shape, array.dtype)
    if _is_slide(path, volume):
        slide.save(path, volume)
        return
    rows = np.ascontiguousarray(array[..., 0].transpose(2, 1, 0))
    # By way of memory: Pillow itself takes no notice when a disk becomes full within a TIFF.
    content = io.BytesIO()
    Image.fromarray(rows if volume.channels == 3 else rows[..., 0]).save(
        content, _FORMATS[path.suffix.lower()]
    )
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _is_slide(path: Path, volume: Volume) -> bool:
    """Whether a label map is one that Pillow would not read again, and can be written tile by tile."""
    large = volume.grid.voxels > (Image.MAX_IMAGE_PIXELS or math.inf)
    return large and volume.channels == 1 and path.suffix.lower() in SLIDES and slide.installed()


def check_fits(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise an InputError unless a picture of this suffix holds ``shape`` (C, X, Y, Z) of ``dtype``."""
    allowed = _WRITTEN[path.suffix.lower()]
    kind = f"{dtype.kind}{dtype.itemsize}"
    colour = shape[0] == 3 and kind == "u1"
    if shape[3] != 1 or not (shape[0] == 1 or colour) or kind not in allowed:
        raise InputError(
            path,
            expected=f"one plane, grey ({', '.join(np.dtype(each).name for each in allowed)}) or RGB of uint8",
            found=f"the shape {' x '.join(map(str, shape))} (C, X, Y, Z) of {dtype.name}",
            remedy="Choose another suffix, for example .nii.gz.",
        )
