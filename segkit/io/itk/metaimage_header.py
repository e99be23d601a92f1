"""Header of a MetaImage file (.mha, .mhd), parsed as ITK does.

The format is described at https://itk.org/Wiki/MetaIO/Documentation.
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
    data_beside,
    image_axes,
    lps_affine,
    numbers,
    refused,
    whole_numbers,
)

END = rb"ElementDataFile\s*[=:][ \t]*(\S[^\r\n]*?)[ \t]*(?:\r?\n|$)"
"""Pattern of the last line of the header."""
_LINE = re.compile(r"\s*([A-Za-z]\w*)\s*[=:]\s*(.*)")
_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # as in MetaIO's own table of sizes
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_ORIGIN = ("Offset", "Position", "Origin")
_DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")
_SPACING = ("ElementSpacing", "ElementSize")
Fields = Mapping[str, str]


def read_metaimage_header(path: Path) -> ItkHeader:
    """Read the header of a MetaImage file and check it.

    Raises:
        InputError: the file is not MetaImage, its header is malformed, or its voxels are in another
            folder.
    """
    fields, end = _fields(path)
    axes = checked_axes(path, "NDims", _required(path, fields, "NDims"))
    sizes = checked_sizes(path, "DimSize", _required(path, fields, "DimSize"), axes)
    (components,) = whole_numbers(path, "channels", fields.get("ElementNumberOfChannels", "1"), 1)
    shape, channels, channel_axis = image_axes(path, sizes, components)
    data, start = _data(path, fields, end)
    (skip,) = whole_numbers(path, "HeaderSize", fields.get("HeaderSize", "0"), 1)
    return ItkHeader(
        shape=shape,
        channels=channels,
        channel_axis=channel_axis,
        affine=_affine(path, fields, axes),
        flat=axes == 2,
        stored=_dtype(path, fields),
        encoding=_encoding(fields),
        data=data,
        start=start + max(skip, 0),
        skip=min(skip, 0),
    )


def _fields(path: Path) -> tuple[Fields, int]:
    with path.open("rb") as file:
        content = file.read(LONGEST_HEADER)
    end = re.search(END, content)
    if end is None or b"\0" in content[: end.start()]:
        raise refused(path, "no header of this format", kind="MetaImage")
    lines = content[: end.end()].decode("latin-1").splitlines()
    matches = [match for match in map(_LINE.fullmatch, lines) if match]
    return {match[1]: match[2].strip() for match in matches}, end.end()


def _required(path: Path, fields: Fields, name: str) -> str:
    if name not in fields:
        raise refused(path, f"a header without {name}", kind="MetaImage")
    return fields[name]


def _dtype(path: Path, fields: Fields) -> np.dtype[np.generic]:
    kind = _required(path, fields, "ElementType")
    if kind not in _TYPES:
        raise refused(path, f"voxels of the type {kind[:40]!r}", kind="MetaImage")
    big_endian = _flag(fields, "BinaryDataByteOrderMSB") or _flag(fields, "ElementByteOrderMSB")
    return np.dtype(_TYPES[kind]).newbyteorder(">" if big_endian else "<")


def _encoding(fields: Fields) -> Encoding:
    if not _flag(fields, "BinaryData", default=True):
        return "text"
    return "zlib" if _flag(fields, "CompressedData") else "raw"


def _flag(fields: Fields, name: str, *, default: bool = False) -> bool:
    return fields[name][:1] in ("T", "t", "1") if fields.get(name) else default


def _data(path: Path, fields: Fields, end: int) -> tuple[Path, int]:
    name = _required(path, fields, "ElementDataFile")
    return (path, end) if name.upper() == "LOCAL" else (data_beside(path, name), 0)


def _affine(path: Path, fields: Fields, axes: int) -> NDArray[np.float64]:
    spacing = _first_given(path, fields, _SPACING, ["1"] * axes)
    origin = _first_given(path, fields, _ORIGIN, ["0"] * axes)
    identity = [f"{value:g}" for value in np.eye(axes).ravel()]
    directions = np.reshape(_first_given(path, fields, _DIRECTIONS, identity), (axes, axes)).T
    return lps_affine(directions * spacing, np.array(origin))


def _first_given(
    path: Path, fields: Fields, names: Sequence[str], default: Sequence[str]
) -> list[float]:
    """Return the numbers of the first of these fields that the header has."""
    name = next((name for name in names if name in fields), names[0])
    return numbers(path, name, fields.get(name, " ".join(default)), len(default))
