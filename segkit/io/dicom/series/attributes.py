"""Read attributes of a frame as plain values, which can be compared and counted.

An attribute is read from the top level of a single-frame file, and from the per-frame or shared
functional groups of an enhanced file.
"""

# mypy: allow-untyped-calls
# (the dictionary of pydicom has no annotations)

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from segkit.io.dicom.frames import Frame

Value = Hashable
"""Number, string, or tuple of these; None for an attribute that is missing or empty."""


def value_of(frame: Frame, *paths: str) -> Value:
    """Return the value of the first of several attributes that is present.

    Args:
        frame: the frame.
        paths: attribute keywords, preceded by those of their sequences: ``"Sequence.Keyword"``.
    """
    tag_paths = [_tags(path) for path in paths]
    for dataset in frame.datasets:
        for tags in tag_paths:
            value = plain(_raw_value(dataset, tags))
            if value is not None:
                return value
    return None


def _raw_value(dataset: Dataset, tags: tuple[BaseTag, ...]) -> Any:
    """Return the value of the last tag, after following the first item of each sequence."""
    *sequences, attribute = tags
    for sequence in sequences:
        items = dataset[sequence].value if sequence in dataset else None
        if not items:
            return None
        dataset = items[0]
    return dataset[attribute].value if attribute in dataset else None


@cache
def _tags(path: str) -> tuple[BaseTag, ...]:
    return tuple(Tag(keyword) for keyword in path.split("."))


def plain(value: Any) -> Value:
    """Return a pydicom value as a number, a string or a tuple of these; None if it is empty."""
    if value is None or isinstance(value, int | float):
        return None if value is None else float(value)
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, MultiValue | list | tuple):
        items = tuple(plain(item) for item in value)
        return items[0] if len(items) == 1 else items or None
    return str(value).strip() or None


def private_value(frame: Frame, creator: str, group: int, element: int) -> Value:
    """Return the first value of a private attribute, or None if the frame has none."""
    for dataset in frame.datasets:
        try:
            value = plain(dataset.private_block(group, creator)[element].value)
        except KeyError:
            continue
        return value[0] if isinstance(value, tuple) else value
    return None
