"""Names for a dataset whose layout has none, and what the names inside its label files stand for.

Names come from the label files where these name their values (see `segment_names`), else they are made up.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from segkit.dataset.dataset import Dataset
from segkit.errors import InputError, first_few
from segkit.io.labels import labels_in
from segkit.io.scans import open_source
from segkit.io.segment_names import comparable_name, names_in


def named(dataset: Dataset, *, skip_unreadable: bool = False) -> Dataset:
    """Return the dataset with channels and labels named, as they are where the layout names them.

    Names of labels are those of the label files. Without any, one value becomes "foreground", several "label_VALUE".
    One channel becomes "image", three of a picture "red", "green" and "blue", others "channel_NUMBER".

    ``skip_unreadable`` is for those who look at every file anyway: then only readable label maps count, and the labels
    stay empty where there is none.

    Raises:
        InputError: label maps without any foreground, names that contradict each other, or files that cannot be read.
    """
    names = _names_of_files(dataset, skip_unreadable)
    if any(names.values()):
        dataset = _by_names(dataset, names, skip_unreadable)
    labels = dataset.labels or _made_up(dataset, skip_unreadable)
    channels = dataset.channels or _channel_names(dataset, skip_unreadable)
    return dataclasses.replace(dataset, labels=labels, channels=channels)


def _names_of_files(dataset: Dataset, skip_unreadable: bool) -> dict[Path, dict[str, int]]:
    """Return for each label file the names that it gives; a file that cannot be read is left out if asked."""
    found = {}
    for path in _label_files(dataset):
        try:
            found[path] = names_in(path)
        except InputError:
            if not skip_unreadable:
                raise
    return found


def _label_files(dataset: Dataset) -> list[Path]:
    return [case.label for case in dataset.cases if case.label is not None]


def _by_names(
    dataset: Dataset, files: Mapping[Path, Mapping[str, int]], skip_unreadable: bool
) -> Dataset:
    """Return the dataset with the values that names inside its label files stand for."""
    common = common_names(dataset.root, files)
    if (
        dataset.regions
    ):  # they are made of values, for which the files must number their names alike
        joint_names(dataset.root, files, common)
        return dataset
    if dataset.labels:
        return _of_known_labels(dataset, files, common)
    others = labels_in(
        [path for path, names in files.items() if not names], skip_unreadable=skip_unreadable
    )
    values = joint_names(dataset.root, files, common) if others else common
    ignore = values.get("ignore", dataset.ignore)
    labels = {
        name: value for name, value in values.items() if name != "background" and value != ignore
    }
    more = [value for value in others if value not in (*values.values(), ignore)]
    return dataclasses.replace(
        dataset,
        labels={**labels, **{f"label_{value}": value for value in more}},
        ignore=ignore,
        value_names={**values, **_special(ignore)},
        notices=(*dataset.notices, *unnamed_notices(files, labels)),
    )


def _of_known_labels(
    dataset: Dataset, files: Mapping[Path, Mapping[str, int]], common: Mapping[str, int]
) -> Dataset:
    """Return the dataset whose labels the user or the layout names; each must be known to files that name all."""
    absent = [name for name in dataset.labels if name not in common]
    if absent and dataset.subset and all(files.values()):
        raise InputError(
            dataset.root,
            expected=f"labels with the names that the label files give: {', '.join(common)}",
            found=", ".join(absent),
            remedy="Correct the names in dataset.labels; names decide, whatever number a file gives them.",
        )
    ignore = dataset.ignore
    if ignore is None and "ignore" in common:
        ignore = (
            max([*common.values(), *dataset.labels.values()]) + 1
        )  # whatever it is in the files, no label has this
    # What is not annotated must not become background, whatever the files call it.
    not_annotated = {
        name: value
        for name, value in common.items()
        if value == ignore and name not in dataset.labels
    }
    return dataclasses.replace(
        dataset,
        ignore=ignore,
        value_names={**not_annotated, **dataset.labels, **_special(ignore)},
        notices=(*dataset.notices, *unnamed_notices(files, dataset.labels)),
    )


def _special(ignore: int | None) -> dict[str, int]:
    return {"background": 0, **({} if ignore is None else {"ignore": ignore})}


def _made_up(dataset: Dataset, skip_unreadable: bool) -> dict[str, int]:
    values, unreadable = set[int](), False
    for path in _label_files(dataset):
        try:
            values.update(labels_in([path]))
        except InputError:
            if not skip_unreadable:
                raise
            unreadable = True
    values -= {dataset.ignore}
    if not values and not unreadable:
        raise InputError(
            dataset.root,
            expected="label maps with foreground",
            found="only 0 in all of them",
            remedy="Draw the structures to be learned, or check which files are the label maps.",
        )
    return (
        {"foreground": min(values)}
        if len(values) == 1
        else {f"label_{value}": value for value in sorted(values)}
    )


def _channel_names(dataset: Dataset, skip_unreadable: bool) -> tuple[str, ...]:
    for case in dataset.cases:
        try:
            return _channels_of(case.images)
        except InputError:
            if not skip_unreadable:
                raise
    return ("image",)


def _channels_of(images: Sequence[Path]) -> tuple[str, ...]:
    first = open_source(images[0])
    count = first.channels if len(images) == 1 else len(images)
    if count == 1:
        return ("image",)
    if count == 3 and first.grid.unit == "px":
        return ("red", "green", "blue")
    return tuple(f"channel_{number}" for number in range(count))


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


def joint_names(
    root: Path, files: Names, common: Mapping[str, int], *, or_else: str = ""
) -> dict[str, int]:
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
            f"{len(silent)} of {len(files)} label maps name no values ({first_few(silent)}): theirs are taken by number, as"
            f" the others have {first_few(labels)}"
        )
    for label in labels:
        lacking = [path.name for path, names in telling.items() if label not in names]
        if lacking and len(lacking) < len(telling):
            notices.append(
                f"{label} is not named in {len(lacking)} of {len(telling)} label maps that name their values"
                f" ({first_few(lacking)}): it counts as absent there"
            )
    return notices


def _check_spelling(root: Path, in_files: Mapping[str, Sequence[Path]]) -> None:
    alike: dict[str, list[str]] = defaultdict(list)
    for name in in_files:
        alike[comparable_name(name)].append(name)
    for names in alike.values():
        if len(names) > 1:
            found = " and ".join(
                f"{name!r} in {first_few([path.name for path in in_files[name]])}" for name in names
            )
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
        missing = [
            other
            for other, its in in_files.items()
            if len(its) == len(telling) - 1 and paths[0] not in its
        ]
        if missing:
            raise InputError(
                paths[0],
                expected=f"the names of the other label maps of {root}, such as {missing[0]!r}",
                found=f"{name!r}, which no other has",
                remedy="Rename the segment in this file, or leave the case out.",
            )
