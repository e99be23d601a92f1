"""dataset.json: names of channels and labels, and the cases it lists, as the Decathlon and nnU-Net write it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from segkit.dataset.channel_files import channel_files
from segkit.dataset.dataset import Case
from segkit.dataset.paths import located, unlisted_notice
from segkit.errors import InputError
from segkit.files.names import case_id
from segkit.labels.scheme import LabelScheme, own_values, target_values, values_apart
from segkit.units import is_whole

_T = TypeVar("_T")
_BACKGROUND = re.compile(
    r"\s*(back|bg\b|clear|un|none|no\b|not|nothing|other|rest|ext|void|air|empty|0|$)",
    re.IGNORECASE,
)
"""Beginnings of names that people give to the value 0."""


def channels_of_json(where: Path, channels: Any) -> tuple[str, ...]:
    if isinstance(channels, list):
        return tuple(str(name) for name in channels)
    if isinstance(channels, dict) and all(re.fullmatch(r"[0-9]{1,9}", key) for key in channels):
        return tuple(str(channels[key]) for key in sorted(channels, key=int))
    raise InputError(
        where,
        expected='channel names such as {"0": "CT"}',
        found=repr(channels),
        remedy="Number the channels from 0.",
    )


def labels_of_json(where: Path, labels: Any, order: Any = None) -> LabelScheme:
    """Labels as {"1": "name"} (Decathlon) or {"name": 1} (nnU-Net), without background (0).

    The name ``ignore`` stands for voxels that nobody has annotated. Where a name has a list of values, all are regions;
    ``order`` (nnU-Net's regions_class_order) then holds the value that is written for each.
    """
    if not isinstance(labels, dict):
        raise _bad_labels(where, f"{type(labels).__name__} {labels!r}")
    if labels and all(_is_whole(key) for key in labels):
        pairs = [(str(name), _values(where, name, value)) for value, name in labels.items()]
    else:
        pairs = [(str(name), _values(where, name, value)) for name, value in labels.items()]
    _check_background(where, pairs)
    found = _without_doubles(
        where, [(name, values) for name, values in pairs if name == "ignore" or values != (0,)]
    )
    if any(isinstance(value, list) for value in labels.values()):
        return _regions(where, found, order)
    plain = checked_labels(where, {name: values[0] for name, values in found.items()})
    ignore = plain.pop("ignore", None)
    return LabelScheme(plain, ignore=ignore)


def _check_background(where: Path, pairs: Sequence[tuple[str, tuple[int, ...]]]) -> None:
    """Raise an InputError where background is not 0, or 0 has a second name, as where labels are counted from 0."""
    zero = [name for name, values in pairs if values == (0,)]
    other = [values for name, values in pairs if name.lower() == "background" and values != (0,)]
    if other or len(zero) > 1:
        found = f"background: {other[0][0]}" if other else f"0 for {' and '.join(zero)}"
        raise InputError(
            where,
            expected="0 for background, and for nothing else",
            found=found,
            remedy="Correct the entry 'labels'.",
        )


def background_notices(labels: Any) -> list[str]:
    """Return a notice where the value 0 has a name that may be one of a structure, which would never be learned."""
    pairs = labels.items() if isinstance(labels, dict) else ()
    names = [
        name if str(value) == "0" else value
        for name, value in pairs
        if "0" in (str(name), str(value))
    ]
    return [
        f"{name!r} has the value 0 and is taken as background. If it is a structure, number the labels from 1"
        for name in names
        if not _BACKGROUND.match(str(name))
    ]


def channel_notices(content: Mapping[str, Any]) -> list[str]:
    """Return a notice where a dataset.json calls a channel CT in one of its two notations and not in the other."""
    names, other = content.get("channel_names"), content.get("modality")
    if not isinstance(names, dict) or not isinstance(other, dict):
        return []
    return [
        f"dataset.json calls channel {key} {names[key]!r} under channel_names and {other[key]!r} under modality; the"
        " former is taken. Correct one, or give dataset.channels=[...]"
        for key in names
        if key in other
        and (str(names[key]).upper() == "CT") is not (str(other[key]).upper() == "CT")
    ]


def check_ignore(where: str | Path, scheme: LabelScheme, ignore: int | None) -> None:
    """Raise an InputError for an ignore value that is 0 or that a label or region has."""
    taken = {"background": 0, **target_values(scheme.labels, scheme.regions)}
    for name, value in taken.items():
        if value == ignore:
            raise InputError(
                where,
                expected="an ignore value that no label has",
                found=f"{ignore}, which is {name}",
                remedy="Give the value of the voxels that nobody has annotated.",
            )


def _values(where: Path, name: str, value: Any) -> tuple[int, ...]:
    values = value if isinstance(value, list) and name != "ignore" else [value]
    if not values or not all(_is_whole(str(each)) for each in values):
        raise _bad_labels(where, f"{name!r}: {value!r}")
    return tuple(int(each) for each in values)


def _regions(where: Path, found: Mapping[str, tuple[int, ...]], order: Any) -> LabelScheme:
    regions = {
        name: values for name, values in found.items() if name not in ("background", "ignore")
    }
    return LabelScheme(_written(where, regions, order), regions, found.get("ignore", (None,))[0])


def _written(where: Path, regions: Mapping[str, tuple[int, ...]], order: Any) -> dict[str, int]:
    """The value that is written for each region: as ``order`` says, or by the rule of `regions.own_values`."""
    try:
        written = own_values(regions) if order is None else dict(zip(regions, order, strict=True))
        good = all(
            is_whole(written[name]) and written[name] in own
            for name, own in values_apart(regions).items()
        )
    except (ValueError, TypeError):
        good = False
    if not good:
        raise InputError(
            where,
            expected="under regions_class_order, for each region one of its values that no later region has",
            found=repr(order),
            remedy="List the regions from large to small: small ones are written over the large ones that hold them.",
        )
    return written


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,19}", text) is not None


def _bad_labels(where: Path, found: str) -> InputError:
    return InputError(
        where,
        expected='labels such as {"1": "liver"} or {"liver": 1}',
        found=found,
        remedy="Correct the entry 'labels'.",
    )


def _without_doubles(where: str | Path, pairs: Sequence[tuple[str, _T]]) -> dict[str, _T]:
    """Raise an InputError where two values have the same name."""
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise InputError(
            where,
            expected="a name of its own for each label",
            found=f"{twice[0]!r} twice",
            remedy="Rename one of them.",
        )
    return dict(pairs)


def checked_labels(where: str | Path, labels: Mapping[str, int]) -> dict[str, int]:
    """The labels without an entry named background.

    Raises:
        InputError: the value 0, or one value under two names.
    """
    kept = {name: value for name, value in labels.items() if name != "background"}
    for name, value in kept.items():
        others = [other for other, its in kept.items() if its == value and other != name]
        if value == 0:
            raise InputError(
                where,
                expected="labels other than 0",
                found=f"{name}: 0",
                remedy="0 is background: leave it out.",
            )
        if others:
            found = f"{value} for {name} and for {others[0]}"
            raise InputError(
                where,
                expected="a value of its own for each label",
                found=found,
                remedy="Correct one.",
            )
    return kept


def training_cases(folder: Path, pairs: Any) -> tuple[list[Case], list[str]]:
    """Return the cases of a list of pairs {image, label}, and a notice of scans in imagesTr that it leaves out.

    nnU-Net v1 names images without the number of the channel that their files have.

    Raises:
        InputError: anything else.
    """
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise InputError(
            folder / "dataset.json",
            expected="a list of pairs {image, label} under 'training'",
            found="other entries",
            remedy='Write each as {"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}.',
        )
    cases = [
        Case(case_id(image), channel_files(image), located(folder, pair["label"]))
        for pair, image in ((pair, located(folder, pair["image"])) for pair in pairs)
    ]
    return cases, unlisted_notice(
        folder / "imagesTr", [path for case in cases for path in case.images]
    )


def _is_pair(entry: Any) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(key), str) for key in ("image", "label")
    )


def listed_cases(folder: Path, entries: Any) -> list[Case]:
    """Return the cases of a mapping CASE -> {images: [...], label: ...}, whose paths may have variables as in $DATA.

    Raises:
        InputError: anything else.
    """
    if not isinstance(entries, dict) or not all(_is_entry(entry) for entry in entries.values()):
        raise InputError(
            folder / "dataset.json",
            expected="cases {images, label} under 'dataset'",
            found="other entries",
            remedy='Write each as "CASE": {"images": ["a.nii.gz"], "label": "b.nii.gz"}.',
        )
    return [
        Case(
            name,
            tuple(_path(folder, image) for image in entry["images"]),
            _path(folder, entry["label"]),
        )
        for name, entry in entries.items()
    ]


def _path(folder: Path, text: str) -> Path:
    return located(folder, os.path.expandvars(text))


def _is_entry(entry: Any) -> bool:
    images = entry.get("images") if isinstance(entry, dict) else None
    return (
        isinstance(images, list)
        and len(images) > 0
        and all(isinstance(image, str) for image in images)
        and isinstance(entry.get("label"), str)
    )
