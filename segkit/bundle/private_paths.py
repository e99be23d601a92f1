"""Paths without the folders that may name a person or a project, for files that are shared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PureWindowsPath
from typing import Any

_PRIVATE = re.compile(r"[/\\~]|[A-Za-z]:[/\\]|\.\.[/\\]")
"""Beginnings of absolute paths, of those from the home folder, and of those upwards."""


def last_part(path: str) -> str:
    """Return the last part of a path of any system.

    >>> last_part("/home/me/Task04/"), last_part(r"C:\\\\me\\\\scans"), last_part("a.csv")
    ('Task04', 'scans', 'a.csv')
    """
    return PureWindowsPath(path).name  # knows both separators


def without_folders(value: Any) -> Any:
    """Return settings in which every string that looks like a path is reduced to its last part.

    Lists stay as they are: they hold names, such as the channel ``T1/T2``, and numbers.

    >>> without_folders({"path": "/home/me/Task04/", "channels": ["T1/T2"]})
    {'path': 'Task04', 'channels': ['T1/T2']}
    """
    if isinstance(value, Mapping):
        return {key: without_folders(inner) for key, inner in value.items()}
    if isinstance(value, str) and {"/", "\\"} & set(value):
        return last_part(value)
    return value


def without_private_folders(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in which only paths below the current folder keep their folders.

    A copy of a run's bundle thus does not tell whose computer it is from.

    >>> without_private_folders({"dataset": {"path": "/home/me/Task04"}, "run_dir": "runs/a"})
    {'dataset': {'path': 'Task04'}, 'run_dir': 'runs/a'}
    """

    def cleaned(value: Any) -> Any:
        if isinstance(value, Mapping):
            return without_private_folders(value)
        is_private = isinstance(value, str) and _PRIVATE.match(value)
        return last_part(value) if is_private else value

    return {key: cleaned(value) for key, value in config.items()}
