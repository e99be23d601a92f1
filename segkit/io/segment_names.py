"""Label files that name their values: the names decide, because each file may number them in its own way.

A DICOM-SEG names its segments. 3D Slicer writes those of a ``.seg.nrrd`` as ``Segment0_Name:=liver`` and
``Segment0_LabelValue:=1``; segkit writes its own NRRD files likewise.
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
"""What becomes of a name in a file that is not among the known ones."""

SHOWN = 8
_USUAL_HEADER = 1 << 16
_ENTRY = re.compile(r"Segment([0-9]{1,6})_(Name|LabelValue):=(.*)")
_SAYS_NOTHING = re.compile(
    r"((segment|label|region|value)?[\s_-]*[0-9]+|foreground)", re.IGNORECASE
)
"""Names that 3D Slicer (Segment_1) and segkit (label_1, foreground) make up where nobody gave one."""


def names_in(path: Path) -> dict[str, int]:
    """Return the names that a label file gives its values (name -> value); {} where it gives none.

    Only the header is read. Names that only repeat a number, such as ``Segment_1``, are left out.

    Raises:
        InputError: no such file, one name for two values, or two names for one.
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
    """Return ``pairs`` of name and value as a dict, without names that say nothing.

    Segments of several layers may share a value; such a file is refused when its voxels are read.

    Raises:
        InputError: one name for two values.
    """
    telling = [
        (name, value) for name, value in dict.fromkeys(pairs) if value and not is_placeholder(name)
    ]
    twice = [name for name, count in Counter(name for name, _ in telling).items() if count > 1]
    if twice:
        values = " and ".join(str(value) for name, value in telling if name == twice[0])
        raise InputError(
            path,
            expected="a name of its own for each segment",
            found=f"{twice[0]!r} for the values {values}",
            remedy="Rename one of the two segments, or merge them into one.",
        )
    return dict(telling)


def is_placeholder(name: str) -> bool:
    """Whether a name only repeats a number or was made up.

    >>> is_placeholder("Segment_1"), is_placeholder("organ")
    (True, False)
    """
    return _SAYS_NOTHING.fullmatch(name) is not None


def comparable_name(name: str) -> str:
    """Return ``name`` without what people write differently: case, blanks, underscores, hyphens.

    >>> comparable_name("Left Kidney") == comparable_name("left_kidney")
    True
    """
    return re.sub(r"[\s_.-]+", "", name).casefold()


def renumber(
    path: Path,
    values: NDArray[Any],
    own: Mapping[str, int],
    known: Mapping[str, int],
    *,
    extra: Extra = "error",
) -> tuple[NDArray[Any], dict[str, int]]:
    """Return the label array of a file in the values of ``known``, and the names that were kept beside those.

    Args:
        path: the file, for messages.
        values: integers of any shape.
        own: the names in the file (name -> value there).
        known: the names that count (name -> value that is wanted).
        extra: a name that is not known is an error if voxels have it, or becomes background, or is kept with a free
            value.

    Raises:
        InputError: names that contradict the known ones.
    """
    known = {
        name: value for name, value in known.items() if name in own or not is_placeholder(name)
    }
    if not own or not known:
        return values, {}
    present = set(np.unique(values).tolist())
    unknown = {name: value for name, value in own.items() if name not in known and value in present}
    _check_one_name_each(path, own, present)
    _check_unknown(path, unknown, own, known, extra=extra)
    _check_unnamed(path, present - {0, *own.values()}, own, known)
    kept = _free_values(unknown, {*known.values(), *present}) if extra == "keep" else {}
    wanted = {own[name]: {**known, **kept}.get(name, 0) for name in own if own[name] in present}
    return _replaced(values, {value: new for value, new in wanted.items() if value != new}), kept


def _check_one_name_each(path: Path, own: Mapping[str, int], present: set[int]) -> None:
    for value in present & {*own.values()}:
        names = [name for name, its in own.items() if its == value]
        if len(names) > 1:
            raise InputError(
                path,
                expected="one name for each value",
                found=f"{' and '.join(map(repr, names))} for the value {value}",
                remedy="Export the segments anew as one label map, so that each has a value of its own.",
            )


def _check_unknown(
    path: Path,
    unknown: Mapping[str, int],
    own: Mapping[str, int],
    known: Mapping[str, int],
    *,
    extra: Extra,
) -> None:
    similar = {comparable_name(name) for name in known}
    wrong = (
        list(unknown)
        if extra == "error"
        else [name for name in unknown if comparable_name(name) in similar]
    )
    if extra == "keep" and unknown and not own.keys() & known.keys():
        wrong = list(unknown)
    if wrong:
        raise InputError(
            path,
            expected=f"values named as elsewhere: {first_few([name for name in known if name != 'background'], SHOWN)}",
            found=first_few([f"{name!r} (value {own[name]})" for name in wrong], SHOWN),
            remedy="Rename the segments in the file (3D Slicer, module Segmentations), or correct the names of the"
            " labels.",
        )


def _check_unnamed(
    path: Path, unnamed: set[int], own: Mapping[str, int], known: Mapping[str, int]
) -> None:
    """Refuse a value without name in a file that names others, if elsewhere its number belongs to a name."""
    for name, value in known.items():
        if value in unnamed:
            here = f"{own[name]} here" if name in own else "not named here"
            raise InputError(
                path,
                expected=f"a name for every value, because {name} is {value} elsewhere and {here}",
                found=f"no name for the value {value}",
                remedy="Give that segment a name in the file, or remove it.",
            )


def _free_values(names: Mapping[str, int], taken: set[int]) -> dict[str, int]:
    first = max([*taken, 0]) + 1
    return {name: first + place for place, name in enumerate(names)}


def _replaced(values: NDArray[Any], table: Mapping[int, int]) -> NDArray[Any]:
    if not table:
        return values
    ends = (np.min_scalar_type(end) for end in (min(table.values()), max(table.values())))
    replaced = values.astype(np.result_type(values.dtype, *ends))
    for value, new in table.items():
        # One value after the other: a table over all voxels would need eight bytes for each.
        replaced[values == value] = new
    return replaced
