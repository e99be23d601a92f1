"""Voxels of NRRD and MetaImage files: memory-mapped if large and plain, else read once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.gzip_stream import LARGEST_RATIO, first_bytes, too_short, unpack
from segkit.io.itk.header import ItkHeader, refused
from segkit.io.limits import check_memory
from segkit.io.memory import MAPPED_FROM, map_numbers

_BYTES_BEFORE = 1 << 20
"""Number of bytes that may precede voxels at the end of a stream, beyond their own size."""
_TEXT_BYTES, _OBJECT_BYTES = 32, 100
"""Number of bytes of a value as text, at most, and as an object of Python."""


def check_size(path: Path, header: ItkHeader) -> None:
    """Check that the file can hold the promised voxels and that they fit into memory.

    Raises:
        InputError: it cannot, or they do not.
    """
    if header.encoding in ("text", "hex"):
        check_memory(path, header.count * _OBJECT_BYTES)
        return
    available = max(0, header.data.stat().st_size - header.start)
    if header.encoding == "raw":
        _first_byte(path, header, available)
    elif header.encoding != "bzip2" and header.promised > available * LARGEST_RATIO:
        raise too_short(path, header.promised, f"at most {available * LARGEST_RATIO}")
    if header.encoding != "raw" or header.promised < MAPPED_FROM:
        check_memory(path, header.promised)


def read_voxels(path: Path, header: ItkHeader) -> NDArray[Any]:
    """Return the voxels (C, X, Y, Z) in the byte order of this machine.

    Raises:
        InputError: the file holds fewer voxels than its header promises or is damaged, or there is
            too little memory.
    """
    check_size(path, header)
    if header.encoding == "raw":
        numbers = _raw(path, header)
    elif header.encoding in ("text", "hex"):
        numbers = _TEXT_READERS[header.encoding](path, header)
    else:
        numbers = _unpacked(path, header)
    numbers = numbers.astype(header.stored.newbyteorder("="), copy=False)
    # In the file the first axis is the fastest, and the channels are one of the axes.
    sizes = list(header.shape)
    sizes.insert(header.channel_axis, header.channels)
    stored = numbers.reshape(sizes[::-1]).T
    return np.moveaxis(stored, header.channel_axis, 0)


def _raw(path: Path, header: ItkHeader) -> NDArray[Any]:
    first = _first_byte(path, header, header.data.stat().st_size - header.start)
    if header.promised >= MAPPED_FROM:
        return map_numbers(header.data, header.stored, header.count, first)
    return np.fromfile(header.data, header.stored, header.count, offset=first)


def _first_byte(path: Path, header: ItkHeader, available: int) -> int:
    """Return the first byte of the voxels in the data file, where ``available`` bytes are data."""
    skip = header.skip if header.skip >= 0 else available - header.promised + header.skip + 1
    if skip < 0:
        if header.skip < -1:
            raise refused(path, "a 'byte skip' that leads out of the file")
        raise _too_few(path, header, available)
    if available - skip < header.promised:
        raise _too_few(path, header, available - skip)
    return header.start + skip


def _too_few(path: Path, header: ItkHeader, found: int) -> Exception:
    return refused(
        path, f"fewer voxels than its header promises ({max(0, found)} of {header.promised} bytes)"
    )


def _unpacked(path: Path, header: ItkHeader) -> NDArray[Any]:
    """Return the voxels of a compressed stream.

    Where the voxels are its last bytes, at most as many bytes and _BYTES_BEFORE may precede them.
    """
    form = header.encoding
    if header.skip >= 0:
        wanted = header.promised + header.skip
        content = unpack(header.data, wanted, start=header.start, form=form)
        return content[header.skip :].view(header.stored)
    most = 2 * header.promised + _BYTES_BEFORE
    unpacked = first_bytes(header.data, most, start=header.start, form=form)
    if len(unpacked) == most:
        raise refused(path, "a stream that is much longer than its header promises")
    end = len(unpacked) + header.skip + 1
    if end < header.promised:
        raise refused(path, "a 'byte skip' that leads out of the file")
    return np.frombuffer(unpacked, header.stored, header.count, end - header.promised)


def _text(path: Path, header: ItkHeader) -> NDArray[Any]:
    words = _words(header).replace(b",", b" ").split(maxsplit=header.count)[: header.count]
    if len(words) < header.count:
        raise refused(
            path, f"fewer voxels than its header promises ({len(words)} of {header.count})"
        )
    parse = float if header.stored.kind == "f" else int
    try:
        return np.array([parse(word) for word in words], header.stored)
    except (ValueError, OverflowError) as error:
        raise refused(path, f"words that are no voxels of this type ({error})") from error


def _hex(path: Path, header: ItkHeader) -> NDArray[Any]:
    digits = re.sub(rb"\s", b"", _words(header))[: 2 * header.promised]
    if len(digits) < 2 * header.promised:
        raise _too_few(path, header, len(digits) // 2)
    try:
        return np.frombuffer(bytes.fromhex(digits.decode("ascii")), header.stored)
    except ValueError as error:
        raise refused(path, f"digits that are no voxels ({error})") from error


def _words(header: ItkHeader) -> bytes:
    with header.data.open("rb") as file:
        file.seek(header.start)
        return file.read(header.count * _TEXT_BYTES)


_TEXT_READERS = {"text": _text, "hex": _hex}
