"""Blocks of the channels of a scan, read one after the other so that memory holds few planes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.gzip_stream import is_gzip, unpacked_blocks
from segkit.io.itk.reader import ItkSource
from segkit.io.nifti.reader import NiftiSource
from segkit.io.scans import open_source
from segkit.volume import VolumeSource

BLOCK_VALUES = 1 << 20
"""Most values that are read at a time, unless those of a single plane are more."""

ChannelBlock = tuple[int, int, NDArray[Any]]
"""Channel, first plane, and the values (X, Y, planes)."""


def channel_blocks(path: str | Path) -> Iterator[ChannelBlock]:
    """Yield blocks of planes of every channel, which together are the whole scan.

    Compressed NIfTI, NRRD and MetaImage files are unpacked as they are read and never held as a
    whole. Only rare files are, which segkit does not write: values as text, or compressed values
    whose place counts from the end of the stream.

    Raises:
        InputError: the file cannot be used.
    """
    source = open_source(path)
    if isinstance(source, NiftiSource) and is_gzip(source.path) and source.header.samples == 1:
        yield from _unpacked_nifti(source)
    elif isinstance(source, ItkSource) and _is_stream(source):
        yield from _unpacked_itk(source)
    else:
        for start, stop in _planes(source, source.channels):
            for channel, values in enumerate(source.planes(start, stop)):
                yield channel, start, values


def _unpacked_nifti(source: NiftiSource) -> Iterator[ChannelBlock]:
    header = source.header
    width, height, _ = source.grid.shape
    plane = width * height * header.stored.itemsize
    planes = _planes(source, 1)
    sizes = [(stop - start) * plane for start, stop in planes]
    places = [(channel, start) for channel in range(header.volumes) for start, _ in planes]
    blocks = unpacked_blocks(source.path, [header.offset, *sizes * header.volumes])
    next(blocks)
    for (channel, start), block in zip(places, blocks, strict=True):
        numbers = np.frombuffer(block, header.stored).reshape(-1, height, width).transpose(2, 1, 0)
        if header.scale is not None:
            numbers = (numbers * header.scale[0] + header.scale[1]).astype(source.dtype)
        yield channel, start, numbers


def _is_stream(source: ItkSource) -> bool:
    header = source.header
    return header.encoding in ("gzip", "zlib", "bzip2") and header.skip >= 0


def _unpacked_itk(source: ItkSource) -> Iterator[ChannelBlock]:
    """Yield the blocks of a compressed NRRD or MetaImage file.

    Its channels are an axis of the file: the slowest one, so that the channels follow each other,
    or a faster one, so that each plane has all of them.
    """
    header = source.header
    width, height, _ = source.grid.shape
    apart = header.channel_axis == AXES
    together = 1 if apart else header.channels
    plane = width * height * together * header.stored.itemsize
    planes = _planes(source, together)
    places = [(first, start) for first in range(header.channels // together) for start, _ in planes]
    sizes = [(stop - start) * plane for start, stop in planes] * (header.channels // together)
    blocks = unpacked_blocks(
        header.data, [header.skip, *sizes], start=header.start, form=header.encoding
    )
    next(blocks)
    axis = 0 if apart else header.channel_axis
    for (first, start), block in zip(places, blocks, strict=True):
        shape = [width, height, block.size // plane]
        shape.insert(axis, together)
        # In the file the first axis is the fastest.
        stored = block.view(header.stored).astype(source.dtype, copy=False)
        numbers = np.moveaxis(stored.reshape(shape[::-1]).T, axis, 0)
        for channel, values in enumerate(numbers, start=first):
            yield channel, start, values


AXES = 3
"""Number of axes of a scan, beside that of its channels."""


def _planes(source: VolumeSource, channels: int) -> list[tuple[int, int]]:
    """Return the planes (start, stop) of each block, if so many channels are read together."""
    width, height, depth = source.grid.shape
    step = max(1, BLOCK_VALUES // (width * height * channels))
    return [(start, min(start + step, depth)) for start in range(0, depth, step)]
