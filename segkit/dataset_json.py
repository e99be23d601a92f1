"""The names in a dataset.json: channels and labels, in the notations of the Decathlon and of nnU-Net."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.errors import InputError


def channels_of_json(where: Path, channels: Any) -> tuple[str, ...]:
    if isinstance(channels, list):
        return tuple(str(name) for name in channels)
    if isinstance(channels, dict) and all(key.isdecimal() for key in channels):
        return tuple(str(channels[key]) for key in sorted(channels, key=int))
    raise InputError(
        where,
        expected='channel names such as {"0": "CT"}',
        found=repr(channels),
        remedy="Number the channels from 0.",
    )


def labels_of_json(where: Path, labels: Any) -> dict[str, int]:
    """Labels as {"1": "name"} (Decathlon) or {"name": 1} (nnU-Net), without background (0)."""
    if not isinstance(labels, dict):
        raise _bad_labels(where, f"{type(labels).__name__} {labels!r}")
    if labels and all(_is_whole(key) for key in labels):
        pairs = [(str(name), int(value)) for value, name in labels.items()]
    else:
        pairs = [(str(name), _value(where, name, value)) for name, value in labels.items()]
    return checked_labels(where, _without_doubles(where, [(name, value) for name, value in pairs if value != 0]))


def _value(where: Path, name: str, value: Any) -> int:
    if name == "ignore" or isinstance(value, list):
        kind = "an ignore label" if name == "ignore" else f"the region {name!r} of several values"
        raise InputError(
            where,
            expected="one value for each label",
            found=kind,
            remedy="Regions and ignore labels are not supported yet: give the plain labels in the labels entry.",
        )
    if isinstance(value, bool) or not _is_whole(str(value)):
        raise _bad_labels(where, f"{name!r}: {value!r}")
    return int(value)


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+", text) is not None


def _bad_labels(where: Path, found: str) -> InputError:
    return InputError(
        where,
        expected='labels such as {"1": "liver"} or {"liver": 1}',
        found=found,
        remedy="Correct the entry 'labels'.",
    )


def _without_doubles(where: str | Path, pairs: Sequence[tuple[str, int]]) -> dict[str, int]:
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
                where, expected="labels other than 0", found=f"{name}: 0", remedy="0 is background: leave it out."
            )
        if others:
            found = f"{value} for {name} and for {others[0]}"
            raise InputError(where, expected="a value of its own for each label", found=found, remedy="Correct one.")
    return kept


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError) as error:
        raise InputError(path, expected="JSON", found=str(error), remedy="Correct the file.") from error
    if not isinstance(content, dict):
        raise InputError(path, expected="a JSON object", found=type(content).__name__, remedy="Correct the file.")
    return content
