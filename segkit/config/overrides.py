"""Parse KEY=VALUE words of the command line into `Overrides`: the keys and their values.

Paths, and names of channels, labels and regions, are taken as typed; Hydra's grammar would change
them. All other words are for Hydra.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from segkit.config.rules import CHECKS
from segkit.errors import UsageError

PATHS = {
    "dataset": "dataset.path",
    "dataset.path": "dataset.path",
    "dataset.store": "dataset.store",
    "dataset.groups": "dataset.groups",
    "plan": "plan.file",
    "plan.file": "plan.file",
    "plan.harmonization": "plan.harmonization",
    "run_dir": "run_dir",
    "weights": "weights",
    "rewind": "rewind",
    "mask": "mask",
}
"""Overrides whose value is a path, each with its full key."""
NAMES = ("dataset.channels", "dataset.labels", "dataset.regions")
"""Overrides whose value holds names, in any script."""
CONFIG = "config"
"""Override that names the config.yaml of a run, whose values the other overrides change."""
GROUPS = ("network", "compute")
"""Overrides whose value is the name of a file in the folder of configs/ with the same name."""
PRESET = "preset"
"""Override whose value is the name of a file in configs/preset, which sets keys of all kinds."""
LISTS = ("network.features", "plan.spacing", "plan.patch", "augment.mirror")
"""Keys whose value is a list."""

_NONE = ("", "null")


@dataclass(frozen=True)
class Override:
    """One word of the command line, split at its first ``=``."""

    word: str
    """The whole word as typed."""
    name: str
    """The part in front of the ``=``."""
    text: str
    """The value as typed, empty for a word without ``=``."""

    @property
    def key(self) -> str:
        """The full dotted key that the word sets: ``dataset.path`` for ``dataset``."""
        return PATHS.get(self.name, f"{self.name}.name" if self.name in GROUPS else self.name)

    @property
    def taken_as_typed(self) -> bool:
        """True for a path or for names, whose value `typed_value` reads."""
        return "=" in self.word and (self.name in PATHS or self.name in NAMES)

    def typed_value(self) -> Any:
        """Return the path or the names, None for an empty value or ``null``.

        Raises:
            UsageError: names that cannot be read; says how they are written.
        """
        if self.text in _NONE:
            return None
        return _path(self.text) if self.name in PATHS else _names(self.name, self.text)


@dataclass(frozen=True)
class Overrides:
    """The words of a command line, of which no two set the same key."""

    settings: tuple[Override, ...]
    """Words that set a key."""
    run_file: str | None
    """Value of ``config=``: the config.yaml of a run."""

    @property
    def texts(self) -> dict[str, str]:
        """Values as typed, by full dotted key."""
        return {override.key: override.text for override in self.settings}


def read_overrides(words: Sequence[str]) -> Overrides:
    """Split KEY=VALUE words.

    >>> read_overrides(["dataset=x", "network=unet", "seed=1"]).texts
    {'dataset.path': 'x', 'network.name': 'unet', 'seed': '1'}

    Raises:
        UsageError: a key that is given twice, or names that the shell has split; the message shows
            how to quote them.
    """
    check_quotes(words)
    settings: list[Override] = []
    run_file = None
    for word in words:
        override = _split(word)
        if override.name == CONFIG:
            run_file = override.text
        else:
            settings.append(override)
    _check_none_twice(settings)
    return Overrides(tuple(settings), run_file)


def given_keys(words: Sequence[str]) -> set[str]:
    """Return the full dotted keys that KEY=VALUE words set.

    >>> sorted(given_keys(["dataset=x", "network=unet", "seed=1"]))
    ['dataset.path', 'network.name', 'seed']
    """
    overrides = map(_split, words)
    return {override.key for override in overrides if override.name != CONFIG}


def check_quotes(words: Sequence[str]) -> None:
    """Refuse names that the shell split at an unquoted brace or space.

    Raises:
        UsageError: such a name; the message shows the override in quotes.
    """
    for key in NAMES:
        values = [word.partition("=")[2] for word in words if word.partition("=")[0] == key]
        if len(values) > 1:
            raise UsageError(
                f"the shell has expanded the braces of {key}"
                f"{_in_quotes(key, _unexpanded(key, values))}"
            )
        for value in values:
            if whole := _rejoined(f"{key}={value}", words):
                raise UsageError(
                    f"the shell has split {key} at a space"
                    f"{_in_quotes(key, whole.partition('=')[2])}"
                )


def _split(word: str) -> Override:
    name, _, text = word.partition("=")
    return Override(word, name, text)


def _check_none_twice(settings: Sequence[Override]) -> None:
    keys = [override.key for override in settings]
    for key in keys:
        if keys.count(key) > 1:
            same = [override for override in settings if override.key == key]
            raise UsageError(f"{key} is given twice: give it one value{_sweep_hint(same)}")


def _sweep_hint(same: Sequence[Override]) -> str:
    """Return what to type for several values of one key; a path may have commas of its own."""
    name, values = same[0].name, ",".join(override.text for override in same)
    if name in PATHS:
        return ""
    if name in LISTS:  # the shell makes two words of {4,8}
        return f", such as {name}=[{values}]"
    return f", or with --multirun several as {name}={values}"


def _rejoined(word: str, words: Sequence[str]) -> str:
    """Return a word with an open bracket as it was before the shell split it, "" if it is whole."""
    if not _is_open(word):
        return ""
    rest = list(words[list(words).index(word) :])
    joined = (" ".join(rest[:count]) for count in range(2, len(rest) + 1))
    return next((whole for whole in joined if not _is_open(whole)), "")


def _in_quotes(key: str, value: str) -> str:
    return f": put the whole override in quotes, as in {shlex.quote(f'{key}={value}')}"


def _is_open(word: str) -> bool:
    """Return whether a bracket of the value is never closed."""
    return any(word.count(left) > word.count(right) for left, right in ("{}", "[]"))


def _unexpanded(key: str, values: Sequence[str]) -> str:
    """Return the value that bash has expanded to ``values``.

    >>> _unexpanded("dataset.regions", ["whole:1", "whole:2", "core:2"])
    '{whole:[1,2],core:2}'
    """
    if key == "dataset.channels":
        return f"[{','.join(values)}]"
    numbers: dict[str, list[str]] = {}
    for value in values:
        if "[" in value:
            name, _, number = value.partition(":")
        else:
            name, _, number = value.strip("{}").rpartition(":")
        numbers.setdefault(name, []).append(number)
    parts = [
        f"{name}:{several[0]}" if len(several) == 1 else f"{name}:[{','.join(several)}]"
        for name, several in numbers.items()
    ]
    return "{" + ",".join(parts) + "}"


def _path(text: str) -> str:
    """Return the path as typed, with the home folder for a leading ~."""
    try:
        return str(Path(text).expanduser()) if text.startswith("~") else text
    except RuntimeError:  # no such user
        return text


def _names(key: str, text: str) -> Any:
    """Read the names of channels, labels with their integers, or regions with one or more integers.

    They are written as YAML. A name that holds one of ``, : [ ] { }`` needs quotes.

    >>> _names("dataset.labels", "{left lung:1,'liver, right':5}")
    {'left lung': 1, 'liver, right': 5}

    Raises:
        UsageError: ``text`` is none of these.
    """
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
        if key == "dataset.channels":
            return _channels(node)
        return _labels(node) if key == "dataset.labels" else _regions(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        shown = repr(text if len(text) < 200 else f"{text[:200]}...")
        raise UsageError(f"{key} must be {CHECKS[key][1]}, not {shown}") from error


def _channels(node: Any) -> list[str]:
    names = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return [_scalar(name) for name in names]


def _labels(node: Any) -> dict[str, int]:
    return _without_repetition([_label(name, value) for name, value in _pairs(node)])


def _regions(node: Any) -> dict[str, list[int]]:
    return _without_repetition([_region(name, values) for name, values in _pairs(node)])


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("not a mapping")
    return list(node.value)


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("a name is given twice")
    return names


def _region(name: Any, values: Any) -> tuple[str, list[int]]:
    if isinstance(values, yaml.SequenceNode):
        return _scalar(name).strip(), [int(_scalar(value)) for value in values.value]
    region, value = _label(name, values)
    return region, [value]


def _label(name: Any, value: Any) -> tuple[str, int]:
    label, number = _scalar(name), _scalar(value)
    # In YAML a colon without a space belongs to the name: {spleen:1} is 'spleen:1' without a value.
    if not number:
        label, _, number = label.rpartition(":")
    return label.strip(), int(number)


def _scalar(node: Any) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("not a word")
    return str(node.value)
