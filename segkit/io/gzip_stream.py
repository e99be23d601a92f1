"""Bounded reading of gzip, zlib and bzip2 streams, and writing of gzip.

The package isal is three times as fast as the standard library. No more bytes are decompressed
than the caller asks for, so a small malicious file cannot fill the memory.
"""

# mypy: allow-untyped-calls
# (isal has no annotations on the calls used here)

from __future__ import annotations

import bz2
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from segkit.errors import InputError

LARGEST_RATIO = 1032
"""Largest compression ratio of deflate (zlib technical details)."""
_PACKED_RATIO, _PADDING = 2, 1 << 20
"""Most compressed bytes to read: a factor of the bytes wanted, plus a constant for headers.

Compressed data never take more than this, even if they cannot be compressed.
"""
_CHUNK = 1 << 20
"""Number of bytes that are read or decompressed at a time."""
_DAMAGED = "The file is incomplete or damaged: copy or download it again."
_ERRORS: tuple[Any, ...] = (EOFError, OSError, zlib.error, isal_zlib.error)
"""Errors raised for a damaged stream; typed as Any, because isal annotates its error as a value."""


def is_gzip(path: Path, start: int = 0) -> bool:
    """Return whether a gzip stream begins at byte ``start`` of a file, whatever its suffix."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(2) == b"\x1f\x8b"


def first_bytes(path: Path, count: int, *, start: int = 0, form: str = "") -> bytes:
    """Return at most the first ``count`` bytes of a file or of a compressed stream in it.

    Args:
        path: the file.
        count: largest number of bytes to return.
        start: byte of the file at which reading begins.
        form: "zlib", "gzip" or "bzip2". By default the bytes are returned as stored, unless a gzip
            stream begins at ``start``.

    Raises:
        InputError: the stream is damaged.
    """
    with _reading(path, count, start, form) as file:
        content = bytearray()
        while len(content) < count and (chunk := file.read(min(count - len(content), _CHUNK))):
            content += chunk
        return bytes(content)


def unpack(path: Path, promised: int, *, start: int = 0, form: str = "") -> NDArray[np.uint8]:
    """Return the first ``promised`` bytes of a compressed stream, and verify a gzip checksum.

    Args:
        path: the file.
        promised: number of bytes that the header of the image promises.
        start: byte of the file at which the stream begins.
        form: "zlib", "gzip" or "bzip2"; by default gzip.

    Raises:
        InputError: the stream is damaged or shorter.
    """
    unpacked = np.empty(promised, np.uint8)
    filled = 0
    with _reading(path, promised, start, form) as file:
        # In chunks, because isal's reader first allocates a buffer for all the bytes requested.
        while filled < promised and (
            count := file.readinto(unpacked.data[filled : filled + _CHUNK])
        ):
            filled += count
        file.read(1)  # isal verifies the checksum when it reaches the end
    if filled < promised:
        raise too_short(path, promised, str(filled))
    return unpacked


def unpacked_blocks(
    path: Path, sizes: Iterable[int], *, start: int = 0, form: str = ""
) -> Iterator[NDArray[np.uint8]]:
    """Yield the bytes of a compressed stream in blocks of these sizes, and keep none of them.

    Args:
        path: the file.
        sizes: number of bytes of each block, in the order of the stream.
        start: byte of the file at which the stream begins.
        form: "zlib", "gzip" or "bzip2"; by default gzip.

    Raises:
        InputError: the stream is damaged or shorter.
    """
    sizes = list(sizes)
    with _reading(path, sum(sizes), start, form) as file:
        for number, size in enumerate(sizes):
            block, filled = np.empty(size, np.uint8), 0
            while filled < size and (count := file.readinto(block.data[filled:][:_CHUNK])):
                filled += count
            if filled < size:
                raise too_short(path, sum(sizes), str(sum(sizes[:number]) + filled))
            yield block
        file.read(1)  # isal verifies the checksum when it reaches the end


class _Limited(io.RawIOBase):
    """Reader of the first bytes of a file.

    Without the limit, isal would read all zeros that follow a gzip stream, possibly gigabytes.
    """

    def __init__(self, file: io.FileIO, count: int) -> None:
        self._file, self._left = file, count

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(memoryview(buffer)[: self._left]) or 0
        self._left -= count
        return count


class _Unpacked(io.RawIOBase):
    """Reader of a zlib or bzip2 stream."""

    def __init__(self, file: io.RawIOBase, form: str) -> None:
        self._file, self._packed = file, b""
        self._stream: Any = bz2.BZ2Decompressor() if form == "bzip2" else isal_zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        unpacked = b""
        while not unpacked and not self._stream.eof:
            is_hungry = not self._packed and getattr(self._stream, "needs_input", True)
            if is_hungry:
                self._packed = self._file.read(_CHUNK) or b""
            is_over = is_hungry and not self._packed
            # zlib may have taken all input, and still hold output that did not fit into the buffer.
            unpacked = self._stream.decompress(self._packed, min(len(buffer), _CHUNK))
            if is_over and not unpacked and not self._stream.eof:
                raise EOFError("the stream ended before its end was marked")
            # bz2 keeps its unconsumed input itself.
            self._packed = getattr(self._stream, "unconsumed_tail", b"")
        buffer[: len(unpacked)] = unpacked
        return len(unpacked)


@contextmanager
def _reading(path: Path, wanted: int, start: int = 0, form: str = "") -> Iterator[Any]:
    """Yield a reader of the bytes from ``start`` on, or of the compressed stream that begins there.

    The caller must not read more than ``wanted`` bytes; ``form`` is as in `first_bytes`.
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
        is_cut = isinstance(error, EOFError)
        raise InputError(
            path,
            expected="a file that can be read",
            found="a compressed file that ends too early" if is_cut else str(error),
            remedy=_DAMAGED,
        ) from error


@contextmanager
def gzip_writer(file: IO[bytes]) -> Iterator[Any]:
    """Yield a writer of a gzip stream into ``file``.

    The stream holds neither file name nor time, so that equal content gives identical files.
    """
    with igzip.IGzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
        yield packed


def too_short(path: Path, promised: int, found: str) -> InputError:
    """Return the error for a file that holds fewer bytes than its header promises.

    Args:
        path: the file.
        promised: number of bytes that the header promises.
        found: number of bytes found, as text.
    """
    return InputError(
        path,
        expected=f"{promised} bytes as its header promises",
        found=f"{found} bytes",
        remedy=_DAMAGED,
    )
