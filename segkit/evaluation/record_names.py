"""Names of labels from the records that `segkit predict --stats` writes beside label maps."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segkit.evaluation.measure import Structure, values_of
from segkit.files.names import records_of

log = logging.getLogger(__name__)
LARGEST_RECORD = 16 << 20
"""Bytes; that of 1,000 labels has 1 MB."""


def names_beside(paths: Iterable[Path]) -> dict[str, Structure]:
    """Return name -> value, or the values of a region, of the records beside these label maps; {} where there are none.

    Records that contradict each other are of different models: then a warning says so, and no name is taken.
    """
    found: dict[str, Structure] = {}
    for path in paths:
        for name, structure in _names_of(path).items():
            if found.setdefault(name, structure) != structure:
                log.warning(
                    "records beside the label maps name different values %r, such as %s: labels are called after their "
                    "values; name them with --labels",
                    *(name, path.name),
                )
                return {}
    if len({values_of(structure) for structure in found.values()}) < len(found):
        log.warning(
            "records beside the label maps give one value two names: labels are called after their values"
        )
        return {}
    return found


def warn_of_other_names(known: Mapping[str, Structure], beside: Mapping[str, Structure]) -> None:
    """Say where records beside predictions give a name another value than the references do."""
    other = [
        name
        for name in beside
        if name in known and values_of(beside[name]) != values_of(known[name])
    ]
    if other:
        named = ", ".join(
            f"{name} ({beside[name]}, and {known[name]} in the references)" for name in other
        )
        log.warning(
            "the records beside the predictions give other values to %s: are they of another dataset?",
            named,
        )


def _names_of(path: Path) -> dict[str, Structure]:
    """Return the names of one record; {} where none is beside the label map, or something else."""
    for record in records_of(path):
        content = _content(record)
        labels, regions = content.get("labels"), content.get("regions")
        if isinstance(labels, dict) and "versions" in content:
            values = {
                name: each.get("value") for name, each in labels.items() if isinstance(each, dict)
            }
            made_of = regions if isinstance(regions, dict) else {}
            found = {name: _structure(made_of.get(name), value) for name, value in values.items()}
            return {name: structure for name, structure in found.items() if structure is not None}
    return {}


def _content(record: Path) -> dict[str, Any]:
    try:
        content = (
            json.loads(record.read_bytes()) if record.stat().st_size <= LARGEST_RECORD else None
        )
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _structure(values: object, value: object) -> Structure | None:
    """Return the values of a region, or the value of a label; None for what is neither."""
    if isinstance(values, list) and values and all(map(_is_value, values)):
        return tuple(values)
    return value if isinstance(value, int) and _is_value(value) else None


def _is_value(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value != 0
