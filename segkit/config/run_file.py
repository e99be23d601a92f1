"""Reading the config.yaml of a run, which is upgraded if an older version has written it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import yaml

from segkit.config.checks import check
from segkit.config.keys import build
from segkit.config.schema import FORMAT_VERSION, TrainConfig
from segkit.errors import InputError, UsageError
from segkit.files.names import CARD

UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""Functions from the dict of format n of config.yaml to format n + 1, by n."""


def read_config(path: str | Path) -> TrainConfig:
    """Read the config.yaml of a run, upgrading older formats, and check it.

    Raises:
        InputError: not a configuration of segkit, or one of a newer version.
    """
    with _named(path):
        return _config(yaml.safe_load(Path(path).read_text(encoding="utf-8")))


def config_from_dict(content: Any, where: str | Path) -> TrainConfig:
    """Return the configuration in JSON types, as a bundle holds it, as `read_config` does.

    Args:
        content: the nested dict.
        where: the file, for messages.

    Raises:
        InputError: not a configuration of segkit, or one of a newer version.
    """
    with _named(where):
        return _config(content)


def _config(content: dict[str, Any]) -> TrainConfig:
    version = content["format_version"]
    while version < FORMAT_VERSION:
        content = UPGRADES[version](content)
        version = content["format_version"]
    if version > FORMAT_VERSION:
        raise ValueError(f"format {version} of a newer segkit")
    config = cast(TrainConfig, build(TrainConfig(), content))
    check(config)
    return config


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Turn every error of the block into an InputError that names the file."""
    try:
        yield
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RecursionError,
        yaml.YAMLError,
        UsageError,
    ) as error:
        raise InputError(
            path,
            expected=f"a training's config.yaml, format {FORMAT_VERSION} or older",
            found=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
            remedy=_remedy(Path(path), str(error)),
        ) from error


def _remedy(path: Path, problem: str) -> str:
    """Return what to do; the model of the run names the package of its loss."""
    if "trainer.loss" not in problem:
        return "Use the file as segkit wrote it, and a segkit at least as new."
    try:
        card = json.loads((path.parent / "bundle" / CARD).read_text(encoding="utf-8"))
        return f"If you trust the package: pip install {card['needs']['loss']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "Install the package that offers this loss."
