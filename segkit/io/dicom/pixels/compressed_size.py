"""Check the size of compressed frames against the header before memory is allocated for them."""

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

_WITH_SIZE = {*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes, *JPEG2000TransferSyntaxes}
"""Transfer syntaxes whose frames state their size."""
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Markers of the JPEG and JPEG-LS segments that state the size of a frame."""
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_RLE_SLACK = 1 << 16
"""Number of bytes by which an RLE frame may exceed twice the size of its pixels."""


def wrong_size(dataset: Dataset) -> str:
    """Describe the first compressed frame whose size differs from the header; "" if none does."""
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in _WITH_SIZE:
        for frame in _frames(dataset):
            size = size_of(frame)
            if size and size != (rows, columns):
                return (
                    f"a frame of {size[1]} x {size[0]} pixels "
                    f"where the header says {columns} x {rows}"
                )
    if syntax == RLELossless:
        samples = int(dataset.get("SamplesPerPixel") or 1)
        bits = int(dataset.get("BitsAllocated") or 8)
        frame_bytes = rows * columns * samples * bits // 8
        largest = max(map(len, _frames(dataset)), default=0)
        if largest > 2 * frame_bytes + _RLE_SLACK:
            return f"{largest} packed bytes for a frame of {frame_bytes} bytes"
    return ""


def _frames(dataset: Dataset) -> Iterator[bytes]:
    return generate_frames(
        dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1)
    )


def size_of(frame: bytes) -> tuple[int, int] | None:
    """Return the rows and columns that a JPEG, JPEG-LS or JPEG 2000 stream states at its start.

    The result is None if the stream does not state them.

    >>> size_of(bytes.fromhex("ffd8 ffc0 000b 08 0002 0003 01"))
    (2, 3)
    """
    if frame.startswith(_JPEG_2000):
        right, bottom, left, top = (
            int.from_bytes(frame[offset : offset + 4], "big") for offset in (8, 12, 16, 20)
        )
        return bottom - top, right - left
    offset = 2 if frame.startswith(_JPEG) else len(frame)
    while offset + 9 <= len(frame) and frame[offset] == 0xFF:
        marker, length = frame[offset + 1], int.from_bytes(frame[offset + 2 : offset + 4], "big")
        if marker in _START_OF_FRAME:
            size = frame[offset + 5 : offset + 9]
            return int.from_bytes(size[:2], "big"), int.from_bytes(size[2:], "big")
        offset += 1 if marker == 0xFF else 2 + length
    return None
