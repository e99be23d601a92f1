"""Named arrays in one memory-mapped file, in the format of safetensors.

The arrays are neither compressed nor chunked: a patch is copied from mapped pages, which all
processes share. The operating system is told beforehand which pages will be read; otherwise it
would read ahead many times as much (benchmarks/store.py compares this with chunks and blosc2).
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from segkit.files.atomic import atomic_path

TYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "I32": np.dtype("<i4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
}
WILL_NEED: int | None = getattr(mmap, "MADV_WILLNEED", None)
"""Advice that pages will be read; None on Windows, which has no such advice."""
SMALL = 1 << 20
"""Size in bytes below which an array is left to the system's own read-ahead."""

LONGEST_HEADER = 1 << 24
"""Largest header in bytes; one line per label is far less."""

METADATA, CHECKSUM = "__metadata__", "crc32"
"""Keys of the checksum in the header; safetensors allows any text under the first."""
CHUNK = 1 << 20
"""Number of bytes that are read in one call."""

Region = tuple[slice, ...]
"""A slice for each axis of an array."""


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """Read-only arrays of a file, which stays mapped as long as any of them exists."""

    path: Path
    arrays: dict[str, NDArray[Any]]
    starts: dict[str, int]
    """Offset in bytes of each array in the file."""
    mapped: mmap.mmap

    def will_read(self, name: str, region: Region) -> None:
        """Advise the system to load a region of an array, which is read next.

        Args:
            name: name of the array.
            region: slices along its axes (..., X, Y, Z).
        """
        array = self.arrays[name]
        is_empty = any(edge.start >= edge.stop for edge in region)
        if WILL_NEED is None or array.nbytes < SMALL or is_empty:
            return
        *planes, y, z = region
        length = ((y.stop - 1 - y.start) * array.shape[-1] + z.stop - z.start) * array.itemsize
        for plane in np.ndindex(*(edge.stop - edge.start for edge in planes)):
            first = (
                *(edge.start + step for edge, step in zip(planes, plane, strict=True)),
                y.start,
                z.start,
            )
            start = self.starts[name] + sum(
                n * stride for n, stride in zip(first, array.strides, strict=True)
            )
            before = start % mmap.PAGESIZE
            self.mapped.madvise(WILL_NEED, start - before, before + length)


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write contiguous arrays atomically.

    Arrays with larger types come first, so that all are aligned.

    Raises:
        InputError: the folder cannot be written to, or the disk is full.
    """
    names = {dtype: name for name, dtype in TYPES.items()}
    ordered = sorted(arrays.items(), key=lambda item: -item[1].itemsize)
    header: dict[str, Any] = {}
    end = checksum = 0
    for name, array in ordered:
        offsets = [end, end + array.nbytes]
        header[name] = {
            "dtype": names[array.dtype],
            "shape": list(array.shape),
            "data_offsets": offsets,
        }
        end += array.nbytes
        checksum = isal_zlib.crc32(_bytes(array), checksum)
    text = json.dumps({METADATA: {CHECKSUM: _with_header(checksum, header)}, **header}).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in ordered:
            file.write(_bytes(array))


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _with_header(checksum: int, header: Mapping[str, Any]) -> str:
    """Return the checksum of the arrays and of their header as 8 hexadecimal digits."""
    return f"{isal_zlib.crc32(json.dumps(header).encode(), checksum):08x}"


def map_arrays(path: Path, *, verify: bool = False) -> ArrayFile | None:
    """Map the arrays of a file.

    The result is None if the file is missing or incomplete, for example after a power cut.

    Args:
        path: the file.
        verify: read every byte, and return None if the checksum differs. Files of older versions
            have no checksum and are accepted.
    """
    try:
        with path.open("rb") as file:
            # Read the header instead of mapping it: otherwise the system reads megabytes around it.
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(size, LONGEST_HEADER)))
            written = header.pop(METADATA)[CHECKSUM] if METADATA in header else None
            if verify and written is not None and written != _with_header(_checksum(file), header):
                return None
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        first = 8 + size
        if first + max(entry["data_offsets"][1] for entry in header.values()) != len(mapped):
            return None
        starts = {name: first + entry["data_offsets"][0] for name, entry in header.items()}
        arrays = {name: _array(mapped, entry, starts[name]) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return ArrayFile(path, arrays, starts, mapped)


def _checksum(file: BinaryIO) -> int:
    """Return the CRC-32 of the rest of a file."""
    buffer, checksum = bytearray(CHUNK), 0
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        checksum = isal_zlib.crc32(memoryview(buffer)[:count], checksum)
    return checksum


def _array(mapped: mmap.mmap, entry: dict[str, Any], start: int) -> NDArray[Any]:
    shape = entry["shape"]
    return np.frombuffer(mapped, TYPES[entry["dtype"]], math.prod(shape), start).reshape(shape)
