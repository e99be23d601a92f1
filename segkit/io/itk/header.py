"""Checked text header of an NRRD or MetaImage file, and the checks that both formats share.

segkit parses these headers itself: ITK's readers trust them, and a malformed one can crash the
process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.files.names import DETACHED, suffix_of
from segkit.volume import LPS_TO_RAS, Shape

Encoding = Literal["raw", "gzip", "zlib", "bzip2", "text", "hex"]
LONGEST_HEADER = 1 << 20
"""Largest size in bytes of a header that is read."""
_MOST_VOXELS, _MOST_AXES = 1 << 40, 16
"""Largest number of voxels along an axis, and of axes, that a header may give."""
_COPY = "The file is incomplete, damaged or of a rare kind: copy it again or convert it to .nii.gz."
_OTHER_FILE = " Its voxels are in another file, which must be copied with it."


@dataclass(frozen=True)
class ItkHeader:
    """Header that was checked; the file may still hold fewer voxels than it promises."""

    shape: Shape
    channels: int
    channel_axis: int
    """Index of the channel axis among the axes of the file, the fastest axis first."""
    affine: NDArray[np.float64]
    """Affine (4, 4) from voxel index to mm in RAS+."""
    flat: bool
    """True if the image has two axes."""
    stored: np.dtype[Any]
    """Type in the file, with its byte order."""
    encoding: Encoding
    data: Path
    """File that holds the voxels: the image file itself, or a file next to it."""
    start: int
    """Number of bytes of ``data`` before the encoded voxels."""
    skip: int = 0
    """Number of bytes before the first voxel, after the data are decompressed.

    If negative, the voxels are the last bytes, followed by -1 - ``skip`` further bytes.
    """

    @property
    def count(self) -> int:
        """Number of values in the file: voxels times channels."""
        return int(np.prod([self.channels, *self.shape], dtype=object))

    @property
    def promised(self) -> int:
        """Number of bytes of all voxels."""
        return self.count * self.stored.itemsize


def refused(path: Path, found: str, *, kind: str = "image") -> InputError:
    """Return the error for a file that cannot be read.

    Args:
        path: the file.
        found: what is wrong with it.
        kind: the format, for the message.
    """
    remedy = _COPY + (_OTHER_FILE if suffix_of(path) in DETACHED else "")
    return InputError(path, expected=f"a sound {kind} file", found=found, remedy=remedy)


def whole_numbers(path: Path, field: str, words: str, count: int | None = None) -> list[int]:
    """Return the integers of a header field.

    Args:
        path: the file, for error messages.
        field: name of the field, for error messages.
        words: value of the field.
        count: how many integers it must have; by default any number.

    Raises:
        InputError: other words than integers, or another number of them.
    """
    values = words.split()
    integers = all(re.fullmatch(r"[+-]?[0-9]{1,18}", value) for value in values)
    if not integers or count not in (None, len(values)):
        expected = "whole numbers"
        if count is not None:
            expected = f"{count} whole number{'s' if count > 1 else ''}"
        raise refused(path, f"{field} {_short(words)}, which should be {expected}")
    return [int(value) for value in values]


def numbers(path: Path, field: str, words: str, count: int) -> list[float]:
    """Return the numbers of a header field.

    Args:
        path: the file, for error messages.
        field: name of the field, for error messages.
        words: value of the field.
        count: how many numbers it must have.

    Raises:
        InputError: other words than numbers, or not ``count`` of them.
    """
    try:
        values = [float(word) for word in words.split()[: count + 1]]
    except ValueError:
        values = []
    if len(values) != count:
        raise refused(path, f"{field} {_short(words)}, which should be {count} numbers")
    return values


def checked_sizes(path: Path, field: str, words: str, axes: int) -> list[int]:
    """Return the number of voxels along each axis of a header.

    Args:
        path: the file, for error messages.
        field: name of the field, for error messages.
        words: value of the field.
        axes: number of axes.

    Raises:
        InputError: no such numbers, or one that no image has.
    """
    sizes = whole_numbers(path, field, words, axes)
    if any(size > _MOST_VOXELS or size < 0 for size in sizes):
        raise refused(path, f"{field} {_short(words)}, which no image has")
    return sizes


def checked_axes(path: Path, field: str, words: str) -> int:
    """Return the number of axes of a header, whose field ``field`` has the value ``words``.

    Raises:
        InputError: no number, or one that no image has.
    """
    (axes,) = whole_numbers(path, field, words, 1)
    if not 1 <= axes <= _MOST_AXES:
        raise refused(path, f"{field} {axes}, where 1 to {_MOST_AXES} can be")
    return axes


def image_axes(where: str | Path, sizes: Sequence[int], components: int) -> tuple[Shape, int, int]:
    """Return shape (X, Y, Z), number of channels, and index of the channel axis in the file.

    Args:
        where: the file, for error messages.
        sizes: length of 2 to 4 axes, the fastest first; a fourth axis is that of the channels.
        components: number of values of a pixel, which are channels as well.

    >>> image_axes("scan", (4, 5), 3), image_axes("scan", (4, 5, 6, 2), 1)
    (((4, 5, 1), 3, 0), ((4, 5, 6), 2, 3))

    Raises:
        InputError: another number of axes, more than one axis of channels, or an axis without
            voxels.
    """
    four = len(sizes) == 4
    if len(sizes) not in (2, 3, 4) or (four and components > 1) or min([*sizes, components]) < 1:
        raise _unlike_image(where, sizes, components)
    x, y, z = (*sizes, 1)[:3]
    return ((x, y, z), sizes[3], 3) if four else ((x, y, z), components, 0)


def complex_numbers(where: str | Path, found: str) -> InputError:
    """Return the error for complex voxels; ``found`` is their type in words."""
    return InputError(
        where,
        expected="one real number per voxel and channel",
        found=found,
        remedy="Save the magnitude (or real and imaginary part as two channels) instead.",
    )


def _unlike_image(where: str | Path, sizes: Sequence[int], channels: int) -> InputError:
    return InputError(
        where,
        expected="2 or 3 voxel axes and at most one axis of channels",
        found=f"the shape {' x '.join(map(str, sizes))} with {channels} channels",
        remedy="Save it as one image of 2 or 3 axes, with at most one further axis for channels.",
    )


def data_beside(path: Path, name: str) -> Path:
    """Return the voxel file that a header names, in the folder of the header or below it.

    Args:
        path: the header.
        name: the path of the voxels in it.

    Raises:
        InputError: a list or pattern of files, a path in another folder, a device or pipe, or no
            such file.
    """
    if re.match(r"LIST\b", name, re.IGNORECASE) or "%" in name:
        raise refused(path, f"a list or pattern of files as its voxels ({_short(name)})")
    folder = os.path.abspath(path.parent)
    data = os.path.normpath(os.path.join(folder, name))
    if "\0" in name or not data.startswith(os.path.join(folder, "")):
        raise refused(
            path,
            f"voxels in another folder ({_short(name)}), "
            "where only a file beside the header is read",
        )
    if os.path.exists(data) and not os.path.isfile(data):
        raise refused(path, f"{_short(name)} as its voxels, which is no ordinary file")
    if not os.path.isfile(data):
        raise refused(path, f"no file {_short(name)}")
    return Path(data)


def lps_affine(
    directions: NDArray[np.float64],
    origin: NDArray[np.float64],
    to_ras: NDArray[np.float64] = LPS_TO_RAS,
) -> NDArray[np.float64]:
    """Return the RAS+ affine (4, 4) of directions and an origin.

    Args:
        directions: matrix whose columns are the steps from voxel to voxel in mm: the direction
            cosines times the voxel spacing.
        origin: center of the first voxel in mm.
        to_ras: matrix (4, 4) from the world of both to RAS+; by default from LPS+.

    A missing third axis gets a voxel spacing of 1 mm and points to the head.

    >>> lps_affine(np.diag([2.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0])).diagonal().tolist()
    [-2.0, -2.0, 3.0, 1.0]
    """
    affine = np.eye(4)
    axes = min(3, len(origin))
    affine[:axes, :axes] = directions[:axes, :axes]
    affine[:axes, 3] = origin[:axes]
    return np.asarray(to_ras @ affine)


def _short(words: str) -> str:
    return repr(words if len(words) <= 60 else f"{words[:60]}...")
