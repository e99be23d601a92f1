"""The voxels of NRRD and MetaImage files: mapped where they are many and plain, else read or unpacked once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.gzip_stream import LARGEST_RATIO, first_bytes, too_short, unpack
from segkit.io.itk.header import ItkHeader, refused
from segkit.io.limits import check_memory
from segkit.io.memory_map import MAPPED_FROM, map_numbers

_IN_FRONT = 1 << 20
"""Bytes in front of voxels that are said to be the last of a stream."""
_LONGEST_NUMBER, _OBJECT = 32, 100
"""Bytes of a number in a text, and of it as an object of Python."""


def check_promise(path: Path, header: ItkHeader) -> None:
    """Raise an InputError where the header promises more than its file can hold, or the memory can take."""
    if header.encoding in ("text", "hex"):
        check_memory(path, header.count * _OBJECT)
        return
    held = max(0, header.data.stat().st_size - header.start)
    if header.encoding == "raw":
        _first_byte(path, header, held)
    elif header.encoding != "bzip2" and header.promised > held * LARGEST_RATIO:
        raise too_short(path, header.promised, f"at most {held * LARGEST_RATIO}")
    if header.encoding != "raw" or header.promised < MAPPED_FROM:
        check_memory(path, header.promised)


def read_voxels(path: Path, header: ItkHeader) -> NDArray[Any]:
    """Return the voxels (C, X, Y, Z) in the byte order of this machine.

    Raises:
        InputError: fewer voxels than promised, a damaged stream, or too little memory.
    """
    check_promise(path, header)
    if header.encoding == "raw":
        numbers = _raw(path, header)
    elif header.encoding in ("text", "hex"):
        numbers = _TEXTS[header.encoding](path, header)
    else:
        numbers = _unpacked(path, header)
    numbers = numbers.astype(header.stored.newbyteorder("="), copy=False)
    # The file has its first axis fastest, the channels as one of them.
    sizes = list(header.shape)
    sizes.insert(header.channel_axis, header.channels)
    stored = numbers.reshape(sizes[::-1]).T
    return np.moveaxis(stored, header.channel_axis, 0)


def _raw(path: Path, header: ItkHeader) -> NDArray[Any]:
    first = _first_byte(path, header, header.data.stat().st_size - header.start)
    if header.promised >= MAPPED_FROM:
        return map_numbers(header.data, header.stored, header.count, first)
    return np.fromfile(header.data, header.stored, header.count, offset=first)


def _first_byte(path: Path, header: ItkHeader, held: int) -> int:
    skip = header.skip if header.skip >= 0 else held - header.promised + header.skip + 1
    if skip < 0:
        if header.skip < -1:
            raise refused(path, "a 'byte skip' that leads out of the file")
        raise _too_few(path, header, held)
    if held - skip < header.promised:
        raise _too_few(path, header, held - skip)
    return header.start + skip


def _too_few(path: Path, header: ItkHeader, held: int) -> Exception:
    return refused(
        path, f"fewer voxels than its header promises ({max(0, held)} of {header.promised} bytes)"
    )


def _unpacked(path: Path, header: ItkHeader) -> NDArray[Any]:
    """Return what a stream holds; where the voxels are its last bytes, as much may stand in front of them again."""
    form = header.encoding
    if header.skip >= 0:
        return unpack(header.data, header.promised + header.skip, start=header.start, form=form)[
            header.skip :
        ].view(header.stored)
    most = 2 * header.promised + _IN_FRONT
    content = first_bytes(header.data, most, start=header.start, form=form)
    if len(content) == most:
        raise refused(path, "a stream that is much longer than its header promises")
    last = len(content) + header.skip + 1
    if last < header.promised:
        raise refused(path, "a 'byte skip' that leads out of the file")
    return np.frombuffer(content, header.stored, header.count, last - header.promised)


def _text(path: Path, header: ItkHeader) -> NDArray[Any]:
    words = _words(header).replace(b",", b" ").split(maxsplit=header.count)[: header.count]
    if len(words) < header.count:
        raise refused(
            path, f"fewer voxels than its header promises ({len(words)} of {header.count})"
        )
    try:
        if header.stored.kind == "f":
            return np.array([float(word) for word in words], header.stored)
        return np.array([int(word) for word in words], header.stored)
    except (ValueError, OverflowError) as error:
        raise refused(path, f"words that are no voxels of this type ({error})") from error


def _hex(path: Path, header: ItkHeader) -> NDArray[Any]:
    digits = re.sub(rb"\s", b"", _words(header))[: 2 * header.promised]
    if len(digits) < 2 * header.promised:
        raise refused(
            path,
            f"fewer voxels than its header promises ({len(digits) // 2} of {header.promised} bytes)",
        )
    try:
        return np.frombuffer(bytes.fromhex(digits.decode("ascii")), header.stored)
    except ValueError as error:
        raise refused(path, f"digits that are no voxels ({error})") from error


def _words(header: ItkHeader) -> bytes:
    with header.data.open("rb") as file:
        file.seek(header.start)
        return file.read(header.count * _LONGEST_NUMBER)


_TEXTS = {"text": _text, "hex": _hex}
