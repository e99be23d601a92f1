"""Names of channels and labels for a dataset whose layout has none.

Label names come from the label files if these name their values (see `segment_names`); otherwise
they are derived from the values.
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

NamesOfFiles = Mapping[Path, Mapping[str, int]]
"""Label file -> segment name -> value; the inner mapping is empty if the file names nothing."""
MIN_FILES = 3
"""Number of label maps from which a single one with a different name counts as a mistake."""


def with_names(dataset: Dataset, *, skip_unreadable: bool = False) -> Dataset:
    """Return the dataset with all channels and labels named; names of the layout are kept.

    Labels get the names in the label files. Without such names, a single label is called
    "foreground", and several are called "label_VALUE". A single channel is called "image", the
    three channels of a picture "red", "green" and "blue", and any others "channel_NUMBER".

    Args:
        dataset: the dataset as `read_dataset` returns it.
        skip_unreadable: use only the label maps that can be read, for callers that check every
            file later; the labels stay empty if there is none.

    Raises:
        InputError: the label maps have no foreground, their names contradict each other, or a file
            cannot be read.
    """
    files = _names_of_files(dataset, skip_unreadable=skip_unreadable)
    if any(files.values()):
        dataset = _with_names_of_files(dataset, files, skip_unreadable=skip_unreadable)
    labels = dataset.labels or _made_up_labels(dataset, skip_unreadable=skip_unreadable)
    channels = dataset.channels or _made_up_channels(dataset, skip_unreadable=skip_unreadable)
    return dataclasses.replace(dataset, labels=labels, channels=channels)


# -- names inside label files ----------------------------------------------------------------------


def _label_files(dataset: Dataset) -> list[Path]:
    return [case.label for case in dataset.cases if case.label is not None]


def _names_of_files(dataset: Dataset, *, skip_unreadable: bool) -> dict[Path, dict[str, int]]:
    files = {}
    for path in _label_files(dataset):
        try:
            files[path] = names_in(path)
        except InputError:
            if not skip_unreadable:
                raise
    return files


def _with_names_of_files(
    dataset: Dataset, files: NamesOfFiles, *, skip_unreadable: bool
) -> Dataset:
    """Return the dataset with a value for each name in its label files."""
    common = common_names(dataset.root, files)
    if dataset.regions:
        # Regions consist of values, so all files must give a name the same value.
        check_same_values(dataset.root, files, common)
        return dataset
    if dataset.labels:
        return _with_given_labels(dataset, files, common)
    unnamed_files = [path for path, names in files.items() if not names]
    unnamed_values = labels_in(unnamed_files, skip_unreadable=skip_unreadable)
    if unnamed_values:
        check_same_values(dataset.root, files, common)
    ignore = common.get("ignore", dataset.ignore)
    labels = {
        name: value for name, value in common.items() if name != "background" and value != ignore
    }
    more = [value for value in unnamed_values if value not in (*common.values(), ignore)]
    return dataclasses.replace(
        dataset,
        labels={**labels, **{f"label_{value}": value for value in more}},
        ignore=ignore,
        value_names={**common, **_special_values(ignore)},
        notices=(*dataset.notices, *unnamed_notices(files, labels)),
    )


def _with_given_labels(dataset: Dataset, files: NamesOfFiles, common: Mapping[str, int]) -> Dataset:
    """Return a dataset whose labels come from the user or the layout, with values for all names.

    Raises:
        InputError: all files name their values, and none has a label that the user gave.
    """
    absent = [name for name in dataset.labels if name not in common]
    if absent and dataset.subset and all(files.values()):
        raise InputError(
            dataset.root,
            expected=f"labels named as in the label files: {', '.join(common)}",
            found=", ".join(absent),
            remedy="Correct the names in dataset.labels; labels are matched by name, not by the"
            " value in the file.",
        )
    ignore = dataset.ignore
    if ignore is None and "ignore" in common:
        # The value in the files may belong to a label, so choose one that no label has.
        ignore = max([*common.values(), *dataset.labels.values()]) + 1
    # Voxels that were not annotated must not become background, whatever their name.
    not_annotated = {
        name: value
        for name, value in common.items()
        if value == ignore and name not in dataset.labels
    }
    return dataclasses.replace(
        dataset,
        ignore=ignore,
        value_names={**not_annotated, **dataset.labels, **_special_values(ignore)},
        notices=(*dataset.notices, *unnamed_notices(files, dataset.labels)),
    )


def _special_values(ignore: int | None) -> dict[str, int]:
    return {"background": 0} if ignore is None else {"background": 0, "ignore": ignore}


def common_names(root: Path, files: NamesOfFiles) -> dict[str, int]:
    """Return one value for each name that occurs in any file, sorted by value.

    A name keeps its value in the first file that has it, or gets the next free value if that one
    is taken by another name.

    Args:
        root: the dataset or folder, for messages.
        files: names and values in each label file.

    Raises:
        InputError: two names differ only in spelling, or one is probably a mistake for another.
    """
    files_of_name: dict[str, list[Path]] = defaultdict(list)
    for path, names in files.items():
        for name in names:
            files_of_name[name].append(path)
    _check_spelling(root, files_of_name)
    _check_slips(root, files, files_of_name)
    common: dict[str, int] = {}
    for names in files.values():
        for name, value in names.items():
            if name not in common:
                common[name] = value if value not in common.values() else max(common.values()) + 1
    return dict(sorted(common.items(), key=lambda item: item[1]))


def check_same_values(
    root: Path, files: NamesOfFiles, common: Mapping[str, int], *, or_else: str = ""
) -> None:
    """Check that all files that name their values use the values in ``common``.

    Args:
        root: the dataset or folder, for messages.
        files: names and values in each label file.
        common: the value expected for each name.
        or_else: a further remedy, for the message.

    Raises:
        InputError: a name has different values in two files, so that unnamed values are ambiguous.
    """
    for path, names in files.items():
        for name, value in names.items():
            if value != common[name]:
                first = next(
                    other for other, others in files.items() if others.get(name) == common[name]
                )
                raise InputError(
                    path,
                    expected=f"{name} to be {common[name]}, as in {first.name}",
                    found=f"{value}; names do not help here, because other label maps have none or"
                    " regions are defined by values",
                    remedy=f"Use the same values for the segments in all label maps of {root}, or"
                    f" name the values in all of them{or_else}.",
                )


def unnamed_notices(files: NamesOfFiles, labels: Iterable[str]) -> list[str]:
    """Return notices of files without names, and of labels that only some files name."""
    labels = list(labels)
    naming = {path: names for path, names in files.items() if names}
    unnamed = [path.name for path, names in files.items() if not names]
    notices = []
    if unnamed and naming:
        notices.append(
            f"{len(unnamed)} of {len(files)} label maps do not name their values"
            f" ({first_few(unnamed)}): they are read by number, as the other label maps number"
            f" {first_few(labels)}"
        )
    for label in labels:
        lacking = [path.name for path, names in naming.items() if label not in names]
        if lacking and len(lacking) < len(naming):
            notices.append(
                f"{label} is not named in {len(lacking)} of {len(naming)} label maps that name"
                f" their values ({first_few(lacking)}): it counts as absent there"
            )
    return notices


def _check_spelling(root: Path, files_of_name: Mapping[str, Sequence[Path]]) -> None:
    spellings: dict[str, list[str]] = defaultdict(list)
    for name in files_of_name:
        spellings[comparable_name(name)].append(name)
    for names in spellings.values():
        if len(names) > 1:
            found = " and ".join(
                f"{name!r} in {first_few([path.name for path in files_of_name[name]])}"
                for name in names
            )
            raise InputError(
                root,
                expected="one spelling of each segment name",
                found=found,
                remedy="Rename the segments in the files (3D Slicer, module Segmentations).",
            )


def _check_slips(
    root: Path, files: NamesOfFiles, files_of_name: Mapping[str, Sequence[Path]]
) -> None:
    """Refuse a name that only one file has, if that file lacks a name that all others have."""
    naming = [path for path, names in files.items() if names]
    for name, paths in files_of_name.items():
        if len(paths) != 1 or len(naming) < MIN_FILES:
            continue
        missing = [
            other
            for other, other_paths in files_of_name.items()
            if len(other_paths) == len(naming) - 1 and paths[0] not in other_paths
        ]
        if missing:
            raise InputError(
                paths[0],
                expected=f"the names of the other label maps of {root}, such as {missing[0]!r}",
                found=f"{name!r}, which none of them has",
                remedy="Rename the segment in this file, or leave the case out.",
            )


# -- made-up names ---------------------------------------------------------------------------------


def _made_up_labels(dataset: Dataset, *, skip_unreadable: bool) -> dict[str, int]:
    values: set[int] = set()
    unreadable = False
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
            remedy="Segment the structures to be learned, or check which files are the label maps.",
        )
    if len(values) == 1:
        return {"foreground": min(values)}
    return {f"label_{value}": value for value in sorted(values)}


def _made_up_channels(dataset: Dataset, *, skip_unreadable: bool) -> tuple[str, ...]:
    """Return names for the channels of the first case that can be read."""
    for case in dataset.cases:
        try:
            return _names_by_number(case.images)
        except InputError:
            if not skip_unreadable:
                raise
    return ("image",)


def _names_by_number(images: Sequence[Path]) -> tuple[str, ...]:
    first = open_source(images[0])
    count = first.channels if len(images) == 1 else len(images)
    if count == 1:
        return ("image",)
    if count == 3 and first.grid.unit == "px":
        return ("red", "green", "blue")
    return tuple(f"channel_{number}" for number in range(count))
