"""Large files of plain numbers are mapped, not read: a page comes when it is used and goes when that is done.

So a scan may be larger than the memory. The pages that were dropped mostly stay in the system's cache of files, which
gives way to whoever needs memory. A file must not be changed while it is mapped.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from segkit.files.atomic import unwritable
from segkit.io.scaled import ScaledArray, as_stored, is_scaled
from segkit.units import size_text

MAPPED_FROM = 64 << 20
"""Bytes of voxels; smaller files are read, and may then be changed."""
BLOCK_VOXELS = 1 << 20
"""Voxels that are looked at together."""
BLOCK_SPAN = 64 << 20
"""Bytes of a mapped file from the first to the last of them."""
_DROP: int | None = getattr(mmap, "MADV_DONTNEED", None)
"""Windows takes no such advice."""


class _Mapping(mmap.mmap):
    """A shared map of a file: whatever is dropped of it can be had again, which is not so of every map."""


def map_numbers(path: Path, dtype: np.dtype[Any], count: int, offset: int) -> NDArray[Any]:
    """``count`` numbers from the byte ``offset`` of a file on, read-only; the file must be as long."""
    with path.open("rb") as file:
        return np.frombuffer(
            _Mapping(file.fileno(), 0, access=mmap.ACCESS_READ), dtype, count, offset
        )


def map_scratch(folder: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return zeros of this shape in a mapped file in ``folder`` that has no name and is gone when the array is.

    The space on the disk is reserved now: writing into a mapped file for which a disk has no room ends the process.

    Raises:
        InputError: the folder cannot be made or written to, or its disk has too little room.
    """
    size = max(1, math.prod(shape) * dtype.itemsize)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file.fileno(), size)
            mapping = _Mapping(file.fileno(), size, access=mmap.ACCESS_WRITE)
    except OSError as error:
        room = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        found = (
            f"no room for {size_text(size)} of temporary data"
            if room
            else str(error.strerror or error)
        )
        raise unwritable(folder, found) from error
    return np.frombuffer(mapping, dtype, math.prod(shape)).reshape(shape)


def _reserve(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    zeros = bytes(min(size, 1 << 20))  # macOS and Windows reserve space only for what is written
    for start in range(0, size, len(zeros)):
        os.write(descriptor, zeros[: size - start])


def is_mapped(array: NDArray[Any]) -> bool:
    """Whether an array is, or is a view of, what `map_numbers` gives."""
    return _mapping(array) is not None


def drop_pages(array: NDArray[Any]) -> None:
    """Give back the memory that holds a mapped file; nothing happens to other arrays."""
    mapping = _mapping(array)
    if mapping is not None and _DROP is not None:
        mapping.madvise(_DROP)


def _mapping(array: NDArray[Any]) -> _Mapping | None:
    base: Any = array
    if isinstance(base, ScaledArray):
        base = base.stored
    while isinstance(base, np.ndarray | memoryview):
        base = base.base if isinstance(base, np.ndarray) else base.obj
    return base if isinstance(base, _Mapping) else None


def blocks(array: NDArray[Any], most: int | None = None) -> Iterator[tuple[slice, ...]]:
    """Boxes that cover an array, one behind the other in memory; the pages of a mapped file are dropped after each.

    Of ``most`` voxels, by default BLOCK_VOXELS.
    """
    most = BLOCK_VOXELS if most is None else most
    axis = max(
        range(array.ndim), key=lambda each: (array.shape[each] > 1, abs(array.strides[each]))
    )
    plane = max(1, math.prod(array.shape) // max(1, array.shape[axis]))
    many = max(1, min(most // plane, BLOCK_SPAN // max(1, abs(array.strides[axis]))))
    for start in range(0, array.shape[axis], many):
        box = [slice(None)] * array.ndim
        box[axis] = slice(start, start + many)
        for part in blocks(array[tuple(box)], most) if plane > most else [box]:
            yield tuple(box[axis] if each == axis else span for each, span in enumerate(part))
            drop_pages(array)


def in_memory(array: NDArray[Any]) -> NDArray[Any]:
    """Return a part of a mapped file, wherever its numbers lie there, in memory, of which it takes little more.

    Linux may map 2 MB of a file for each number that is looked at (seen with 6.18 and ext4). Another array is returned
    as it is.
    """
    if not is_mapped(array):
        return array
    numbers, slope, intercept = as_stored(array)
    found = np.empty(numbers.shape, numbers.dtype)
    for box in blocks(numbers):
        found[box] = numbers[box]
    return cast(NDArray[Any], ScaledArray(found, slope, intercept)) if is_scaled(array) else found
