"""Files of a DICOM place that are no images although they look like some, and which series has lost them.

The last slices of a scan leave no gap when they are lost: a file that is named like a slice is all that tells of them.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segkit.errors import first_few
from segkit.io.dicom.places.files import EMPTY, NO_FILES, OTHER_CONTENT, DicomFile

_SLICES = {".dcm", ".dicom", ".ima"}
"""Suffixes of slices, in lower case."""
_PARTIAL = (
    ".part",
    ".partial",
    ".crdownload",
    ".download",
    ".filepart",
    ".tmp",
    ".gz",
    ".bz2",
    ".xz",
)
"""Suffixes behind the name of a file that was not copied to its end, or is packed."""
_NAMED = 5
"""How many files a sentence names."""


@dataclass(frozen=True)
class LeftOut:
    """A file that is no image, and why."""

    file: DicomFile
    problem: str
    series: str = ""
    """The SeriesInstanceUID that it says, or the beginning of it."""
    image: str = ""
    """The SOPInstanceUID that it says."""
    is_dicom: bool = False
    """It begins as DICOM does."""

    def __str__(self) -> str:
        return f"{self.file.name} ({self.problem})"


def shape(name: str) -> str:
    """Return the name of a file without its numbers: those of one series mostly have one shape.

    >>> shape("IM0023.dcm"), shape("1.2.840.5"), shape("IM0024.dcm.part")
    ('im#.dcm', '#', 'im#.dcm')
    """
    name = name.casefold()
    for suffix in _PARTIAL:
        name = name.removesuffix(suffix)
    stem, suffix = (name[: -len(end)], end) if (end := Path(name).suffix) in _SLICES else (name, "")
    return re.sub(r"[0-9](?:[0-9._-]*[0-9])?", "#", stem) + suffix


def is_called_slice(name: str) -> bool:
    """Return whether a file has the suffix of a slice."""
    return PurePosixPath(name).suffix.casefold() in _SLICES


def looks_like_slice(name: str) -> bool:
    """Return whether a file has the name of a slice, whatever is in it.

    >>> looks_like_slice("a.dcm"), looks_like_slice("IM_0001"), looks_like_slice("README"), looks_like_slice("a1.txt")
    (True, True, False, False)
    """
    suffix = PurePosixPath(name).suffix
    numbered = not suffix[1:].strip("0123456789") and re.search(r"[0-9]", name) is not None
    return numbered or is_called_slice(name)


def suspicious(files: Mapping[DicomFile, str]) -> list[LeftOut]:
    """Return those of a place that are no DICOM and may be lost slices, by their names or by what they are."""
    shapes = {(file.folder, shape(file.name)) for file, problem in files.items() if not problem}
    bare = {
        file.folder
        for file, problem in files.items()
        if not problem and not PurePosixPath(file.name).suffix
    }
    names = {(file.folder, file.name.casefold()) for file, problem in files.items() if not problem}
    return [
        LeftOut(file, problem)
        for file, problem in files.items()
        if problem
        and _may_be_slice(file, problem, shapes, bare)
        and (file.folder, _whole_name(file.name)) not in names
    ]


def _may_be_slice(
    file: DicomFile, problem: str, shapes: set[tuple[str, str]], bare: set[str]
) -> bool:
    """``bare`` are the folders in which images have names without a suffix, whatever words these are."""
    if problem == EMPTY and file.folder in bare and not PurePosixPath(file.name).suffix:
        return True
    if (file.folder, shape(file.name)) in shapes or problem in NO_FILES:
        return True
    if problem.startswith("a link to ") and not file.path.suffix:
        return True  # it may have been one to a folder
    return is_called_slice(file.name) if problem == OTHER_CONTENT else looks_like_slice(file.name)


def _whole_name(name: str) -> str:
    """Return the whole name of a file that was not copied to its end."""
    name = name.casefold()
    return next((name.removesuffix(suffix) for suffix in _PARTIAL if name.endswith(suffix)), name)


def owners_of(
    left_out: Sequence[LeftOut], images: Mapping[DicomFile, str]
) -> dict[LeftOut, set[str]]:
    """Return the UIDs of the series that have probably lost each file as a slice; often none, two at the most.

    ``images`` are all images of the place in natural order, each with the UID of its series. A file that does not say
    its series belongs to those of its neighbours: the nearest images before and after it in its folder, by name.
    """
    folders: dict[str, list[DicomFile]] = {each.file.folder: [] for each in left_out}
    for file in images:
        if file.folder in folders:
            folders[file.folder].append(file)
    groups = {folder: _by_shape(files) for folder, files in folders.items()}
    uids = set(images.values())
    found = {}
    for each in left_out:
        if each.series:
            found[each] = {uid for uid in uids if uid.startswith(each.series)}
        else:
            alike = (
                folders[each.file.folder]
                if each.is_dicom
                else groups[each.file.folder](each.file.name)
            )
            found[each] = {images[file] for file in _neighbours(each.file, alike)}
    return found


def _by_shape(files: Sequence[DicomFile]) -> Callable[[str], Sequence[DicomFile]]:
    """Return which of the files are named as another one is: with the same shape.

    Where hardly two have one, as names that are hashes, those with the same suffix.
    """
    shapes = defaultdict(list)
    for file in files:
        shapes[shape(file.name)].append(file)
    if len(files) <= 2 or len(shapes) <= len(files) / 2:
        return lambda name: shapes.get(shape(name), [])
    return lambda name: [
        file for file in files if PurePosixPath(file.name).suffix == PurePosixPath(name).suffix
    ]


def _neighbours(file: DicomFile, others: Sequence[DicomFile]) -> Sequence[DicomFile]:
    """Return those before and after a file; ``others`` are in natural order."""
    place = bisect_left(others, file.key, key=lambda other: other.key)
    return others[max(0, place - 1) : place + 1]


def named(left_out: Sequence[LeftOut]) -> str:
    """Return the first of them with what is wrong, and how many more there are."""
    return first_few([str(file) for file in left_out], _NAMED)


def left_out_text(left_out: Sequence[LeftOut]) -> str:
    """Return a sentence on files of a place that are left out.

    >>> left_out_text([LeftOut(DicomFile(Path("x/a.dcm")), "empty")])
    '1 file that cannot be read is left out: a.dcm (empty)'
    """
    which = (
        "1 file that cannot be read is"
        if len(left_out) == 1
        else f"{len(left_out)} files that cannot be read are"
    )
    return f"{which} left out: {named(left_out)}"
