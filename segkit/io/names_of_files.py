"""The names of values in many label files, put together: one value for each name, and contradictions said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segkit.errors import InputError
from segkit.io.segment_names import folded
from segkit.left_out import some

Names = Mapping[Path, Mapping[str, int]]
"""Of each label file, name -> value; empty for one that names nothing."""
LEAST = 3
"""Label maps of which one can be called the odd one out."""


def common_names(root: Path, files: Names) -> dict[str, int]:
    """Return one value for every name that some file gives, sorted by value.

    A name has the value of the first file that has it, or, where another name took that, the next free one.

    Raises:
        InputError: names that differ only in how they are written, or one that is likely a slip of another.
    """
    in_files: dict[str, list[Path]] = defaultdict(list)
    for path, names in files.items():
        for name in names:
            in_files[name].append(path)
    _check_spelling(root, in_files)
    _check_slips(root, files, in_files)
    common: dict[str, int] = {}
    for names in files.values():
        for name, value in names.items():
            if name not in common:
                common[name] = value if value not in common.values() else max(common.values()) + 1
    return dict(sorted(common.items(), key=lambda item: item[1]))


def joint_names(root: Path, files: Names, common: Mapping[str, int], *, or_else: str = "") -> dict[str, int]:
    """Return ``common`` where all files that name their values number them alike.

    ``or_else`` is another thing to do about it, for the message.

    Raises:
        InputError: they do not, so that the values of files without names, or of regions, mean nothing certain.
    """
    for path, names in files.items():
        for name, value in names.items():
            if value != common[name]:
                first = next(other for other, its in files.items() if its.get(name) == common[name])
                raise InputError(
                    path,
                    expected=f"{name} to be {common[name]}, as in {first.name}",
                    found=f"{value}, while other label maps name nothing, or regions are made of numbers",
                    remedy=f"Number the segments alike in all label maps of {root}, or name the values in all of"
                    f" them{or_else}.",
                )
    return dict(common)


def unnamed_notices(files: Names, labels: Iterable[str]) -> list[str]:
    """Return notices of files that name nothing beside others, and of each label that some of those do not name."""
    labels = list(labels)
    telling = {path: names for path, names in files.items() if names}
    silent = [path.name for path, names in files.items() if not names]
    notices = []
    if silent and telling:
        notices.append(
            f"{len(silent)} of {len(files)} label maps name no values ({some(silent)}): theirs are taken by number, as"
            f" the others have {some(labels)}"
        )
    for label in labels:
        lacking = [path.name for path, names in telling.items() if label not in names]
        if lacking and len(lacking) < len(telling):
            notices.append(
                f"{label} is not named in {len(lacking)} of {len(telling)} label maps that name their values"
                f" ({some(lacking)}): it counts as absent there"
            )
    return notices


def _check_spelling(root: Path, in_files: Mapping[str, Sequence[Path]]) -> None:
    alike: dict[str, list[str]] = defaultdict(list)
    for name in in_files:
        alike[folded(name)].append(name)
    for names in alike.values():
        if len(names) > 1:
            found = " and ".join(f"{name!r} in {some([path.name for path in in_files[name]])}" for name in names)
            raise InputError(
                root,
                expected="one way of writing the name of a segment",
                found=found,
                remedy="Rename the segments in the files (3D Slicer, module Segmentations).",
            )


def _check_slips(root: Path, files: Names, in_files: Mapping[str, Sequence[Path]]) -> None:
    """Refuse a name of one file only that stands there in place of a name that all others have."""
    telling = [path for path, names in files.items() if names]
    for name, paths in in_files.items():
        if len(paths) != 1 or len(telling) < LEAST:
            continue
        missing = [other for other, its in in_files.items() if len(its) == len(telling) - 1 and paths[0] not in its]
        if missing:
            raise InputError(
                paths[0],
                expected=f"the names of the other label maps of {root}, such as {missing[0]!r}",
                found=f"{name!r}, which no other has",
                remedy="Rename the segment in this file, or leave the case out.",
            )
