"""The voxels of an NRRD or MetaImage file, written piece by piece; ITK, which would copy them, writes the header."""

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
from segkit.io.gzip_stream import packing
from segkit.io.itk.metaimage_header import END as META_END
from segkit.io.itk.nrrd_header import END as NRRD_END
from segkit.io.memory_map import in_memory

_ENDS = {".nrrd": NRRD_END, ".mha": META_END}
_AT_ONCE = 16 << 20
"""Bytes."""
_GATHERED = 128 << 20
"""Bytes of numbers that are taken from a temporary file together, where they may lie far apart."""
_LENGTH, _DIGITS = rb"(?m)^CompressedDataSize = .*$", 20
"""Room in a MetaImage's header for the length of what is packed, which is known last."""


def put_voxels(path: Path, voxels: NDArray[Any], shape: Sequence[int]) -> None:
    """Replace the one voxel of a packed file that ITK wrote by ``voxels`` (C, X, Y, Z), of the ``shape`` X, Y[, Z]."""
    content = path.read_bytes()
    end = re.search(_ENDS[suffix_of(path)], content)
    if end is None:
        raise ValueError(f"{path}: ITK wrote another header than its format has")
    sizes = " ".join(map(str, shape)).encode()
    with path.open("wb") as file:
        if suffix_of(path) == ".nrrd":
            file.write(
                _with(
                    content[: end.end()],
                    rb"(?m)^sizes:(.*?)(?: 1){%d}$" % len(shape),
                    b"sizes:\\1 " + sizes,
                )
            )
            with packing(file) as packed:
                for piece in _pieces(voxels):
                    packed.write(piece)
        else:
            head = _with(content[: end.end()], rb"(?m)^DimSize = .*$", b"DimSize = " + sizes)
            _write_meta(
                file, _with(head, _LENGTH, b"CompressedDataSize = " + b" " * _DIGITS), voxels
            )


def _write_meta(file: IO[bytes], head: bytes, voxels: NDArray[Any]) -> None:
    file.write(head)
    stream = isal_zlib.compressobj(level=1)
    for piece in _pieces(voxels):
        file.write(stream.compress(piece))
    file.write(stream.flush())
    length = str(file.tell() - len(head)).encode()
    file.seek(0)
    file.write(_with(head, _LENGTH, b"CompressedDataSize = " + length.ljust(_DIGITS)))


def _with(head: bytes, line: bytes, new: bytes) -> bytes:
    changed, count = re.subn(line, new, head, count=1)
    if count != 1:
        raise ValueError(f"a header of ITK without the line {line!r}")
    return changed


def _pieces(voxels: NDArray[Any]) -> Iterator[memoryview]:
    """Yield (C, X, Y, Z) in the order of the file: the components of a pixel, then X, Y, Z."""
    channels, width, height, depth = voxels.shape
    line = channels * width * voxels.dtype.itemsize
    planes = max(1, _AT_ONCE // (line * height))
    lines = height if planes > 1 else max(1, _AT_ONCE // line)
    together = planes * max(1, _GATHERED // (planes * line * height))
    for first in range(0, depth, together):
        held = in_memory(voxels[..., first : first + together])
        for z, y in itertools.product(range(0, held.shape[3], planes), range(0, height, lines)):
            yield np.ascontiguousarray(held[:, :, y : y + lines, z : z + planes].T).data.cast("B")
