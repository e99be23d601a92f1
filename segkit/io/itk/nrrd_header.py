"""The header of an NRRD file (.nrrd, .nhdr), read as ITK reads it (http://teem.sourceforge.net/nrrd/format.html)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.io.itk.header import (
    LONGEST_HEADER,
    Encoding,
    ItkHeader,
    checked_axes,
    checked_sizes,
    complex_numbers,
    data_beside,
    image_axes,
    lps_affine,
    numbers,
    refused,
    whole_numbers,
)
from segkit.volume import LPS_TO_RAS

END = rb"\r?\n\r?\n"
"""Behind this the voxels begin, or there are none."""
_MAGIC = re.compile(rb"NRRD000[1-9]\r?\n")
_TYPES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
_DTYPES = {name: dtype for dtype, names in _TYPES.items() for name in names.split(", ")}
_ENCODINGS: dict[str, Encoding] = {
    "raw": "raw",
    **dict.fromkeys(("gzip", "gz"), "gzip"),
    **dict.fromkeys(("bzip2", "bz2"), "bzip2"),
    **dict.fromkeys(("txt", "text", "ascii"), "text"),
    "hex": "hex",
}
_SPACES = {
    "right-anterior-superior": ("ras", np.eye(4)),
    "left-anterior-superior": ("las", np.diag([-1.0, 1.0, 1.0, 1.0])),
    "left-posterior-superior": ("lps", LPS_TO_RAS),
    "right-anterior-superior-time": ("rast", LPS_TO_RAS),
    "left-anterior-superior-time": ("last", LPS_TO_RAS),
    "left-posterior-superior-time": ("lpst", LPS_TO_RAS),
    "scanner-xyz": ("", LPS_TO_RAS),
    "scanner-xyz-time": ("", LPS_TO_RAS),
    "3d-right-handed": ("", LPS_TO_RAS),
    "3d-left-handed": ("", LPS_TO_RAS),
    "3d-right-handed-time": ("", LPS_TO_RAS),
    "3d-left-handed-time": ("", LPS_TO_RAS),
}
"""Short name, and what brings its axes to RAS+; ITK takes those it does not turn for LPS."""
_TO_RAS = {name: turn for long, (short, turn) in _SPACES.items() for name in (long, short) if name}
_DOMAIN = ("domain", "space", "time", "???", "none")
Fields = Mapping[str, str]


def read_nrrd_header(path: Path) -> ItkHeader:
    """Return what the header says, checked.

    Raises:
        InputError: not NRRD, a malformed header, or voxels that are elsewhere than beside it.
    """
    fields, end = _fields(path)
    axes = checked_axes(path, "dimension", _needed(path, fields, "dimension"))
    sizes = checked_sizes(path, "sizes", _needed(path, fields, "sizes"), axes)
    range_axis = _range_axis(path, fields, axes)
    space = [axis for axis in range(axes) if axis != range_axis]
    components = 1 if range_axis is None else sizes[range_axis]
    shape, channels, channel_axis = image_axes(path, [sizes[axis] for axis in space], components)
    encoding = _encoding(path, fields)
    data, start = _data(path, fields, end)
    return ItkHeader(
        shape,
        channels,
        channel_axis if range_axis is None else range_axis,
        _affine(path, fields, axes, space),
        len(space) == 2,
        _dtype(path, fields, encoding),
        encoding,
        data,
        *_skips(path, fields, data, start, encoding),
    )


def _fields(path: Path) -> tuple[Fields, int]:
    """Return the fields by name in small letters without spaces, and where the header ends (0: nowhere)."""
    with path.open("rb") as file:
        content = file.read(LONGEST_HEADER)
    if not _MAGIC.match(content):
        raise refused(path, "no header of this format", kind="NRRD")
    end = re.search(END, content)
    if end is None and len(content) == LONGEST_HEADER:
        raise refused(path, f"no end of the header within {LONGEST_HEADER} bytes", kind="NRRD")
    lines = content[: end.start() if end else None].decode("latin-1").splitlines()[1:]
    pairs = (
        line.partition(": ") for line in lines if not line.startswith("#") and ":=" not in line
    )
    fields = {key.replace(" ", "").lower(): words.strip() for key, colon, words in pairs if colon}
    return fields, end.end() if end else 0


def _needed(path: Path, fields: Fields, name: str) -> str:
    if name not in fields:
        raise refused(path, f"a header without {name}", kind="NRRD")
    return fields[name]


def _range_axis(path: Path, fields: Fields, axes: int) -> int | None:
    kinds = fields.get("kinds", "").lower().split()
    if kinds and len(kinds) != axes:
        raise refused(path, f"{len(kinds)} kinds for {axes} axes", kind="NRRD")
    found = [axis for axis, kind in enumerate(kinds) if kind not in _DOMAIN]
    if len(found) > 1:
        raise refused(
            path,
            f"{len(found)} axes that are no axes of space (kinds: {' '.join(kinds)})",
            kind="NRRD",
        )
    if "complex" in kinds:
        raise complex_numbers(path, f"complex of {8 * _number(path, fields).itemsize}-bit float")
    return found[0] if found else None


def _number(path: Path, fields: Fields) -> np.dtype[np.generic]:
    kind = _needed(path, fields, "type").lower()
    if kind not in _DTYPES:
        raise refused(path, f"voxels of the type {kind[:40]!r}", kind="NRRD")
    return np.dtype(_DTYPES[kind])


def _dtype(path: Path, fields: Fields, encoding: Encoding) -> np.dtype[np.generic]:
    dtype, order = _number(path, fields), fields.get("endian", "").lower()
    if dtype.itemsize > 1 and encoding not in ("text", "hex") and order not in ("little", "big"):
        raise refused(path, "numbers of several bytes without endian: little or big", kind="NRRD")
    return (
        dtype.newbyteorder(">" if order == "big" else "<") if order in ("little", "big") else dtype
    )


def _encoding(path: Path, fields: Fields) -> Encoding:
    word = _needed(path, fields, "encoding").lower()
    if word not in _ENCODINGS:
        raise refused(path, f"the encoding {word[:40]!r}", kind="NRRD")
    return _ENCODINGS[word]


def _data(path: Path, fields: Fields, end: int) -> tuple[Path, int]:
    name = fields.get("datafile")
    if name is not None:
        return data_beside(path, name), 0
    if not end:
        raise refused(path, "neither voxels nor the name of a file with them", kind="NRRD")
    return path, end


def _skips(
    path: Path, fields: Fields, data: Path, start: int, encoding: Encoding
) -> tuple[int, int]:
    """Return where the encoded voxels begin, and how many bytes are in front of them once they are unpacked."""
    (lines,) = whole_numbers(path, "line skip", fields.get("lineskip", "0"), 1)
    (skip,) = whole_numbers(path, "byte skip", fields.get("byteskip", "0"), 1)
    if not 0 <= lines < LONGEST_HEADER:
        raise refused(path, f"a line skip of {lines}", kind="NRRD")
    if lines:
        with data.open("rb") as file:
            file.seek(start)
            start += sum(len(file.readline(LONGEST_HEADER)) for _ in range(lines))
    return (start, 0) if encoding in ("text", "hex") else (start, skip)


def _affine(path: Path, fields: Fields, axes: int, space: Sequence[int]) -> NDArray[np.float64]:
    name = fields.get("space", "").lower()
    if name and name not in _TO_RAS:
        raise refused(path, f"the space {name[:60]!r}", kind="NRRD")
    if not name and "spacedimension" not in fields:
        return _without_space(path, fields, axes, space)
    given = vectors(path, fields.get("spacedirections", ""))
    dimension = 3 + name.endswith(("t", "time")) if name else _space_dimension(path, fields)
    if len(space) != dimension:
        why = (
            ": a fourth axis that is not said to be one of channels (kinds: list)"
            if len(space) == 4
            else ""
        )
        raise refused(path, f"{len(space)} axes in a space of {dimension}{why}", kind="NRRD")
    steps = [given[axis] for axis in space] if len(given) == axes else []
    if len(steps) != dimension or any(step is None or len(step) != dimension for step in steps):
        raise refused(
            path, f"space directions {fields.get('spacedirections', 'missing')[:80]!r}", kind="NRRD"
        )
    origin = vectors(path, fields.get("spaceorigin", "")) or [np.zeros(dimension)]
    if origin[0] is None or len(origin[0]) != dimension:
        raise refused(path, f"space origin {fields['spaceorigin'][:80]!r}", kind="NRRD")
    return lps_affine(np.array(steps, np.float64).T, origin[0], _TO_RAS.get(name, LPS_TO_RAS))


def _space_dimension(path: Path, fields: Fields) -> int:
    return checked_axes(path, "space dimension", fields["spacedimension"])


def _without_space(
    path: Path, fields: Fields, axes: int, space: Sequence[int]
) -> NDArray[np.float64]:
    """Return the affine of voxel edges alone; without any they are 1 mm."""
    edges = np.array(
        numbers(path, "spacings", fields.get("spacings", " ".join(["1"] * axes)), axes)
    )[list(space)]
    edges = np.where(np.isnan(edges), 1.0, edges)
    lowest = numbers(path, "axis mins", fields.get("axismins", " ".join(["nan"] * axes)), axes)
    first = (
        np.array(lowest)[list(space)] + edges / 2
    )  # mins are of cells, whose centers are the voxels
    known = "spacings" in fields and bool(np.isfinite(first).all())
    return lps_affine(np.diag(edges), first if known else np.zeros(len(space)))


def vectors(path: Path, words: str) -> list[NDArray[np.float64] | None]:
    """Return the vectors of a field, such as ``(1,0,0) none (0,2,0)``."""
    found: list[NDArray[np.float64] | None] = []
    for word in re.findall(r"\([^()]*\)|[^\s()]+", words):
        inner = word.strip("()").split(",")
        found.append(
            None
            if word == "none"
            else np.array(numbers(path, "the vector", " ".join(inner), len(inner)))
        )
    return found
