"""Read the headers of DICOM files, and decompress no more of a file than its header promises.

A zip member, or a file in the deflated transfer syntax, may expand to a thousand times its size.
The number of bytes that are decompressed is therefore limited by the size of the pixels according
to the header.
"""

# mypy: allow-untyped-calls
# (parts of pydicom have no annotations)

from __future__ import annotations

import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from threading import RLock
from typing import IO, BinaryIO, cast

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_partial, read_preamble
from pydicom.tag import BaseTag, Tag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from segkit.errors import InputError, SegkitError
from segkit.io.dicom.files.dicom_file import DicomFile
from segkit.io.limits import check_memory
from segkit.units import size_text

_PIXEL_TAGS = {Tag(name): name for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")}
_LONG_ELEMENT = 1 << 16
"""Size in bytes from which an element is left in the file when a header is read."""
_HEADER_BYTES = 64 << 20
"""Largest number of bytes that are decompressed to find a header."""
_BYTES_BESIDE_PIXELS = 64 << 20
"""Largest number of bytes in a file in addition to the pixels that its header promises."""
_UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM, _END_OF_SEQUENCE = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_QUIET_LOCK = RLock()


@dataclass(frozen=True, eq=False)
class ImageHeader:
    """Header of an image file: the elements before the pixels; long ones are read on demand."""

    header: Dataset
    pixels: str | None
    """Keyword of the element that holds the pixels, or None if there is none."""
    is_complete: bool
    """True if the file is as long as its pixel element and header require."""


def read_header(file: DicomFile) -> Dataset:
    """Return the elements before the pixels; long ones are read on demand.

    Raises:
        InputError: the file is not DICOM, or is damaged.
    """
    return read_image_header(file).header


def read_image_header(file: DicomFile) -> ImageHeader:
    """Read a header, and determine whether the pixels after it are complete.

    Raises:
        InputError: the file is not DICOM, or is damaged.
    """
    stop = _StopAtPixels()
    with guarded(file), file.open(_HEADER_BYTES) as packed:
        stream = _inflated(file, packed, _HEADER_BYTES, strict=False)
        header = read_partial(cast(BinaryIO, stream), stop, defer_size=_LONG_ELEMENT, force=True)
        is_complete = (
            stream is not packed
            or stop.length is None
            or _is_complete(stream, stop, header, file.size)
        )
    return ImageHeader(header, stop.pixels, is_complete)


@contextmanager
def opened(file: DicomFile, header: Dataset) -> Iterator[IO[bytes]]:
    """Open a file whose header was read; a compressed one is expanded up to the promised size.

    Raises:
        InputError: the file holds more bytes than its header promises, or than fit into memory.
    """
    limit = _BYTES_BESIDE_PIXELS + 2 * _pixel_bytes(header)
    if file.member and file.size > limit:
        raise _more_than_promised(file, limit)
    with file.open() as packed:
        yield _inflated(file, packed, limit, strict=True)


class _StopAtPixels:
    """Callback of pydicom for each element: stops at the pixel element and records its kind."""

    pixels: str | None = None
    """Keyword of the element that holds the pixels."""
    length: int | None = None
    """Length of the pixel element in bytes."""
    header_bytes = 0
    """Number of bytes of the pixel element before its value."""

    def __call__(self, tag: BaseTag, representation: str | None, length: int) -> bool:
        self.pixels = _PIXEL_TAGS.get(tag)
        if self.pixels:
            self.length, self.header_bytes = length, 8 if representation is None else 12
        return self.pixels is not None


def _is_complete(stream: IO[bytes], stop: _StopAtPixels, header: Dataset, size: int) -> bool:
    """Return whether the pixels, or the last fragment of compressed pixels, end within the file.

    ``stream`` is positioned at the pixel element.
    """
    offset = stream.tell() + stop.header_bytes
    if stop.length != _UNDEFINED_LENGTH:
        length = stop.length or 0
        return offset + min(length, _pixel_bytes(header) or length) <= size
    while offset + 8 <= size:
        stream.seek(offset)
        start = stream.read(8)
        if start[:4] != _ITEM:
            # Anything that is not a fragment is left to the decoder. If nothing could be read, the
            # rest of the file lies beyond the part that was decompressed.
            return start[:4] == _END_OF_SEQUENCE or len(start) == 8 or size > _HEADER_BYTES
        offset += 8 + int.from_bytes(start[4:], "little")
    return offset == size


def _pixel_bytes(header: Dataset) -> int:
    """Return the number of bytes of the uncompressed pixels according to the header."""
    rows, columns = (int(header.get(name) or 0) for name in ("Rows", "Columns"))
    frames, samples = (int(header.get(name) or 1) for name in ("NumberOfFrames", "SamplesPerPixel"))
    bits = int(header.get("BitsAllocated") or 8)
    return max(0, rows * columns * frames * samples * bits // 8)


def _inflated(file: DicomFile, stream: IO[bytes], limit: int, *, strict: bool) -> IO[bytes]:
    """Return the stream of a file with its dataset inflated, if it was deflated.

    Args:
        file: the file, for messages.
        stream: the stored bytes of the file.
        limit: number of bytes after which to stop.
        strict: raise an error if there are more bytes than ``limit``, or if the stream ends early.
    """
    start = _start_of_deflated(stream)
    stream.seek(0)
    if start is None:
        return stream
    old, new = str(DeflatedExplicitVRLittleEndian).encode(), str(ExplicitVRLittleEndian).encode()
    inflated = BytesIO(stream.read(start).replace(old, new.ljust(len(old), b"\0")))
    inflated.seek(0, 2)
    unpacker, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while (packed := unpacker.unconsumed_tail or stream.read(1 << 16)) and (
        strict or size <= limit
    ):
        size += inflated.write(unpacker.decompress(packed, 1 << 20))
        if strict and size > limit:
            raise _more_than_promised(file, limit)
        check_memory(str(file), 1 << 20)
    if strict and not unpacker.eof:
        raise InputError(
            str(file),
            expected="a complete deflated file",
            found="one that ends too early",
            remedy="Copy the file again.",
        )
    inflated.seek(0)
    return inflated


def _start_of_deflated(stream: IO[bytes]) -> int | None:
    """Return the offset of the deflated dataset, or None for another transfer syntax.

    The file meta information is read as pydicom reads it.
    """
    binary = cast(BinaryIO, stream)
    read_preamble(binary, force=True)
    start = stream.tell()
    for implicit in (False, True):
        stream.seek(start)
        meta = read_dataset(binary, implicit, True, stop_when=lambda tag, *_: tag >> 16 != 2)
        try:
            syntax = meta.get("TransferSyntaxUID")
        except NotImplementedError:  # the VR encoding is not the one that was tried
            continue
        return stream.tell() if syntax == DeflatedExplicitVRLittleEndian else None
    return None


def _more_than_promised(file: DicomFile, limit: int) -> InputError:
    return InputError(
        str(file),
        expected=f"at most {size_text(limit)} unpacked, by the pixels that its header promises",
        found="more",
        remedy="The file is damaged or malicious: do not use it.",
    )


@contextmanager
def guarded(where: object) -> Iterator[None]:
    """Turn any exception that damaged headers raise inside pydicom into an InputError.

    Warnings and log lines of pydicom are suppressed, as by `quiet`.
    """
    try:
        with quiet():
            yield
    except (SegkitError, MemoryError):
        raise
    except Exception as error:
        raise InputError(
            str(where),
            expected="DICOM that follows its standard",
            found=f"{type(error).__name__}: {error}",
            remedy="The file is incomplete or damaged: copy it again, or leave it out.",
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings and log lines of pydicom; serious problems raise exceptions.

    A lock admits one thread at a time, because warning filters and log levels are global.
    """
    logger = logging.getLogger("pydicom")
    with _QUIET_LOCK:
        level = logger.level
        logger.setLevel(logging.CRITICAL + 1)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logger.setLevel(level)
