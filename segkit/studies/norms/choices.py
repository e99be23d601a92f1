"""Norms that a study can compare, and the settings of the network that each of them stands for.

This module does not import torch: commands check their words with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from segkit.config.schema import TrainConfig

NORMS: dict[str, Mapping[str, Any]] = {
    "group": {"norm": "group"},
    "group_2": {"norm": "group", "channels_per_group": 2},
    "group_4": {"norm": "group", "channels_per_group": 4},
    "group_8": {"norm": "group", "channels_per_group": 8},
    "group_16": {"norm": "group", "channels_per_group": 16},
    "instance": {"norm": "instance"},
    "layer": {"norm": "layer"},
    "batch": {"norm": "batch"},
    "batch_renorm": {"norm": "batch_renorm"},
    "group_ws": {"norm": "group_ws"},
}
"""Settings of the network by the name of a norm in a study.

``group`` has the groups that the rule of the planner chooses; ``group_8`` has 8 channels in each.
"""

SET_BY_NORMS = {
    "network.norm": "study.norms sets the norms",
    "network.channels_per_group": "study.norms sets the groups, as group_8",
    "network.num_groups": "study.norms sets the groups, as group_8",
}
"""Overrides that a study with ``study.norms`` sets itself, and what to give instead."""


def with_norm(config: TrainConfig, norm: str) -> TrainConfig:
    """Return the configuration with a norm of `NORMS`; ``config`` is not changed."""
    groups = {"channels_per_group": "auto", "num_groups": None}
    network = dataclasses.replace(config.network, **{**groups, **NORMS[norm]})
    return dataclasses.replace(config, network=network)
