"""Names for a dataset whose layout has none: they are found by looking into the files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from segkit.dataset import Dataset
from segkit.errors import InputError
from segkit.io.labels import labels_in
from segkit.io.scans import open_source


def named(dataset: Dataset, *, skip_unreadable: bool = False) -> Dataset:
    """The dataset with channels and labels named, as they are where the layout names them.

    One value becomes "foreground", several "label_VALUE". One channel becomes "image", three of a picture "red",
    "green" and "blue", others "channel_NUMBER".

    ``skip_unreadable`` is for those who look at every file anyway: then only readable label maps count.

    Raises:
        InputError: label maps without any foreground, or files that cannot be read.
    """
    labels = dataset.labels or _label_names(dataset, skip_unreadable)
    channels = dataset.channels or _channel_names(dataset, skip_unreadable)
    return dataclasses.replace(dataset, labels=labels, channels=channels)


def _label_names(dataset: Dataset, skip_unreadable: bool) -> dict[str, int]:
    paths = (case.label for case in dataset.cases if case.label is not None)
    values = [value for value in labels_in(paths, skip_unreadable=skip_unreadable) if value != dataset.ignore]
    if not values:
        raise InputError(
            dataset.root,
            expected="label maps with foreground",
            found="only 0 in all of them",
            remedy="Draw the structures to be learned, or check which files are the label maps.",
        )
    return {"foreground": values[0]} if len(values) == 1 else {f"label_{value}": value for value in values}


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
