"""Headers of DICOM files, and streams of them of which no more is unpacked than their headers promise.

A member of a zip and a file of the deflated transfer syntax may unpack to a thousand times their size. What is taken of
them is bounded by the pixels that the header announces, and not by what the stream would give.
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

_PIXELS = {Tag(name): name for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")}
_LONG = 1 << 16
"""Bytes from which on an element is left in the file while headers are read."""
_HEADER_BYTES = 64 << 20
"""All that is unpacked to find a header."""
_BESIDE_PIXELS = 64 << 20
"""Bytes that a file may have beside the pixels that its header promises."""
_UNDEFINED = 0xFFFFFFFF
_ONE_AT_A_TIME = RLock()
_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


@dataclass(frozen=True, eq=False)
class ImageHeader:
    """All elements in front of the pixels but long ones, which stay in the file."""

    header: Dataset
    pixels: str | None
    """The element that holds the pixels, None where there is none."""
    whole: bool
    """The file is as long as that element and the header say."""


def read_header(file: DicomFile) -> Dataset:
    """Return all elements in front of the pixels but long ones.

    Raises:
        InputError: not DICOM, or damaged.
    """
    return read_image_header(file).header


def read_image_header(file: DicomFile) -> ImageHeader:
    """Read a header, and look whether the pixels behind it are all there.

    Raises:
        InputError: not DICOM, or damaged.
    """
    stop = _Stop()
    with guarded(file), file.open(_HEADER_BYTES) as packed:
        stream = _unpacked(file, packed, _HEADER_BYTES, exactly=False)
        header = read_partial(cast(BinaryIO, stream), stop, defer_size=_LONG, force=True)
        whole = (
            stream is not packed
            or stop.length is None
            or _is_whole(stream, stop, header, file.size)
        )
    return ImageHeader(header, stop.pixels, whole)


@contextmanager
def opened(file: DicomFile, header: Dataset) -> Iterator[IO[bytes]]:
    """Open a file whose header is known; one that is packed is unpacked up to what the header promises.

    Raises:
        InputError: it holds more than that, or more than the memory does.
    """
    limit = _BESIDE_PIXELS + 2 * _promised(header)
    if file.member and file.size > limit:
        raise _more_than_promised(file, limit)
    with file.open() as packed:
        yield _unpacked(file, packed, limit, exactly=True)


class _Stop:
    """Called by pydicom with each element: stops in front of the pixels, and keeps what they are."""

    pixels: str | None = None
    length: int | None = None
    start = 0
    """Bytes of the element in front of its value."""

    def __call__(self, tag: BaseTag, representation: str | None, length: int) -> bool:
        self.pixels = _PIXELS.get(tag)
        if self.pixels:
            self.length, self.start = length, 8 if representation is None else 12
        return self.pixels is not None


def _is_whole(stream: IO[bytes], stop: _Stop, header: Dataset, size: int) -> bool:
    """Return whether the pixels in front of which a stream stands end within the file; of fragments, the last one."""
    place = stream.tell() + stop.start
    if stop.length != _UNDEFINED:
        length = stop.length or 0
        return place + min(length, _promised(header) or length) <= size
    while place + 8 <= size:
        stream.seek(place)
        start = stream.read(8)
        if start[:4] != _ITEM:
            # What is no fragment is for the decoder to judge; what could not be read lies behind the part in memory.
            return start[:4] == _END or len(start) == 8 or size > _HEADER_BYTES
        place += 8 + int.from_bytes(start[4:], "little")
    return place == size


def _promised(header: Dataset) -> int:
    """Return bytes of the pixels that a header announces, unpacked."""
    edges = [int(header.get(name) or 0) for name in ("Rows", "Columns")]
    depths = [int(header.get(name) or 1) for name in ("NumberOfFrames", "SamplesPerPixel")]
    bits = int(header.get("BitsAllocated") or 8)
    return max(0, edges[0] * edges[1] * depths[0] * depths[1] * bits // 8)


def _unpacked(file: DicomFile, stream: IO[bytes], limit: int, *, exactly: bool) -> IO[bytes]:
    """Return a stream of a file whose dataset is not deflated; with ``exactly`` more than the limit is an error."""
    start = _deflated_from(stream)
    stream.seek(0)
    if start is None:
        return stream
    old, new = str(DeflatedExplicitVRLittleEndian).encode(), str(ExplicitVRLittleEndian).encode()
    made = BytesIO(stream.read(start).replace(old, new.ljust(len(old), b"\0")))
    made.seek(0, 2)
    unpacker, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while (packed := unpacker.unconsumed_tail or stream.read(1 << 16)) and (
        exactly or size <= limit
    ):
        size += made.write(unpacker.decompress(packed, 1 << 20))
        if exactly and size > limit:
            raise _more_than_promised(file, limit)
        check_memory(str(file), 1 << 20)
    if exactly and not unpacker.eof:
        raise InputError(
            str(file),
            expected="a whole deflated file",
            found="one that ends too soon",
            remedy="Copy the file again.",
        )
    made.seek(0)
    return made


def _deflated_from(stream: IO[bytes]) -> int | None:
    """Return where the deflated part of a file begins; None where it has none. Read as pydicom reads it."""
    binary = cast(BinaryIO, stream)
    read_preamble(binary, force=True)
    start = stream.tell()
    for implicit in (False, True):
        stream.seek(start)
        meta = read_dataset(binary, implicit, True, stop_when=lambda tag, *_: tag >> 16 != 2)
        try:
            syntax = meta.get("TransferSyntaxUID")
        except NotImplementedError:  # not the representation that was tried
            continue
        return stream.tell() if syntax == DeflatedExplicitVRLittleEndian else None
    return None


def _more_than_promised(file: DicomFile, limit: int) -> InputError:
    return InputError(
        str(file),
        expected=f"at most {size_text(limit)} unpacked, by the pixels that its header promises",
        found="more",
        remedy="The file is damaged or made to do harm: do not use it.",
    )


@contextmanager
def guarded(where: object) -> Iterator[None]:
    """Turn whatever damaged headers bring up inside of pydicom into an InputError, and keep it `quiet`."""
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
    """Keep what pydicom warns of and logs from the terminal: what matters is raised.

    One thread at a time: filters of warnings and levels of loggers are those of the whole process.
    """
    logger = logging.getLogger("pydicom")
    with _ONE_AT_A_TIME:
        level = logger.level
        logger.setLevel(logging.CRITICAL + 1)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logger.setLevel(level)
