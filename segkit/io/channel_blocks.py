"""Blocks of the channels of a scan, read one after the other so that memory holds few planes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.gzip_stream import is_gzip, unpacked_blocks
from segkit.io.nifti.reader import NiftiSource
from segkit.io.scans import open_source
from segkit.volume import VolumeSource

BLOCK_VALUES = 1 << 20
"""Most values that are read at a time, unless those of a single plane are more."""

ChannelBlock = tuple[int, int, NDArray[Any]]
"""Channel, first plane, and the values (X, Y, planes)."""


def channel_blocks(path: str | Path) -> Iterator[ChannelBlock]:
    """Yield blocks of planes of every channel, which together are the whole scan.

    A gzipped NIfTI file is unpacked as it is read, channel by channel, and never held as a whole.
    Compressed NRRD and MetaImage files are.

    Raises:
        InputError: the file cannot be used.
    """
    source = open_source(path)
    if isinstance(source, NiftiSource) and is_gzip(source.path) and source.header.samples == 1:
        yield from _unpacked(source)
        return
    for start, stop in _planes(source, source.channels):
        for channel, values in enumerate(source.planes(start, stop)):
            yield channel, start, values


def _unpacked(source: NiftiSource) -> Iterator[ChannelBlock]:
    header = source.header
    width, height, _ = source.grid.shape
    planes = _planes(source, 1)
    plane = width * height * header.stored.itemsize
    sizes = [(stop - start) * plane for start, stop in planes]
    places = [(channel, start) for channel in range(header.volumes) for start, _ in planes]
    blocks = unpacked_blocks(source.path, [header.offset, *sizes * header.volumes])
    next(blocks)
    for (channel, start), block in zip(places, blocks, strict=True):
        numbers = np.frombuffer(block, header.stored).reshape(-1, height, width).transpose(2, 1, 0)
        if header.scale is not None:
            numbers = (numbers * header.scale[0] + header.scale[1]).astype(source.dtype)
        yield channel, start, numbers


def _planes(source: VolumeSource, channels: int) -> list[tuple[int, int]]:
    """Return the planes (start, stop) of each block, if so many channels are read together."""
    width, height, depth = source.grid.shape
    step = max(1, BLOCK_VALUES // (width * height * channels))
    return [(start, min(start + step, depth)) for start in range(0, depth, step)]
