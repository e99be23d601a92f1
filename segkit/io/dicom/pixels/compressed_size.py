"""Sizes that compressed frames say of themselves, which must be those of the header before memory is taken for them."""

# mypy: allow-untyped-calls
# (parts of pydicom have no annotations)

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

_SIZED = {*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes}
_START = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Markers of a JPEG or JPEG-LS stream with its size."""
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_RLE_SLACK = 1 << 16
"""Bytes of an RLE frame beside its pixels."""


def wrong_size(dataset: Dataset) -> str:
    """Return what a compressed frame says of its size where that is not what the header says; else nothing."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    syntax = dataset.file_meta.TransferSyntaxUID
    for frame in _frames(dataset) if syntax in _SIZED else ():
        found = size_of(frame)
        if found and found != (rows, columns):
            return f"a frame of {found[1]} x {found[0]} pixels where the header says {columns} x {rows}"
    if syntax == RLELossless:
        pixels = (
            rows
            * columns
            * int(dataset.get("SamplesPerPixel") or 1)
            * int(dataset.get("BitsAllocated") or 8)
            // 8
        )
        largest = max(map(len, _frames(dataset)), default=0)
        if largest > 2 * pixels + _RLE_SLACK:
            return f"{largest} packed bytes for a frame of {pixels} bytes"
    return ""


def _frames(dataset: Dataset) -> Iterator[bytes]:
    return generate_frames(
        dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)
    )


def size_of(frame: bytes) -> tuple[int, int] | None:
    """Return rows and columns by the first bytes of a JPEG, JPEG-LS or JPEG 2000 stream; None where they do not say.

    >>> size_of(bytes.fromhex("ffd8 ffc0 000b 08 0002 0003 01"))
    (2, 3)
    """
    if frame.startswith(_JPEG_2000):
        right, bottom, left, top = (
            int.from_bytes(frame[place : place + 4], "big") for place in (8, 12, 16, 20)
        )
        return bottom - top, right - left
    place = 2 if frame.startswith(_JPEG) else len(frame)
    while place + 9 <= len(frame) and frame[place] == 0xFF:
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4], "big")
        if marker in _START:
            size = frame[place + 5 : place + 9]
            return int.from_bytes(size[:2], "big"), int.from_bytes(size[2:], "big")
        place += 1 if marker == 0xFF else 2 + length
    return None
