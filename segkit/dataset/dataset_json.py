"""Read channels and labels from a dataset.json of the Decathlon or of nnU-Net."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.errors import InputError
from segkit.labels.scheme import LabelScheme, own_values, target_values, values_apart
from segkit.units import is_whole

_BACKGROUND_NAME = re.compile(
    r"\s*(back|bg\b|clear|un|none|no\b|not|nothing|other|rest|ext|void|air|empty|0|$)",
    re.IGNORECASE,
)
"""Beginnings of names for the value 0 that mean background."""
_LICENSE_LENGTH = 200
"""Number of characters of a stated license that are kept."""


# -- channels ---------------------------------------------------------------------------------


def channels_of_json(where: Path, channels: Any) -> tuple[str, ...]:
    """Return channel names from a list, or from {"0": "CT", "1": "PET"} in the order of the keys.

    Raises:
        InputError: ``channels`` has another form.
    """
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


# -- labels -----------------------------------------------------------------------------------


def labels_of_json(where: Path, labels: Any, order: Any = None) -> LabelScheme:
    """Return the labels of {"1": "liver"} (Decathlon) or {"liver": 1} (nnU-Net) without background.

    The name ``ignore`` marks voxels that were not annotated. If any name has a list of values, all
    names are regions.

    Args:
        where: the file, for messages.
        labels: the entry ``labels``.
        order: the entry ``regions_class_order`` of nnU-Net: the value to write for each region.

    Raises:
        InputError: ``labels`` has another form, a label has the value 0, a name or a value is given
            twice, or ``order`` does not fit the regions.

    >>> labels_of_json(Path("dataset.json"), {"background": 0, "liver": 1, "ignore": 2}).ignore
    2
    """
    if not isinstance(labels, dict):
        raise _bad_labels(where, f"{type(labels).__name__} {labels!r}")
    if labels and all(_is_whole(key) for key in labels):
        pairs = [(str(name), _values(where, name, value)) for value, name in labels.items()]
    else:
        pairs = [(str(name), _values(where, name, value)) for name, value in labels.items()]
    _check_background(where, pairs)
    values = _unique_names(
        where, [(name, values) for name, values in pairs if name == "ignore" or values != (0,)]
    )
    if any(isinstance(value, list) for value in labels.values()):
        return _region_scheme(where, values, order)
    scheme = checked_labels(where, {name: numbers[0] for name, numbers in values.items()})
    ignore = scheme.pop("ignore", None)
    return LabelScheme(scheme, ignore=ignore)


def checked_labels(where: str | Path, labels: Mapping[str, int]) -> dict[str, int]:
    """Return the labels (name to value) without an entry named background.

    Raises:
        InputError: a label has the value 0, or two labels have the same value.
    """
    foreground = {name: value for name, value in labels.items() if name != "background"}
    for name, value in foreground.items():
        if value == 0:
            raise InputError(
                where,
                expected="labels other than 0",
                found=f"{name}: 0",
                remedy="0 is background: leave it out.",
            )
        others = [other for other in foreground if other != name and foreground[other] == value]
        if others:
            raise InputError(
                where,
                expected="a different value for each label",
                found=f"{value} for {name} and for {others[0]}",
                remedy="Correct one of the two.",
            )
    return foreground


def check_ignore(where: str | Path, scheme: LabelScheme, ignore: int | None) -> None:
    """Raise an InputError for an ignore value that is 0 or the value of a label or region."""
    used = {"background": 0, **target_values(scheme.labels, scheme.regions)}
    for name, value in used.items():
        if value == ignore:
            raise InputError(
                where,
                expected="an ignore value that no label has",
                found=f"{ignore}, which is {name}",
                remedy="Give the value of the voxels that were not annotated.",
            )


def _values(where: Path, name: str, value: Any) -> tuple[int, ...]:
    """Return the single value of a label, or the list of values of a region, as a tuple."""
    values = value if isinstance(value, list) and name != "ignore" else [value]
    if not values or not all(_is_whole(str(number)) for number in values):
        raise _bad_labels(where, f"{name!r}: {value!r}")
    return tuple(int(number) for number in values)


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,19}", text) is not None


def _bad_labels(where: Path, found: str) -> InputError:
    return InputError(
        where,
        expected='labels such as {"1": "liver"} or {"liver": 1}',
        found=found,
        remedy="Correct the entry 'labels'.",
    )


def _check_background(where: Path, pairs: Sequence[tuple[str, tuple[int, ...]]]) -> None:
    """Check that background is 0 and no other name is, as if labels were numbered from 0."""
    names_of_zero = [name for name, values in pairs if values == (0,)]
    other_values = [
        values for name, values in pairs if name.lower() == "background" and values != (0,)
    ]
    if not other_values and len(names_of_zero) <= 1:
        return
    zero = f"0 for {' and '.join(names_of_zero)}"
    raise InputError(
        where,
        expected="0 for background, and for nothing else",
        found=f"background: {other_values[0][0]}" if other_values else zero,
        remedy="Correct the entry 'labels'.",
    )


def _unique_names(
    where: Path, pairs: Sequence[tuple[str, tuple[int, ...]]]
) -> dict[str, tuple[int, ...]]:
    """Return the pairs as a dict, and raise an InputError if two values have the same name."""
    counts = Counter(name for name, _ in pairs)
    duplicates = [name for name, count in counts.items() if count > 1]
    if duplicates:
        raise InputError(
            where,
            expected="a different name for each label",
            found=f"{duplicates[0]!r} twice",
            remedy="Rename one of the two.",
        )
    return dict(pairs)


def _region_scheme(where: Path, values: Mapping[str, tuple[int, ...]], order: Any) -> LabelScheme:
    regions = {
        name: numbers for name, numbers in values.items() if name not in ("background", "ignore")
    }
    ignore = values["ignore"][0] if "ignore" in values else None
    return LabelScheme(_written_values(where, regions, order), regions, ignore)


def _written_values(
    where: Path, regions: Mapping[str, tuple[int, ...]], order: Any
) -> dict[str, int]:
    """Return the value to write for each region: from ``order``, or by the rule of `own_values`."""
    try:
        written = own_values(regions) if order is None else dict(zip(regions, order, strict=True))
        valid = all(
            is_whole(written[name]) and written[name] in values
            for name, values in values_apart(regions).items()
        )
    except (ValueError, TypeError):
        valid = False
    if not valid:
        raise InputError(
            where,
            expected="in regions_class_order, for each region one of its values that no later"
            " region has",
            found=repr(order),
            remedy="List the regions from large to small: small ones are written over the large"
            " ones that contain them.",
        )
    return written


# -- license and notices ------------------------------------------------------------------------


def license_of_json(content: Mapping[str, Any]) -> str:
    """Return the license that a dataset.json states, in one line; empty if it states none.

    >>> license_of_json({"name": "Hippocampus", "licence": "CC-BY-SA 4.0"})
    'CC-BY-SA 4.0'
    """
    stated = content.get("licence", content.get("license"))
    return " ".join(stated.split())[:_LICENSE_LENGTH] if isinstance(stated, str) else ""


def notices_of_json(
    content: Mapping[str, Any], cases: int, *, incomplete: bool = False
) -> list[str]:
    """Return sentences about suspicious entries of a dataset.json that are no error.

    Args:
        content: the content of the file.
        cases: number of cases found.
        incomplete: whether cases were left out, so that their number says nothing.
    """
    return [
        *([] if incomplete else _case_count_notices(content.get("numTraining"), cases)),
        *_background_notices(content.get("labels")),
        *_channel_notices(content),
    ]


def _case_count_notices(announced: Any, count: int) -> list[str]:
    """Return a notice if the number of cases differs from ``numTraining``."""
    text = str(announced)
    if not text.isdecimal() or text.lstrip("0") == str(count):
        return []
    return [f"dataset.json announces {text[:20]} cases (numTraining), found {count}"]


def _background_notices(labels: Any) -> list[str]:
    """Return a notice if the value 0 is named like a structure, which would not be learned."""
    pairs = labels.items() if isinstance(labels, dict) else ()
    names = [
        name if str(value) == "0" else value
        for name, value in pairs
        if "0" in (str(name), str(value))
    ]
    return [
        f"{name!r} has the value 0 and is taken as background. If it is a structure, number the"
        " labels from 1"
        for name in names
        if not _BACKGROUND_NAME.match(str(name))
    ]


def _channel_notices(content: Mapping[str, Any]) -> list[str]:
    """Return a notice for each channel that only one of channel_names and modality calls CT."""
    names, modalities = content.get("channel_names"), content.get("modality")
    if not isinstance(names, dict) or not isinstance(modalities, dict):
        return []
    return [
        f"dataset.json calls channel {key} {names[key]!r} under channel_names and"
        f" {modalities[key]!r} under modality; channel_names is used. Correct one of them, or give"
        " dataset.channels=[...]"
        for key in names
        if key in modalities and _is_ct(names[key]) != _is_ct(modalities[key])
    ]


def _is_ct(name: Any) -> bool:
    return str(name).upper() == "CT"
