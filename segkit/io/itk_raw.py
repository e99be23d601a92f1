"""The voxels of NRRD and MetaImage files that are neither packed nor apart from their header, without reading them."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.file_names import suffix_of
from segkit.io.mapped import MAPPED_FROM, map_numbers
from segkit.volume import Grid

_LONGEST_HEADER = 1 << 20
_ENDS = {".nrrd": rb"\r?\n\r?\n", ".mha": rb"ElementDataFile\s*=\s*LOCAL[ \t]*\r?\n"}
"""Behind these voxels begin."""
_SKIPS = ("byte skip", "line skip", "data file", "datafile", "headersize")
"""Words of a header that say that voxels do not begin there."""


def raw_voxels(path: Path, grid: Grid, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Voxels (1, X, Y, Z) of a large file of one channel, mapped; None where ITK has to read them.

    ``grid`` and ``dtype`` are what ITK says of the file. Its length must be that of header and voxels to the byte.
    """
    promised = grid.voxels * dtype.itemsize
    if promised < MAPPED_FROM or suffix_of(path) not in _ENDS:
        return None
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    end = re.search(_ENDS[suffix_of(path)], start)
    if end is None or end.end() + promised != path.stat().st_size:
        return None
    if not _is_plain(start[: end.start()].decode("latin-1"), dtype):
        return None
    x, y, z = grid.shape
    return map_numbers(path, dtype, grid.voxels, end.end()).reshape(1, z, y, x).transpose(0, 3, 2, 1)


def _is_plain(header: str, dtype: np.dtype[Any]) -> bool:
    """Whether numbers of this type stand in the file as this machine has them in memory."""
    fields = {key.strip().lower(): word.strip().lower() for key, word in re.findall(r"([^:=\n]+)[:=]+(.*)", header)}
    if any(word in fields for word in _SKIPS) or fields.get("compresseddata", "false") != "false":
        return False
    if fields.get("encoding", "raw") != "raw" or fields.get("binarydata", "true") != "true":
        return False
    orders = [fields.get(key, "false") for key in ("binarydatabyteordermsb", "elementbyteordermsb")]
    big = "true" in orders or fields.get("endian") == "big"
    return dtype.itemsize == 1 or big == (sys.byteorder == "big")
