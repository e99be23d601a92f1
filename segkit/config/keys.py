"""Dotted keys of the configuration's nested dataclasses: list, get, set, and build from a dict."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, cast

from segkit.config.schema import TrainConfig


def leaves(node: Any, prefix: str = "") -> Iterator[str]:
    """Yield every dotted key below a dataclass, in the order of the fields."""
    for item in dataclasses.fields(node):
        value = getattr(node, item.name)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, f"{prefix}{item.name}.")
        else:
            yield prefix + item.name


def known_keys() -> list[str]:
    """Return every dotted key that an override can set, in the order of the dataclasses."""
    return [key for key in leaves(TrainConfig()) if key != "format_version"]


def get(config: Any, key: str) -> Any:
    """Return the value of a dotted key."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def put(config: Any, key: str, value: Any) -> None:
    """Set the value of a dotted key."""
    parent, _, name = key.rpartition(".")
    setattr(get(config, parent) if parent else config, name, value)


def build(default: Any, content: Any) -> Any:
    """Return a copy of the dataclass ``default`` with the values of a nested dict.

    A key that is missing in the dict keeps its default.

    Raises:
        ValueError: a key that the dataclass does not have.
    """
    if not dataclasses.is_dataclass(default):
        return content
    names = {item.name for item in dataclasses.fields(default)}
    if unknown := sorted(set(content) - names):
        raise ValueError(f"unknown keys {', '.join(map(str, unknown))}")
    values = {name: build(getattr(default, name), content[name]) for name in content}
    return dataclasses.replace(cast(Any, default), **values)
