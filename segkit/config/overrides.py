"""Words of the command line that Hydra's grammar would not take as typed: paths, and names of channels and labels."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from segkit.config.rules import CHECKS
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

CONFIG = "config"
"""Override that names the config.yaml of a run, whose values the others change. Hydra never sees it."""

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
    return {
        PATHS.get(key, f"{key}.name" if key in GROUPS else key) for key in keys if key != CONFIG
    }


def given_values(overrides: Sequence[str]) -> dict[str, str]:
    """Full dotted key to value, as typed, of KEY=VALUE words."""
    return {key: word.partition("=")[2] for word in overrides for key in given_keys([word])}


def check_braces(overrides: Sequence[str]) -> None:
    """Refuse names that an unquoted brace or space made the shell take apart.

    Raises:
        UsageError: shows the override in quotes.
    """
    for key in NAMES:
        words = [word for word in overrides if word.partition("=")[0] == key]
        if len(words) > 1:
            raise UsageError(
                _quoted(f"the shell has expanded the braces of {key}", key, _unexpanded(key, words))
            )
        for whole in _closed_later(words, overrides):
            raise UsageError(
                _quoted(f"the shell has split {key} at a space", key, whole.partition("=")[2])
            )


def _closed_later(words: Sequence[str], overrides: Sequence[str]) -> Iterator[str]:
    """What a word with an open bracket was before the shell split it, if a later word closes the bracket."""
    for word in filter(_is_open, words):
        rest = list(overrides[list(overrides).index(word) :])
        joined = (" ".join(rest[:count]) for count in range(2, len(rest) + 1))
        yield from itertools.islice((whole for whole in joined if not _is_open(whole)), 1)


def _quoted(what: str, key: str, value: str) -> str:
    return f"{what}: put the whole override in quotes, as in {shlex.quote(f'{key}={value}')}"


def _is_open(word: str) -> bool:
    """Whether a bracket of the value is never closed."""
    return any(word.count(left) > word.count(right) for left, right in ("{}", "[]"))


def _unexpanded(key: str, words: Sequence[str]) -> str:
    """The value that bash has expanded to ``words``.

    >>> _unexpanded("dataset.regions", ["dataset.regions=whole:1", "dataset.regions=whole:2", "dataset.regions=core:2"])
    '{whole:[1,2],core:2}'
    """
    values = [word.partition("=")[2] for word in words]
    if key == "dataset.channels":
        return f"[{','.join(values)}]"
    parts: dict[str, list[str]] = {}
    for value in values:
        name, _, number = (
            value.strip("{}").rpartition(":") if "[" not in value else value.partition(":")
        )
        parts.setdefault(name, []).append(number)
    many = {
        name: numbers[0] if len(numbers) == 1 else f"[{','.join(numbers)}]"
        for name, numbers in parts.items()
    }
    return "{" + ",".join(f"{name}:{number}" for name, number in many.items()) + "}"


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
        return {
            "dataset.channels": _channels,
            "dataset.labels": _labels,
            "dataset.regions": _regions,
        }[key](node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{key} must be {CHECKS[key][1]}, not {_short(text)}") from error


def _channels(node: Any) -> list[str]:
    return [
        _scalar(part) for part in (node.value if isinstance(node, yaml.SequenceNode) else [node])
    ]


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
