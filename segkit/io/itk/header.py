"""What the text header of an NRRD or MetaImage file says, once it was checked.

segkit reads these headers itself: ITK's readers trust them, and a malformed one can end the whole process.
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
"""Bytes."""
_LONGEST_EDGE, _MOST_AXES = 1 << 40, 16
_COPY = "The file is incomplete, damaged or of a rare kind: copy it again or convert it to .nii.gz."
_OTHER_FILE = " Its voxels are in another file, which must be copied with it."


@dataclass(frozen=True)
class ItkHeader:
    """A header that was checked; the file may still hold fewer voxels than it promises."""

    shape: Shape
    channels: int
    channel_axis: int
    """Place of the channels among the axes of the file, the fastest first; only looked at where there are several."""
    affine: NDArray[np.float64]
    flat: bool
    """Whether the image has two axes."""
    stored: np.dtype[Any]
    """Type in the file, with its byte order."""
    encoding: Encoding
    data: Path
    """Where the voxels are: the file itself, or the one beside it that it names."""
    start: int
    """Bytes of ``data`` in front of what is encoded."""
    skip: int = 0
    """Bytes in front of the first voxel once the rest is unpacked.

    Below 0 the voxels are the last bytes, but for -1 - skip bytes behind them.
    """

    @property
    def count(self) -> int:
        """Numbers in the file."""
        return int(np.prod([self.channels, *self.shape], dtype=object))

    @property
    def promised(self) -> int:
        """Bytes of all voxels."""
        return self.count * self.stored.itemsize


def refused(path: Path, found: str, *, kind: str = "image") -> InputError:
    """Return the error for a file that cannot be read."""
    remedy = _COPY + (_OTHER_FILE if suffix_of(path) in DETACHED else "")
    return InputError(path, expected=f"a sound {kind} file", found=found, remedy=remedy)


def whole_numbers(path: Path, field: str, words: str, count: int | None = None) -> list[int]:
    """Return the whole numbers of a field; ``count`` of them, where it is given."""
    found = words.split()
    if not all(re.fullmatch(r"[+-]?[0-9]{1,18}", word) for word in found) or count not in (
        None,
        len(found),
    ):
        expected = (
            "whole numbers" if count is None else f"{count} whole number{'s' if count > 1 else ''}"
        )
        raise refused(path, f"{field} {_short(words)}, which should be {expected}")
    return [int(word) for word in found]


def numbers(path: Path, field: str, words: str, count: int) -> list[float]:
    """Return the ``count`` numbers of a field."""
    try:
        found = [float(word) for word in words.split()[: count + 1]]
    except ValueError:
        found = []
    if len(found) != count:
        raise refused(path, f"{field} {_short(words)}, which should be {count} numbers")
    return found


def checked_sizes(path: Path, field: str, words: str, axes: int) -> list[int]:
    """Return the number of voxels along each axis."""
    sizes = whole_numbers(path, field, words, axes)
    if any(size > _LONGEST_EDGE or size < 0 for size in sizes):
        raise refused(path, f"{field} {_short(words)}, which no image has")
    return sizes


def checked_axes(path: Path, field: str, words: str) -> int:
    """Return the number of axes."""
    (axes,) = whole_numbers(path, field, words, 1)
    if not 1 <= axes <= _MOST_AXES:
        raise refused(path, f"{field} {axes}, where 1 to {_MOST_AXES} can be")
    return axes


def image_axes(where: str | Path, sizes: Sequence[int], components: int) -> tuple[Shape, int, int]:
    """Return the voxel axes, the number of channels, and their place among the axes of the file.

    Raises:
        InputError: other than 2 or 3 axes of voxels and at most one of channels, or nothing along one of them.
    """
    if (
        len(sizes) not in (2, 3, 4)
        or (len(sizes) == 4 and components > 1)
        or min([*sizes, components]) < 1
    ):
        raise unlike_image(where, sizes, components)
    x, y, z = (*sizes, 1)[:3]
    return (x, y, z), sizes[3] if len(sizes) == 4 else components, 3 if len(sizes) == 4 else 0


def complex_numbers(where: str | Path, found: str) -> InputError:
    """Return the error for voxels that are no real numbers."""
    return InputError(
        where,
        expected="one real number per voxel and channel",
        found=found,
        remedy="Save the magnitude (or real and imaginary part as two channels) instead.",
    )


def unlike_image(where: str | Path, sizes: Sequence[int], channels: int) -> InputError:
    """Return the error for axes that are not those of an image."""
    return InputError(
        where,
        expected="2 or 3 voxel axes and at most one axis of channels",
        found=f"the shape {' x '.join(map(str, sizes))} with {channels} channels",
        remedy="Save it as one image of 2 or 3 axes, with at most one further axis for channels.",
    )


def data_beside(path: Path, name: str) -> Path:
    """Return the file of voxels that a header names: an ordinary file in its own folder or below.

    Raises:
        InputError: a list or a pattern of files, a place elsewhere, a device or pipe, or no such file.
    """
    if re.match(r"LIST\b", name, re.IGNORECASE) or "%" in name:
        raise refused(path, f"a list or pattern of files as its voxels ({_short(name)})")
    folder = os.path.abspath(path.parent)
    place = os.path.normpath(os.path.join(folder, name))
    if "\0" in name or not place.startswith(os.path.join(folder, "")):
        raise refused(
            path,
            f"voxels in another folder ({_short(name)}), where only a file beside the header is read",
        )
    if os.path.exists(place) and not os.path.isfile(place):
        raise refused(path, f"{_short(name)} as its voxels, which is no ordinary file")
    if not os.path.isfile(place):
        raise refused(path, f"no file {_short(name)}")
    return Path(place)


def lps_affine(
    directions: NDArray[np.float64],
    origin: NDArray[np.float64],
    to_ras: NDArray[np.float64] = LPS_TO_RAS,
) -> NDArray[np.float64]:
    """Return the RAS+ affine of steps (as columns) and an origin; a missing third axis is 1 mm long, to the head."""
    affine = np.eye(4)
    axes = min(3, len(origin))
    affine[:axes, :axes] = directions[:axes, :axes]
    affine[:axes, 3] = origin[:axes]
    return np.asarray(to_ras @ affine)


def _short(words: str) -> str:
    return repr(words if len(words) <= 60 else f"{words[:60]}...")
