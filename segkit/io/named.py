"""Names for a dataset whose layout has none: they are found by looking into the files."""

from __future__ import annotations

import dataclasses

from segkit.dataset import Dataset
from segkit.errors import InputError
from segkit.io.labels import labels_in
from segkit.io.scans import open_source


def named(dataset: Dataset) -> Dataset:
    """The dataset with channels and labels named, as they are where the layout names them.

    One value becomes "foreground", several "label_VALUE". One channel becomes "image", three of a picture "red",
    "green" and "blue", others "channel_NUMBER".

    Raises:
        InputError: label maps without any foreground, or files that cannot be read.
    """
    labels = dataset.labels or _label_names(dataset)
    channels = dataset.channels or _channel_names(dataset)
    return dataclasses.replace(dataset, labels=labels, channels=channels)


def _label_names(dataset: Dataset) -> dict[str, int]:
    values = labels_in(case.label for case in dataset.cases if case.label is not None)
    if not values:
        raise InputError(
            dataset.root,
            expected="label maps with foreground",
            found="only 0 in all of them",
            remedy="Draw the structures to be learned, or check which files are the label maps.",
        )
    return {"foreground": values[0]} if len(values) == 1 else {f"label_{value}": value for value in values}


def _channel_names(dataset: Dataset) -> tuple[str, ...]:
    images = dataset.cases[0].images
    first = open_source(images[0])
    count = first.channels if len(images) == 1 else len(images)
    if count == 1:
        return ("image",)
    if count == 3 and first.grid.unit == "px":
        return ("red", "green", "blue")
    return tuple(f"channel_{number}" for number in range(count))
