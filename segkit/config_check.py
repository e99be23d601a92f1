"""Whether a whole configuration makes sense: every value by itself, and those that exclude each other."""

from __future__ import annotations

import difflib
from typing import Any

from segkit.config_keys import get, leaves
from segkit.config_tree import TrainConfig
from segkit.config_values import CHECKS, OWN_LOSSES
from segkit.entry_points import LOSSES, offered
from segkit.errors import UsageError


def check(config: TrainConfig) -> None:
    """Check every value, and those that exclude each other.

    Raises:
        UsageError: names the key, what it may be, and what it is.
    """
    for key in known_keys():
        check_value(key, get(config, key))
    network, trainer = config.network, config.trainer
    if network.num_groups is not None and network.channels_per_group != "auto":
        raise UsageError("give network.channels_per_group or network.num_groups, not both")
    if network.norm != "group" and (network.num_groups is not None or network.channels_per_group != "auto"):
        raise UsageError(f"groups go with network.norm=group only, not with network.norm={network.norm}")
    if config.dataset.labels and config.dataset.regions:
        raise UsageError("give dataset.labels or dataset.regions, not both")
    if trainer.max_steps is not None and trainer.max_minutes is not None:
        raise UsageError("give trainer.max_steps or trainer.max_minutes, not both")


def known_keys() -> list[str]:
    """Every dotted key that an override can set, in the order of the dataclasses."""
    return [key for key in leaves(TrainConfig()) if key != "format_version"]


def check_value(key: str, value: Any) -> None:
    """Check one value; a knob left alone (None) is sound.

    Raises:
        UsageError: names the key, what it may be, and what it is.
    """
    if key not in CHECKS or (value is None and get(TrainConfig(), key) is None):
        return
    good, words = CHECKS[key]
    if value is None or not good(value):
        raise UsageError(f"{key} must be {words}, not {value!r}{_hint(key, value)}")


def _hint(key: str, value: Any) -> str:
    """What to do about the name of a loss that no installed package offers."""
    if key != "trainer.loss" or not isinstance(value, str):
        return ""
    near = difflib.get_close_matches(value, [*OWN_LOSSES, *offered(LOSSES, OWN_LOSSES)], n=2)
    if near:
        return f". Did you mean {' or '.join(near)}?"
    return f". If {value} is a loss of a package of your own, install that package here (docs/own_parts.md)."
