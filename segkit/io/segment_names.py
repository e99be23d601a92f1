"""Segment names in label files: labels are matched by name, because files may number them freely.

A DICOM-SEG names its segments. 3D Slicer writes the names of a ``.seg.nrrd`` as
``Segment0_Name:=liver`` and ``Segment0_LabelValue:=1``, and segkit writes its NRRD files in the
same way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError, first_few
from segkit.files.names import must_exist, suffix_of
from segkit.io.dicom import dicom_module
from segkit.io.dicom.files.detection import is_dicom
from segkit.io.itk.header import LONGEST_HEADER
from segkit.io.itk.nrrd_header import END

Extra = Literal["error", "background", "keep"]
"""How to treat a name in a file that is not among the known names."""

SHOWN = 8
"""Number of names that a message lists."""
_USUAL_HEADER = 1 << 16
"""Number of bytes that are read first; few headers are longer."""
_ENTRY = re.compile(r"Segment([0-9]{1,6})_(Name|LabelValue):=(.*)")
_PLACEHOLDER = re.compile(r"((segment|label|region|value)?[\s_-]*[0-9]+|foreground)", re.IGNORECASE)
"""Names that 3D Slicer (Segment_1) and segkit (label_1, foreground) give to unnamed segments."""


def names_in(path: Path) -> dict[str, int]:
    """Return the segment names in a label file, name to value; {} if there are none.

    Only the header is read. Placeholders such as ``Segment_1`` are left out.

    Raises:
        InputError: there is no such file, or it has the same name for two values.
    """
    if is_dicom(path):
        return checked_names(path, dicom_module("results.segmentation_reader").segment_values(path))
    reader = _READERS.get(suffix_of(path))
    if reader is None:
        return {}
    must_exist(path)
    return reader(path)


def _names_in_nrrd(path: Path) -> dict[str, int]:
    entries: dict[str, dict[str, str]] = {}
    try:
        with path.open("rb") as file:
            header = file.read(_USUAL_HEADER)
            if not re.search(END, header):
                header += file.read(LONGEST_HEADER - _USUAL_HEADER)
    except OSError as error:
        raise InputError(
            path,
            expected="a file that can be read",
            found=str(error.strerror),
            remedy="Check its permissions.",
        ) from error
    for line in re.split(END, header, maxsplit=1)[0].decode("utf-8", errors="replace").splitlines():
        match = _ENTRY.fullmatch(line.rstrip())
        if match:
            entries.setdefault(match[1], {})[match[2]] = match[3].strip()
    pairs = [
        (entry["Name"], int(entry["LabelValue"]))
        for entry in entries.values()
        if entry.get("Name") and re.fullmatch(r"[0-9]{1,9}", entry.get("LabelValue", ""))
    ]
    return checked_names(path, pairs)


_READERS: dict[str, Callable[[Path], dict[str, int]]] = {
    ".nrrd": _names_in_nrrd,
    ".nhdr": _names_in_nrrd,
}


def checked_names(path: Path, pairs: list[tuple[str, int]]) -> dict[str, int]:
    """Return pairs of name and value as a dict, without placeholders.

    Segments of several layers may share a value; such a file is refused when its voxels are read.

    Raises:
        InputError: one name has two values.
    """
    named = [
        (name, value) for name, value in dict.fromkeys(pairs) if value and not is_placeholder(name)
    ]
    repeated = [name for name, count in Counter(name for name, _ in named).items() if count > 1]
    if repeated:
        values = " and ".join(str(value) for name, value in named if name == repeated[0])
        raise InputError(
            path,
            expected="a different name for each segment",
            found=f"{repeated[0]!r} for the values {values}",
            remedy="Rename one of the two segments, or merge them into one.",
        )
    return dict(named)


def is_placeholder(name: str) -> bool:
    """Return whether a name is a placeholder that a program gave to an unnamed segment.

    >>> is_placeholder("Segment_1"), is_placeholder("organ")
    (True, False)
    """
    return _PLACEHOLDER.fullmatch(name) is not None


def comparable_name(name: str) -> str:
    """Return a name for comparison: in lower case, without spaces, underscores, dots and hyphens.

    >>> comparable_name("Left Kidney") == comparable_name("left_kidney")
    True
    """
    return re.sub(r"[\s_.-]+", "", name).casefold()


def renumber(
    path: Path,
    values: NDArray[Any],
    names_in_file: Mapping[str, int],
    known_names: Mapping[str, int],
    *,
    extra: Extra = "error",
) -> tuple[NDArray[Any], dict[str, int]]:
    """Renumber the label array of a file to the values of the known names.

    Args:
        path: the file, for messages.
        values: integers of any shape.
        names_in_file: names in the file, with their values there.
        known_names: known names, with the values to use.
        extra: what to do with other names that occur in the voxels: "error"; "background"; or
            "keep", which gives each an unused value.

    Returns:
        The renumbered array, and the other names that were kept, with their new values.

    Raises:
        InputError: the names in the file contradict the known ones.
    """
    known_names = {
        name: value
        for name, value in known_names.items()
        if name in names_in_file or not is_placeholder(name)
    }
    if not names_in_file or not known_names:
        return values, {}
    present = set(np.unique(values).tolist())
    unknown = {
        name: value
        for name, value in names_in_file.items()
        if name not in known_names and value in present
    }
    _check_one_name_each(path, names_in_file, present)
    _check_unknown(path, unknown, names_in_file, known_names, extra=extra)
    _check_unnamed(path, present - {0, *names_in_file.values()}, names_in_file, known_names)
    kept = _free_values(unknown, {*known_names.values(), *present}) if extra == "keep" else {}
    wanted = {
        names_in_file[name]: {**known_names, **kept}.get(name, 0)
        for name in names_in_file
        if names_in_file[name] in present
    }
    return _replaced(values, {value: new for value, new in wanted.items() if value != new}), kept


def _check_one_name_each(path: Path, names_in_file: Mapping[str, int], present: set[int]) -> None:
    for value in present & {*names_in_file.values()}:
        names = [name for name, number in names_in_file.items() if number == value]
        if len(names) > 1:
            raise InputError(
                path,
                expected="one name for each value",
                found=f"{' and '.join(map(repr, names))} for the value {value}",
                remedy="Export the segments again as one label map with one value for each.",
            )


def _check_unknown(
    path: Path,
    unknown: Mapping[str, int],
    names_in_file: Mapping[str, int],
    known_names: Mapping[str, int],
    *,
    extra: Extra,
) -> None:
    """Refuse unknown names: all of them, or only those that look like misspelled known names."""
    none_known = not names_in_file.keys() & known_names.keys()
    if extra == "error" or (extra == "keep" and none_known):
        refused = list(unknown)
    else:
        similar = {comparable_name(name) for name in known_names}
        refused = [name for name in unknown if comparable_name(name) in similar]
    if refused:
        expected = first_few([name for name in known_names if name != "background"], SHOWN)
        raise InputError(
            path,
            expected=f"the same names as elsewhere: {expected}",
            found=first_few([f"{name!r} (value {names_in_file[name]})" for name in refused], SHOWN),
            remedy="Rename the segments in the file (3D Slicer, module Segmentations), or correct "
            "the names of the labels.",
        )


def _check_unnamed(
    path: Path, unnamed: set[int], names_in_file: Mapping[str, int], known_names: Mapping[str, int]
) -> None:
    """Refuse an unnamed value in a file that names others, if a known name has that value."""
    for name, value in known_names.items():
        if value in unnamed:
            here = f"{names_in_file[name]} here" if name in names_in_file else "not named here"
            raise InputError(
                path,
                expected=f"a name for every value, because {name} is {value} elsewhere and {here}",
                found=f"no name for the value {value}",
                remedy="Give that segment a name in the file, or remove it.",
            )


def _free_values(names: Mapping[str, int], taken: set[int]) -> dict[str, int]:
    first = max([*taken, 0]) + 1
    return {name: value for value, name in enumerate(names, first)}


def _replaced(values: NDArray[Any], new_values: Mapping[int, int]) -> NDArray[Any]:
    if not new_values:
        return values
    smallest, largest = min(new_values.values()), max(new_values.values())
    types = (np.min_scalar_type(value) for value in (smallest, largest))
    replaced = values.astype(np.result_type(values.dtype, *types))
    for value, new in new_values.items():
        # One value at a time: a lookup table indexed by all voxels would take 8 bytes per voxel.
        replaced[values == value] = new
    return replaced
