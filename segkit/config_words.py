"""Words of the command line that Hydra's grammar would not take as typed: paths, and names of channels and labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from segkit.config_values import CHECKS
from segkit.errors import UsageError

PATHS = {
    "dataset": "dataset.path",
    "dataset.path": "dataset.path",
    "dataset.store": "dataset.store",
    "plan": "plan.file",
    "plan.file": "plan.file",
    "run_dir": "run_dir",
    "weights": "weights",
}
"""Overrides whose value is a path, and their full keys. Hydra never sees them."""

NAMES = ("dataset.channels", "dataset.labels", "dataset.regions")
"""Overrides with names in any script. Hydra never sees them."""

NONE = ("", "null")

GROUPS = ("network", "compute")
"""Overrides whose value is the name of a file of configs/."""
PRESET = "preset"
"""One more of them, whose file sets keys of all kinds."""


def given_keys(overrides: Sequence[str]) -> set[str]:
    """The full dotted keys that KEY=VALUE words set.

    >>> sorted(given_keys(["dataset=x", "network=unet", "seed=1"]))
    ['dataset.path', 'network.name', 'seed']
    """
    keys = [word.partition("=")[0] for word in overrides]
    return {PATHS.get(key, f"{key}.name" if key in GROUPS else key) for key in keys}


def path_value(text: str) -> str | None:
    """The path as typed; a leading ~ is the home folder, an empty word or null none."""
    if text in NONE:
        return None
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:
        return text


def names_value(key: str, text: str) -> Any:
    """The value of dataset.channels (names), dataset.labels (names with whole numbers) or dataset.regions (names with
    one or several), read as YAML.

    Quotes are needed only around a name that holds one of ``, : [ ] { }``.

    >>> names_value("dataset.labels", "{left lung:1,'liver, right':5}")
    {'left lung': 1, 'liver, right': 5}

    Raises:
        UsageError: none of these.
    """
    if text in NONE:
        return None
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        return {"dataset.channels": _channels, "dataset.labels": _labels, "dataset.regions": _regions}[key](node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{key} must be {CHECKS[key][1]}, not {_short(text)}") from error


def _channels(node: Any) -> list[str]:
    return [_scalar(part) for part in (node.value if isinstance(node, yaml.SequenceNode) else [node])]


def _labels(node: Any) -> dict[str, int]:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("not a mapping")
    pairs = [_label(_scalar(name), _scalar(number)) for name, number in node.value]
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands there twice")
    return dict(pairs)


def _regions(node: Any) -> dict[str, list[int]]:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("not a mapping")
    pairs = [_region(name, values) for name, values in node.value]
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands there twice")
    return dict(pairs)


def _region(name: Any, values: Any) -> tuple[str, list[int]]:
    if isinstance(values, yaml.SequenceNode):
        return _scalar(name).strip(), [int(_scalar(value)) for value in values.value]
    word, value = _label(_scalar(name), _scalar(values))
    return word, [value]


def _label(name: str, number: str) -> tuple[str, int]:
    # In YAML a colon without a space belongs to the name: {spleen:1} is the name 'spleen:1' without a value.
    if not number:
        name, _, number = name.rpartition(":")
    return name.strip(), int(number)


def _scalar(node: Any) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("not a word")
    return str(node.value)


def _short(text: str) -> str:
    return repr(text if len(text) < 200 else f"{text[:200]}...")
