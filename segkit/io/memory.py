"""Memory for scans: how much is free, and arrays in mapped files for scans larger than that.

Pages of a mapped file are loaded when they are used, and can be dropped afterwards. Dropped pages
mostly stay in the page cache of the operating system, which frees them when memory is needed. A
file must not change while it is mapped.
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

from segkit.errors import OutOfMemoryError
from segkit.files.atomic import unwritable
from segkit.io.scaled import ScaledArray, as_stored, is_scaled
from segkit.machine.memory import memory
from segkit.machine.system_files import ROOT
from segkit.units import size_text

MAPPED_FROM = 64 << 20
"""Size of the voxels in bytes from which a file is mapped; smaller files are read."""
BLOCK_VOXELS = 1 << 20
"""Largest number of voxels of a block."""
BLOCK_SPAN = 64 << 20
"""Largest distance in bytes from the first to the last voxel of a block in a mapped file."""
_ROOT = ROOT
_DROP: int | None = getattr(mmap, "MADV_DONTNEED", None)
"""Advice to drop pages; None on Windows, which has no such advice."""


def available_memory() -> int | None:
    """Return the bytes of memory that this process may still use; None if they are unknown."""
    return memory(_ROOT).free


def resident_memory() -> int:
    """Return the bytes of memory that this process uses (its resident set); 0 if unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, AttributeError, ValueError):
        return 0


def require_memory(where: str | Path, needed: int, what: str, *, limit: int | None = None) -> None:
    """Check that there is enough memory for an operation.

    Args:
        where: the file, for the error message.
        needed: bytes that the operation takes.
        what: plural noun for the data that take the memory, for the error message.
        limit: largest number of bytes that may be used, even if more are free.

    Raises:
        OutOfMemoryError: ``needed`` exceeds the limit or the free memory.
    """
    available = min(
        (size for size in (limit, available_memory()) if size is not None), default=None
    )
    if available is not None and needed > available:
        raise OutOfMemoryError(
            f"{where}: {what} take {size_text(needed)}, and {size_text(available)} may be used. "
            "Use a machine with more memory, or crop the scan."
        )


class _Mapping(mmap.mmap):
    """Memory map made by this module: its pages may be dropped, because the file still has them."""


def map_numbers(path: Path, dtype: np.dtype[Any], count: int, offset: int) -> NDArray[Any]:
    """Return the numbers of a file as a memory-mapped, read-only array with one axis.

    Args:
        path: the file, which the caller has checked to be long enough.
        dtype: type of the numbers.
        count: number of numbers.
        offset: position of the first number in bytes.
    """
    with path.open("rb") as file:
        return np.frombuffer(
            _Mapping(file.fileno(), 0, access=mmap.ACCESS_READ), dtype, count, offset
        )


def map_scratch(folder: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return zeros in a memory-mapped temporary file, which is removed with the array.

    The disk space is reserved immediately, because writing into a mapped file on a full disk
    crashes the process.

    Args:
        folder: folder for the temporary file; it is created if needed.
        shape: shape of the array.
        dtype: type of the array.

    Raises:
        InputError: the folder cannot be created or written, or its disk has too little free space.
    """
    size = max(1, math.prod(shape) * dtype.itemsize)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file.fileno(), size)
            mapping = _Mapping(file.fileno(), size, access=mmap.ACCESS_WRITE)
    except OSError as error:
        reason = str(error.strerror or error)
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            reason = f"no space for {size_text(size)} of temporary data"
        raise unwritable(folder, reason) from error
    return np.frombuffer(mapping, dtype, math.prod(shape)).reshape(shape)


def _reserve(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    zeros = bytes(min(size, 1 << 20))  # macOS and Windows reserve space only for what is written
    for start in range(0, size, len(zeros)):
        os.write(descriptor, zeros[: size - start])


def is_mapped(array: NDArray[Any]) -> bool:
    """Return whether an array is a view of a memory-mapped file."""
    return _mapping(array) is not None


def drop_pages(array: NDArray[Any]) -> None:
    """Drop the pages of a memory-mapped array from memory; other arrays are left alone."""
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
    """Yield boxes, as tuples of slices, that together cover an array in its memory order.

    After each box, the pages of a memory-mapped array are dropped.

    Args:
        array: an array of any shape.
        most: largest number of voxels of a box, by default BLOCK_VOXELS.
    """
    most = BLOCK_VOXELS if most is None else most
    slowest = max(
        range(array.ndim), key=lambda axis: (array.shape[axis] > 1, abs(array.strides[axis]))
    )
    plane = max(1, math.prod(array.shape) // max(1, array.shape[slowest]))
    planes = max(1, min(most // plane, BLOCK_SPAN // max(1, abs(array.strides[slowest]))))
    for start in range(0, array.shape[slowest], planes):
        slab = [slice(None)] * array.ndim
        slab[slowest] = slice(start, start + planes)
        for box in blocks(array[tuple(slab)], most) if plane > most else [slab]:
            yield tuple(slab[axis] if axis == slowest else span for axis, span in enumerate(box))
            drop_pages(array)


def in_memory(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy in memory of a memory-mapped array; any other array is returned unchanged.

    The copy is made in blocks, because Linux may load 2 MB of a file for each number that is read
    (seen with kernel 6.18 and ext4).
    """
    if not is_mapped(array):
        return array
    numbers, slope, intercept = as_stored(array)
    copy = np.empty(numbers.shape, numbers.dtype)
    for box in blocks(numbers):
        copy[box] = numbers[box]
    return cast(NDArray[Any], ScaledArray(copy, slope, intercept)) if is_scaled(array) else copy
