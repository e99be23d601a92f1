"""Unreadable files that look like slices, and the series to which they probably belong.

If the last slices of a scan are lost, there is no gap; only an unreadable file that is named like a
slice shows the loss.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from segkit.errors import first_few
from segkit.io.dicom.files.detection import EMPTY, NO_FILES, OTHER_CONTENT
from segkit.io.dicom.files.dicom_file import DicomFile

_SLICE_SUFFIXES = {".dcm", ".dicom", ".ima"}
"""Suffixes of slices, in lower case."""
_PARTIAL_SUFFIXES = (
    *(".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp"),
    *(".gz", ".bz2", ".xz"),
)
"""Suffixes that are appended to the name of a file that is incomplete or compressed."""
_LISTED = 5
"""Number of files that a message names."""


@dataclass(frozen=True)
class LeftOut:
    """File that is not a readable image, and the reason."""

    file: DicomFile
    problem: str
    series: str = ""
    """SeriesInstanceUID in its header, possibly cut short; "" if unknown."""
    image: str = ""
    """SOPInstanceUID in its header; "" if unknown."""
    begins_as_dicom: bool = False

    def __str__(self) -> str:
        return f"{self.file.name} ({self.problem})"


def shape(name: str) -> str:
    """Return a file name with # for each number; files of one series mostly share this shape.

    >>> shape("IM0023.dcm"), shape("1.2.840.5"), shape("IM0024.dcm.part")
    ('im#.dcm', '#', 'im#.dcm')
    """
    name = name.casefold()
    for partial in _PARTIAL_SUFFIXES:
        name = name.removesuffix(partial)
    suffix = Path(name).suffix
    if suffix not in _SLICE_SUFFIXES:
        suffix = ""
    return re.sub(r"[0-9](?:[0-9._-]*[0-9])?", "#", name.removesuffix(suffix)) + suffix


def has_slice_suffix(name: str) -> bool:
    """Return whether a file has the suffix of a slice."""
    return PurePosixPath(name).suffix.casefold() in _SLICE_SUFFIXES


def looks_like_slice(name: str) -> bool:
    """Return whether a file is named like a slice, whatever its content.

    >>> looks_like_slice("a.dcm"), looks_like_slice("IM_0001")
    (True, True)
    >>> looks_like_slice("README"), looks_like_slice("a1.txt")
    (False, False)
    """
    suffix = PurePosixPath(name).suffix
    is_numbered = not suffix[1:].strip("0123456789") and re.search(r"[0-9]", name) is not None
    return is_numbered or has_slice_suffix(name)


def suspicious(files: Mapping[DicomFile, str]) -> list[LeftOut]:
    """Return the files that may be lost slices, judged by their names and by their problems.

    Args:
        files: all files of a path, each with why it is not DICOM ("" for DICOM).
    """
    good = [file for file, problem in files.items() if not problem]
    shapes = {(file.folder, shape(file.name)) for file in good}
    bare = {file.folder for file in good if not PurePosixPath(file.name).suffix}
    names = {(file.folder, file.name.casefold()) for file in good}
    return [
        LeftOut(file, problem)
        for file, problem in files.items()
        if problem
        and _may_be_slice(file, problem, shapes, bare)
        and (file.folder, _complete_name(file.name)) not in names
    ]


def _may_be_slice(
    file: DicomFile, problem: str, shapes: set[tuple[str, str]], bare: set[str]
) -> bool:
    """Return whether a file that is not DICOM may be a lost slice.

    ``bare`` holds the folders in which images have names without a suffix.
    """
    if problem == EMPTY and file.folder in bare and not PurePosixPath(file.name).suffix:
        return True
    if (file.folder, shape(file.name)) in shapes or problem in NO_FILES:
        return True
    if problem.startswith("a link to ") and not file.path.suffix:
        return True  # the link may have led to a folder of slices
    if problem == OTHER_CONTENT:
        return has_slice_suffix(file.name)
    return looks_like_slice(file.name)


def _complete_name(name: str) -> str:
    """Return the name that an incomplete file will have once it is complete."""
    name = name.casefold()
    for partial in _PARTIAL_SUFFIXES:
        if name.endswith(partial):
            return name.removesuffix(partial)
    return name


def owners_of(
    left_out: Sequence[LeftOut], images: Mapping[DicomFile, str]
) -> dict[LeftOut, set[str]]:
    """Return for each file the UIDs of the series of which it is probably a lost slice.

    Often there are none. A file whose header does not give its series is assigned to the series of
    its neighbors: the nearest images before and after it in its folder, by name.

    Args:
        left_out: files that may be lost slices.
        images: all images in natural order, each with the UID of its series.
    """
    folders: dict[str, list[DicomFile]] = {lost.file.folder: [] for lost in left_out}
    for file in images:
        if file.folder in folders:
            folders[file.folder].append(file)
    similar = {folder: _similar_names(files) for folder, files in folders.items()}
    uids = set(images.values())
    owners = {}
    for lost in left_out:
        if lost.series:
            owners[lost] = {uid for uid in uids if uid.startswith(lost.series)}
            continue
        folder = lost.file.folder
        others = folders[folder] if lost.begins_as_dicom else similar[folder](lost.file.name)
        owners[lost] = {images[file] for file in _neighbors(lost.file, others)}
    return owners


def _similar_names(files: Sequence[DicomFile]) -> Callable[[str], Sequence[DicomFile]]:
    """Return a function that returns the files whose names have the same shape as a given name.

    If hardly any files share a shape, for example because the names are hashes, it compares the
    suffix instead.
    """
    shapes = defaultdict(list)
    for file in files:
        shapes[shape(file.name)].append(file)
    if len(files) <= 2 or len(shapes) <= len(files) / 2:
        return lambda name: shapes.get(shape(name), [])
    return lambda name: [
        file for file in files if PurePosixPath(file.name).suffix == PurePosixPath(name).suffix
    ]


def _neighbors(file: DicomFile, others: Sequence[DicomFile]) -> Sequence[DicomFile]:
    """Return the files before and after a file; ``others`` are in natural order."""
    index = bisect_left(others, file.key, key=lambda other: other.key)
    return others[max(0, index - 1) : index + 1]


def listed(left_out: Sequence[LeftOut]) -> str:
    """Return the names and problems of the first files, and how many more there are, as text."""
    return first_few([str(lost) for lost in left_out], _LISTED)


def left_out_text(left_out: Sequence[LeftOut]) -> str:
    """Return a sentence on files that are left out.

    >>> left_out_text([LeftOut(DicomFile(Path("x/a.dcm")), "empty")])
    '1 file that cannot be read is left out: a.dcm (empty)'
    """
    which = (
        "1 file that cannot be read is"
        if len(left_out) == 1
        else f"{len(left_out)} files that cannot be read are"
    )
    return f"{which} left out: {listed(left_out)}"
