"""A YAML file that holds only what differs from the defaults, as the overrides that say the same."""

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
"""Bytes; every key with its default takes 3 KiB."""
DEEPEST = 50
"""Levels of keys and lists; the configuration has three."""
_EXPECTED = "a YAML file of overrides, such as 'trainer: {max_minutes: 60}'"
PLAIN = re.compile(r"[\w.+-]+")
"""Words that Hydra's grammar takes unquoted."""
NULL = ("", "~", "null", "Null", "NULL")
FORMAT = "format_version"


def file_words(path: str | Path) -> list[str] | None:
    """Return the overrides of a YAML file: nested keys, or dotted ones, each with its value.

    None stands for the config.yaml that a run has written, which holds every key and the version of its format.

    Values mean what they mean on the command line, so that 1e-3 is a number and 8GB a size; names of labels need no
    quotes for the shell. A relative path starts in the current folder.

    Raises:
        InputError: not a YAML file of keys and values.
        UsageError: an unknown key, with near misses, or a value of the wrong type or range; names the file.
    """
    root = _root(path)
    if root is not None and any(key.value == FORMAT for key, _ in root.value):
        return None
    words = [_word(key, node) for key, node in _leaves(path, root)]
    keys = [word.partition("=")[0] for word in words]
    for key in keys:
        if key == CONFIG:
            raise UsageError(
                f"{path}: {CONFIG} cannot stand in a file; give --config with one file that has it all"
            )
        if keys.count(key) > 1:
            raise UsageError(f"{path}: {key} is given twice: give it one value")
    try:
        load(words)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    return words


def _root(path: str | Path) -> yaml.MappingNode | None:
    """The mapping that a file holds, None for an empty file."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise ValueError(f"more than {LARGEST_FILE // 1024} KiB")
        text = content.decode("utf-8-sig")
        _check_events(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None and not isinstance(root, yaml.MappingNode):
            raise ValueError("something else than keys with values")
    except FileNotFoundError as error:
        raise InputError(
            path, expected=_EXPECTED, found="no such file", remedy="Check the path."
        ) from error
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        found = (
            str(error).replace("\n", " ") if isinstance(error, yaml.MarkedYAMLError) else f"{error}"
        )
        raise InputError(
            path,
            expected=_EXPECTED,
            found=found or type(error).__name__,
            remedy="'segkit train --help' lists the keys.",
        ) from error
    return root


def _check_events(text: str) -> None:
    """Refuse, as soon as it comes, what makes a small file slow or large to read.

    Raises:
        ValueError: an alias, or brackets in brackets without end.
    """
    depth = 0
    for event in yaml.parse(text):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("an alias (*name)")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
            event, yaml.CollectionEndEvent
        )
        if depth > DEEPEST:
            raise ValueError("brackets nested beyond measure")


def _leaves(
    path: str | Path, node: yaml.MappingNode | None, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Every dotted key with the node of its value; names of labels are one value."""
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
    if key in PATHS and isinstance(node, yaml.ScalarNode):
        return f"{key}={'null' if _is_null(node) else node.value}"
    if key in NAMES:
        return f"{key}={_flow(node)}"
    return f"{key}={_value(node)}"


def _value(node: Any) -> str:
    """A scalar or list in the grammar of overrides."""
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
    """A node on one line, as names of channels and labels are typed."""
    if _is_null(node):
        return "null"
    text: str = yaml.serialize(
        _as_flow(node), Dumper=yaml.SafeDumper, allow_unicode=True, width=10**9
    )
    return text.removesuffix("...\n").strip()


def _as_flow(node: Any) -> Any:
    if isinstance(node, yaml.CollectionNode):
        node.flow_style = True
        parts = [
            part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))
        ]
        for part in parts:
            _as_flow(part)
    return node
