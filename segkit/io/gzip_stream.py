"""Gzip and zlib by isal, three times as fast as the standard library, and never more unpacked than was asked for."""

# mypy: allow-untyped-calls
# (isal has no annotations on the calls used here)

from __future__ import annotations

import bz2
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from segkit.errors import InputError

LARGEST_RATIO = 1032
"""Deflate cannot pack better than this (zlib's technical notes)."""
_PACKED_RATIO, _PADDING = 2, 1 << 20
"""Packed bytes that are read of a stream at the most: so many for each that is wanted, which no packer needs, and so
many more for what stands around them."""
_AT_ONCE = 1 << 20
"""Bytes."""
_DAMAGED = "The file is incomplete or damaged: copy or download it again."
_ERRORS: tuple[Any, ...] = (
    EOFError,
    OSError,
    zlib.error,
    isal_zlib.error,
)  # isal types its error as a value


def is_gzip(path: Path, start: int = 0) -> bool:
    """Whether such a stream begins at this byte: a wrong suffix does no harm."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(2) == b"\x1f\x8b"


def first_bytes(path: Path, count: int, *, start: int = 0, form: str = "") -> bytes:
    """At most ``count`` bytes of a file from the byte ``start`` on, or of the stream that begins there.

    Raises:
        InputError: a damaged stream.
    """
    with _reading(path, count, start, form) as file:
        found = bytearray()
        while len(found) < count and (piece := file.read(min(count - len(found), _AT_ONCE))):
            found += piece
        return bytes(found)


def unpack(path: Path, promised: int, *, start: int = 0, form: str = "") -> NDArray[np.uint8]:
    """The first ``promised`` bytes of the stream that begins at a byte of a file; at its end its checksum is compared.

    Raises:
        InputError: a damaged or shorter stream.
    """
    unpacked = np.empty(promised, np.uint8)
    held = 0
    with _reading(path, promised, start, form) as file:
        # Some at a time: isal's reader makes as much as it is asked for before it copies it.
        while held < promised and (count := file.readinto(unpacked.data[held : held + _AT_ONCE])):
            held += count
        file.read(1)  # reaching the end is what makes isal compare the checksum
    if held < promised:
        raise too_short(path, promised, str(held))
    return unpacked


class _Limited(io.RawIOBase):
    """The first bytes of a file. Zeros behind a gzip stream are skipped, and there may be gigabytes of them."""

    def __init__(self, file: io.FileIO, count: int) -> None:
        self._file, self._left = file, count

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(memoryview(buffer)[: self._left]) or 0
        self._left -= count
        return count


class _Unpacked(io.RawIOBase):
    """What a stream of zlib or bzip2 holds."""

    def __init__(self, file: io.RawIOBase, form: str) -> None:
        self._file, self._packed = file, b""
        self._stream: Any = bz2.BZ2Decompressor() if form == "bzip2" else isal_zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = b""
        while not found and not self._stream.eof:
            if not self._packed and getattr(self._stream, "needs_input", True):
                self._packed = self._file.read(_AT_ONCE) or b""
                if not self._packed:
                    raise EOFError("the stream ended before its end was marked")
            found = self._stream.decompress(self._packed, min(len(buffer), _AT_ONCE))
            self._packed = getattr(self._stream, "unconsumed_tail", b"")  # bzip2 keeps what is left
        buffer[: len(found)] = found
        return len(found)


@contextmanager
def _reading(path: Path, wanted: int, start: int = 0, form: str = "") -> Iterator[Any]:
    """A file from the byte ``start`` on, or the stream that begins there, of which ``wanted`` bytes will be read.

    ``form`` is zlib, gzip or bzip2; without it the file itself is read unless gzip begins there.
    """
    try:
        with path.open("rb", buffering=0) as raw:
            raw.seek(start)
            packed = _Limited(raw, _PACKED_RATIO * wanted + _PADDING)
            if form != "bzip2" and is_gzip(path, start):
                yield igzip.IGzipFile(fileobj=packed)
            else:
                yield _Unpacked(packed, form) if form else raw
    except _ERRORS as error:
        raise InputError(
            path, expected="a file that can be read", found=str(error), remedy=_DAMAGED
        ) from error


@contextmanager
def packing(file: IO[bytes]) -> Iterator[Any]:
    """A gzip stream into ``file``, without name and time: the same bytes in give the same bytes out."""
    with igzip.IGzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
        yield packed


def too_short(path: Path, promised: int, held: str) -> InputError:
    """The error for a header that promises more than the file holds."""
    return InputError(
        path,
        expected=f"{promised} bytes as its header promises",
        found=f"{held} bytes",
        remedy=_DAMAGED,
    )
