"""Write the voxels of an NRRD or MetaImage file in blocks after the header that ITK wrote.

ITK itself would copy all voxels first.
"""

# mypy: allow-untyped-calls
# (isal has no annotations on the calls used here)

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from segkit.files.names import suffix_of
from segkit.io.gzip_stream import gzip_writer
from segkit.io.itk.metaimage_header import END as META_END
from segkit.io.itk.nrrd_header import END as NRRD_END
from segkit.io.memory import in_memory

_ENDS = {".nrrd": NRRD_END, ".mha": META_END}
_BLOCK_BYTES = 16 << 20
"""Size in bytes of the voxels that are compressed together."""
_READ_BYTES = 128 << 20
"""Size in bytes of the voxels that are copied together from a mapped file into memory."""
_LENGTH, _DIGITS = rb"(?m)^CompressedDataSize = .*$", 20
"""Header line of MetaImage with the number of compressed bytes, and the digits to reserve."""


def replace_voxels(path: Path, voxels: NDArray[Any], shape: Sequence[int]) -> None:
    """Replace the single voxel of a compressed file that ITK wrote by all voxels.

    Args:
        path: the file, ``.nrrd`` or ``.mha``.
        voxels: the voxels (C, X, Y, Z).
        shape: the voxel axes of the header: (X, Y, Z), or (X, Y) of a flat image.

    Raises:
        ValueError: ITK wrote a header in another form than is known.
    """
    content = path.read_bytes()
    end = re.search(_ENDS[suffix_of(path)], content)
    if end is None:
        raise ValueError(f"{path}: ITK wrote another header than its format has")
    header, sizes = content[: end.end()], " ".join(map(str, shape)).encode()
    with path.open("wb") as file:
        if suffix_of(path) == ".nrrd":
            ones = rb"(?m)^sizes:(.*?)(?: 1){%d}$" % len(shape)
            file.write(_with_line(header, ones, b"sizes:\\1 " + sizes))
            with gzip_writer(file) as compressed:
                for block in _blocks(voxels):
                    compressed.write(block)
        else:
            header = _with_line(header, rb"(?m)^DimSize = .*$", b"DimSize = " + sizes)
            _write_metaimage(file, header, voxels)


def _write_metaimage(file: IO[bytes], header: bytes, voxels: NDArray[Any]) -> None:
    # The number of compressed bytes is known only at the end, so the header reserves space for it.
    header = _with_line(header, _LENGTH, b"CompressedDataSize = " + b" " * _DIGITS)
    file.write(header)
    stream = isal_zlib.compressobj(level=1)
    for block in _blocks(voxels):
        file.write(stream.compress(block))
    file.write(stream.flush())
    length = str(file.tell() - len(header)).encode()
    file.seek(0)
    file.write(_with_line(header, _LENGTH, b"CompressedDataSize = " + length.ljust(_DIGITS)))


def _with_line(header: bytes, line: bytes, new: bytes) -> bytes:
    changed, count = re.subn(line, new, header, count=1)
    if count != 1:
        raise ValueError(f"a header of ITK without the line {line!r}")
    return changed


def _blocks(voxels: NDArray[Any]) -> Iterator[memoryview]:
    """Yield voxels (C, X, Y, Z) in the order of the file: components of a pixel, then X, Y, Z."""
    channels, width, height, depth = voxels.shape
    line = channels * width * voxels.dtype.itemsize
    planes = max(1, _BLOCK_BYTES // (line * height))
    lines = height if planes > 1 else max(1, _BLOCK_BYTES // line)
    together = planes * max(1, _READ_BYTES // (planes * line * height))
    for first in range(0, depth, together):
        part = in_memory(voxels[..., first : first + together])
        for z, y in itertools.product(range(0, part.shape[3], planes), range(0, height, lines)):
            yield np.ascontiguousarray(part[:, :, y : y + lines, z : z + planes].T).data.cast("B")
