"""Header of an NRRD file (.nrrd, .nhdr), parsed as ITK does.

The format is described at http://teem.sourceforge.net/nrrd/format.html.
"""

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
"""Pattern of the empty line that ends the header."""
_MAGIC = re.compile(rb"NRRD000[1-9]\r?\n")
_TYPES = {
    "i1": "signed char, int8, int8_t",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, "
    "int64, int64_t",
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
"""Short name of each space, and its matrix to RAS+; like in ITK, most are treated as LPS."""
_TO_RAS = {
    name: matrix for long, (short, matrix) in _SPACES.items() for name in (long, short) if name
}
_DOMAIN = ("domain", "space", "time", "???", "none")
"""Kinds of axes that are not channels."""
Fields = Mapping[str, str]


def read_nrrd_header(path: Path) -> ItkHeader:
    """Read the header of an NRRD file and check it.

    Raises:
        InputError: the file is not NRRD, its header is malformed, or its voxels are in another
            folder.
    """
    fields, end = _fields(path)
    axes = checked_axes(path, "dimension", _required(path, fields, "dimension"))
    sizes = checked_sizes(path, "sizes", _required(path, fields, "sizes"), axes)
    range_axis = _range_axis(path, fields, axes)
    space = [axis for axis in range(axes) if axis != range_axis]
    components = 1 if range_axis is None else sizes[range_axis]
    shape, channels, channel_axis = image_axes(path, [sizes[axis] for axis in space], components)
    encoding = _encoding(path, fields)
    data, start = _data(path, fields, end)
    affine, stored = _affine(path, fields, axes, space), _dtype(path, fields, encoding)
    start, skip = _skips(path, fields, data, start, encoding)
    return ItkHeader(
        shape=shape,
        channels=channels,
        channel_axis=channel_axis if range_axis is None else range_axis,
        affine=affine,
        flat=len(space) == 2,
        stored=stored,
        encoding=encoding,
        data=data,
        start=start,
        skip=skip,
    )


def _fields(path: Path) -> tuple[Fields, int]:
    """Return the fields by name in lower case without spaces, and the byte after the header.

    That byte is 0 where nothing ends the header, as in a detached one.
    """
    with path.open("rb") as file:
        content = file.read(LONGEST_HEADER)
    if not _MAGIC.match(content):
        raise refused(path, "no header of this format", kind="NRRD")
    end = re.search(END, content)
    if end is None and len(content) == LONGEST_HEADER:
        raise refused(path, f"no end of the header within {LONGEST_HEADER} bytes", kind="NRRD")
    text = content[: end.start() if end else None].decode("latin-1")
    fields = {}
    for line in text.splitlines()[1:]:
        key, colon, value = line.partition(": ")
        if colon and not line.startswith("#") and ":=" not in line:
            fields[key.replace(" ", "").lower()] = value.strip()
    return fields, end.end() if end else 0


def _required(path: Path, fields: Fields, name: str) -> str:
    if name not in fields:
        raise refused(path, f"a header without {name}", kind="NRRD")
    return fields[name]


def _range_axis(path: Path, fields: Fields, axes: int) -> int | None:
    """Return the axis of the channels (a "range" axis in NRRD's words); None without one."""
    kinds = fields.get("kinds", "").lower().split()
    if kinds and len(kinds) != axes:
        raise refused(path, f"{len(kinds)} kinds for {axes} axes", kind="NRRD")
    range_axes = [axis for axis, kind in enumerate(kinds) if kind not in _DOMAIN]
    if len(range_axes) > 1:
        raise refused(
            path,
            f"{len(range_axes)} axes that are no axes of space (kinds: {' '.join(kinds)})",
            kind="NRRD",
        )
    if "complex" in kinds:
        bits = 8 * _number_type(path, fields).itemsize
        raise complex_numbers(path, f"complex of {bits}-bit float")
    return range_axes[0] if range_axes else None


def _number_type(path: Path, fields: Fields) -> np.dtype[np.generic]:
    kind = _required(path, fields, "type").lower()
    if kind not in _DTYPES:
        raise refused(path, f"voxels of the type {kind[:40]!r}", kind="NRRD")
    return np.dtype(_DTYPES[kind])


def _dtype(path: Path, fields: Fields, encoding: Encoding) -> np.dtype[np.generic]:
    dtype, order = _number_type(path, fields), fields.get("endian", "").lower()
    if order in ("little", "big"):
        return dtype.newbyteorder(">" if order == "big" else "<")
    if dtype.itemsize > 1 and encoding not in ("text", "hex"):
        raise refused(path, "numbers of several bytes without endian: little or big", kind="NRRD")
    return dtype


def _encoding(path: Path, fields: Fields) -> Encoding:
    word = _required(path, fields, "encoding").lower()
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
    """Return the first byte of the encoded data, and the number of unpacked bytes to skip."""
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
    directions = vectors(path, fields.get("spacedirections", ""))
    dimension = 3 + name.endswith(("t", "time")) if name else _space_dimension(path, fields)
    if len(space) != dimension:
        reason = ""
        if len(space) == 4:
            reason = ": a fourth axis that is not said to be one of channels (kinds: list)"
        raise refused(path, f"{len(space)} axes in a space of {dimension}{reason}", kind="NRRD")
    steps = [directions[axis] for axis in space] if len(directions) == axes else []
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
    """Return the affine of the voxel spacing alone, which is 1 mm if the header gives none."""
    ones, unknown = " ".join(["1"] * axes), " ".join(["nan"] * axes)
    spacing = np.array(numbers(path, "spacings", fields.get("spacings", ones), axes))[list(space)]
    spacing = np.where(np.isnan(spacing), 1.0, spacing)
    lowest = numbers(path, "axis mins", fields.get("axismins", unknown), axes)
    # The minimum is the edge of the first voxel, the origin its center.
    origin = np.array(lowest)[list(space)] + spacing / 2
    has_origin = "spacings" in fields and bool(np.isfinite(origin).all())
    return lps_affine(np.diag(spacing), origin if has_origin else np.zeros(len(space)))


def vectors(path: Path, words: str) -> list[NDArray[np.float64] | None]:
    """Return the vectors of a header field; None for each "none".

    >>> vectors(Path("a.nrrd"), "(1,0) none")
    [array([1., 0.]), None]

    Raises:
        InputError: a vector of other words than numbers.
    """
    parsed: list[NDArray[np.float64] | None] = []
    for word in re.findall(r"\([^()]*\)|[^\s()]+", words):
        if word == "none":
            parsed.append(None)
        else:
            entries = word.strip("()").split(",")
            parsed.append(np.array(numbers(path, "the vector", " ".join(entries), len(entries))))
    return parsed
