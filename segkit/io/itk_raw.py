"""The voxels of large NRRD and MetaImage files that are not apart from their header: mapped, or unpacked just once."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.file_names import suffix_of
from segkit.io.gzip_stream import unpack
from segkit.io.limits import check_memory
from segkit.io.mapped import MAPPED_FROM, map_numbers
from segkit.volume import Grid

_LONGEST_HEADER = 1 << 20
ENDS = {".nrrd": rb"\r?\n\r?\n", ".mha": rb"ElementDataFile\s*=\s*LOCAL[ \t]*\r?\n"}
"""Behind these voxels begin."""
_SKIPS = ("byte skip", "line skip", "data file", "datafile", "headersize")
"""Words of a header that say that voxels do not begin there."""


def raw_voxels(path: Path, grid: Grid, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Voxels (1, X, Y, Z) of a large file of one channel, mapped, or unpacked into memory; None where ITK has to read.

    ``grid`` and ``dtype`` are what ITK says of the file. Its length must be what its header says, to the byte.

    Raises:
        InputError: too little memory, a damaged stream or one of fewer voxels.
    """
    promised = grid.voxels * dtype.itemsize
    if promised < MAPPED_FROM or suffix_of(path) not in ENDS:
        return None
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    end = re.search(ENDS[suffix_of(path)], start)
    if end is None:
        return None
    fields = _fields(start[: end.start()].decode("latin-1"))
    numbers, held = None, path.stat().st_size - end.end()
    if not _is_plain(fields, dtype):
        return None
    if _is_raw(fields) and held == promised:
        numbers = map_numbers(path, dtype, grid.voxels, end.end())
    if _is_packed(fields, held):
        check_memory(path, promised)
        numbers = unpack(path, promised, start=end.end()).view(dtype)
    return None if numbers is None else numbers.reshape(1, *reversed(grid.shape)).transpose(0, 3, 2, 1)


def _fields(header: str) -> dict[str, str]:
    return {key.strip().lower(): word.strip().lower() for key, word in re.findall(r"([^:=\n]+)[:=]+(.*)", header)}


def _is_plain(fields: Mapping[str, str], dtype: np.dtype[Any]) -> bool:
    """Whether numbers of this type, once unpacked, stand in the file as this machine has them in memory."""
    if any(word in fields for word in _SKIPS) or fields.get("binarydata", "true") != "true":
        return False
    orders = [fields.get(key, "false") for key in ("binarydatabyteordermsb", "elementbyteordermsb")]
    big = "true" in orders or fields.get("endian") == "big"
    return dtype.itemsize == 1 or big == (sys.byteorder == "big")


def _is_raw(fields: Mapping[str, str]) -> bool:
    return fields.get("encoding", "raw") == "raw" and fields.get("compresseddata", "false") == "false"


def _is_packed(fields: Mapping[str, str], held: int) -> bool:
    """Whether the ``held`` bytes behind the header are one stream of gzip or, in MetaImage, of zlib."""
    if fields.get("encoding") in ("gzip", "gz"):
        return True
    return fields.get("compresseddata") == "true" and fields.get("compresseddatasize") == str(held)
