"""YAML files of --config: settings that differ from the defaults, read as overrides."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from segkit.config.compose import load
from segkit.config.overrides import CONFIG, NAMES, PATHS
from segkit.errors import InputError, UsageError

LARGEST_FILE = 256 * 1024
"""Largest size of a file in bytes; every setting with its default takes 3 KiB."""
DEEPEST = 50
"""Largest number of nested keys and lists; the configuration has three."""
_EXPECTED = "a YAML file of overrides, such as 'trainer: {max_minutes: 60}'"
PLAIN = re.compile(r"[\w.+-]+")
"""Pattern of the words that Hydra's grammar takes without quotes."""
NULL = ("", "~", "null", "Null", "NULL")
FORMAT = "format_version"


def file_words(path: str | Path) -> list[str] | None:
    """Return the overrides of a YAML file with nested or dotted keys.

    Return None for the config.yaml that a run has written, which holds every key and the version of
    its format.

    Values have the same meaning as on the command line: 1e-3 is a number and 8GB a size. Names of
    labels need no quotes for the shell. Paths are relative to the current folder.

    Raises:
        InputError: not a YAML file of keys and values.
        UsageError: an unknown key, with similar keys, or a value of the wrong type or range; names
            the file.
    """
    root = _root(path)
    if root is not None and any(key.value == FORMAT for key, _ in root.value):
        return None
    words = [_word(key, node) for key, node in _leaves(path, root)]
    keys = [word.partition("=")[0] for word in words]
    for key in keys:
        if key == CONFIG:
            raise UsageError(
                f"{path}: {CONFIG} cannot be set in a file; "
                "give --config with one file that has all settings"
            )
        if keys.count(key) > 1:
            raise UsageError(f"{path}: {key} is given twice: give it one value")
    try:
        load(words)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return words


def _root(path: str | Path) -> yaml.MappingNode | None:
    """Return the mapping in a file, None for an empty file."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise ValueError(f"more than {LARGEST_FILE // 1024} KiB")
        text = content.decode("utf-8-sig")
        _check_events(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None and not isinstance(root, yaml.MappingNode):
            raise ValueError("no keys with values")
    except FileNotFoundError as error:
        raise InputError(
            path, expected=_EXPECTED, found="no such file", remedy="Check the path."
        ) from error
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        if isinstance(error, yaml.MarkedYAMLError):
            reason = reason.replace("\n", " ")
        raise InputError(
            path,
            expected=_EXPECTED,
            found=reason,
            remedy="'segkit train --help' lists the keys.",
        ) from error
    return root


def _check_events(text: str) -> None:
    """Refuse a file whose content would be slow to read or large in memory.

    Raises:
        ValueError: an alias, or keys and lists that are nested too deeply.
    """
    depth = 0
    for event in yaml.parse(text):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("an alias (*name)")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} nested keys or lists")


def _leaves(
    path: str | Path, node: yaml.MappingNode | None, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield every dotted key with the node of its value; names of labels are one value."""
    for name, value in node.value if node is not None else ():
        if not isinstance(name, yaml.ScalarNode):
            raise UsageError(
                f"{path}: a key must be a word, as in 'seed: 1' (line {name.start_mark.line + 1})"
            )
        key = prefix + str(name.value)
        if isinstance(value, yaml.MappingNode) and key not in NAMES:
            yield from _leaves(path, value, f"{key}.")
        else:
            yield key, value


def _word(key: str, node: Any) -> str:
    """Return the override that sets ``key`` to the value of a node."""
    if key in PATHS and isinstance(node, yaml.ScalarNode):
        return f"{key}={'null' if _is_null(node) else node.value}"
    if key in NAMES:
        return f"{key}={_flow(node)}"
    return f"{key}={_value(node)}"


def _value(node: Any) -> str:
    """Return a scalar or list in Hydra's grammar."""
    if isinstance(node, yaml.SequenceNode):
        return f"[{','.join(_value(part) for part in node.value)}]"
    if _is_null(node):
        return "null"
    text = str(node.value)
    if PLAIN.fullmatch(text) and node.style is None:
        return text
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    return f"'{escaped}'"


def _is_null(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in NULL


def _flow(node: Any) -> str:
    """Return a node on one line, as names of channels and labels are typed."""
    if _is_null(node):
        return "null"
    text: str = yaml.serialize(
        _as_flow(node), Dumper=yaml.SafeDumper, allow_unicode=True, width=10**9
    )
    return text.removesuffix("...\n").strip()


def _as_flow(node: Any) -> Any:
    """Return a copy of a node and its children in YAML's flow style, which has brackets."""
    if isinstance(node, yaml.MappingNode):
        pairs = [(_as_flow(name), _as_flow(value)) for name, value in node.value]
        return yaml.MappingNode(node.tag, pairs, flow_style=True)
    if isinstance(node, yaml.SequenceNode):
        items = [_as_flow(item) for item in node.value]
        return yaml.SequenceNode(node.tag, items, flow_style=True)
    return node
