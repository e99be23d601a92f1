"""From overrides to a checked configuration; nothing else imports hydra. The knobs stand in `config_tree`."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segkit.config.choices import configs_folder, known_choice, own_choices
from segkit.config.keys import get, put
from segkit.config.no_effect import PLANNED, check_none_idle, check_none_twice, replaced
from segkit.config.overrides import (
    CONFIG,
    GROUPS,
    NAMES,
    PATHS,
    PRESET,
    given_keys,
    given_values,
    names_value,
    path_value,
)
from segkit.config.rules import check, check_value, known_keys
from segkit.config.run_file import read_config
from segkit.config.schema import (
    AugmentConfig,
    ComputeConfig,
    DatasetConfig,
    NetworkConfig,
    PlanConfig,
    TrainConfig,
    TrainerConfig,
)
from segkit.errors import UsageError

__all__ = [
    "DEFAULT_STEPS",
    "AugmentConfig",
    "ComputeConfig",
    "DatasetConfig",
    "NetworkConfig",
    "PlanConfig",
    "TrainConfig",
    "TrainerConfig",
    "check",
    "known_keys",
    "load",
    "near_keys",
    "to_yaml",
]

DECIDES = (
    *PLANNED,
    "dataset.path",
    "dataset.channels",
    "dataset.labels",
    "dataset.regions",
    "dataset.ignore",
    "weights",
)
"""Starts of the keys that a plan follows from."""
DEFAULT_STEPS = 2000
"""Length of a training that was given neither steps nor minutes."""


def load(overrides: Sequence[str] = ()) -> TrainConfig:
    """Compose the configuration from KEY=VALUE words; what comes back is plain dataclasses, checked.

    >>> config = load(["dataset=scans (new)", "network=residual_unet", "trainer.max_minutes=10"])
    >>> config.dataset.path, config.network.name, config.trainer.max_minutes, config.trainer.max_steps
    ('scans (new)', 'residual_unet', 10.0, None)

    Raises:
        UsageError: an unknown key or choice, or a value of the wrong type or range; names it and near misses.
    """
    given = given_keys(overrides)
    typed, taken = [], {}
    check_none_twice(overrides)
    for word in overrides:
        key, equals, text = word.partition("=")
        if equals and key in PATHS:
            taken[PATHS[key]] = path_value(text) or get(TrainConfig(), PATHS[key])
        elif equals and key in NAMES:
            taken[key] = names_value(key, text)
        elif key != CONFIG:
            typed.append(_checked_word(word))
    config = _compose(typed)
    for key, value in taken.items():
        put(config, key, value)
    if run := _run_config(overrides):
        _start_as(config, run[1], run[0], overrides)
    if config.trainer.max_steps is None and config.trainer.max_minutes is None:
        config.trainer.max_steps = DEFAULT_STEPS
    if config.plan.patch and "plan.memory" not in given:
        config.plan.memory = "auto"  # a preset's, which the patch replaces
    check(config)
    check_none_idle(config, given)
    return config


def _run_config(overrides: Sequence[str]) -> tuple[str, TrainConfig] | None:
    """The file of ``config=FILE``, the config.yaml of a run, and what it holds; None without the word.

    Raises:
        InputError: no config.yaml of a run.
        UsageError: a preset beside it, which would change nothing.
    """
    words = dict(word.partition("=")[::2] for word in overrides)
    if CONFIG not in words:
        return None
    if PRESET in words:
        raise UsageError(
            f"{PRESET} changes nothing with config={words[CONFIG]}, which has every key: leave one out"
        )
    return words[CONFIG], read_config(words[CONFIG])


def _start_as(config: TrainConfig, run: TrainConfig, file: str, overrides: Sequence[str]) -> None:
    """Set every key but run_dir as in a run, where no word sets it; follow the plan beside it if it still applies."""
    given = given_values(overrides)
    for key in known_keys():
        if key != "run_dir" and not replaced(key, given):
            put(config, key, get(run, key))
    plan = Path(file).parent / "plan.json"
    planned = [key for key in known_keys() if key.startswith(DECIDES) and key != "plan.file"]
    if (
        plan.is_file()
        and "plan.file" not in given
        and all(get(config, key) == get(run, key) for key in planned)
    ):
        config.plan.file = str(plan)


def to_yaml(config: TrainConfig) -> str:
    """The text of config.yaml: every knob, in the order of the dataclasses."""
    return str(yaml.safe_dump(dataclasses.asdict(config), sort_keys=False, allow_unicode=True))


def _compose(words: list[str]) -> TrainConfig:
    ConfigStore.instance().store(name="schema", node=TrainConfig)
    try:
        with initialize_config_dir(
            str(configs_folder().resolve()), version_base="1.3", job_name="segkit"
        ):
            return cast(TrainConfig, OmegaConf.to_object(compose("train", overrides=words)))
    except (HydraException, OmegaConfBaseException) as error:
        reasons = [
            str(reason).splitlines()[0] for reason in (error, error.__cause__) if str(reason or "")
        ]
        raise UsageError(
            f"{': '.join(reasons)}. 'segkit train --help' lists the overrides."
        ) from error


def _checked_word(word: str) -> str:
    """The override as Hydra shall see it, its key and value known to be good."""
    override = parse_override(word)
    if override.is_sweep_override():
        raise UsageError(
            f"{word!r} names several values: write a list as [a,b], and for a run of each give --multirun"
        )
    key = override.key_or_group
    if key == PRESET:
        return f"{key}={known_choice(key, str(override.value()))}"
    for group in GROUPS:
        if key in (group, f"{group}.name"):
            name = known_choice(group, str(override.value()))
            return f"{group}={name}" if name in own_choices(group) else f"{group}.name={name}"
    if key not in known_keys():
        raise UsageError(f"unknown override {key!r}. {near_keys(key)}")
    check_value(key, override.value())
    return word


def parse_override(word: str) -> Override:
    """KEY=VALUE, or several values to sweep over, by Hydra's grammar.

    Raises:
        UsageError: another form, or another operation.
    """
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        problem = str(error).splitlines()[0]
        remedy = "Write KEY=VALUE, quoting the value; the dataset is dataset=PATH."
        raise UsageError(f"cannot read the override {word!r}: {problem}. {remedy}") from error
    if override.type is not OverrideType.CHANGE or override.package is not None:
        raise UsageError(f"cannot use the override {word!r}: write KEY=VALUE, without +, ~ or @")
    return override


SHORT = {
    "lr": "trainer.learning_rate",
    "wd": "trainer.weight_decay",
    "steps": "trainer.max_steps",
    "iterations": "trainer.max_steps",
    "epochs": "trainer.max_steps",
    "minutes": "trainer.max_minutes",
    "hours": "trainer.max_minutes",
    "num_workers": "trainer.workers",
    "clip": "trainer.gradient_clip",
    "device": "compute",
    "gpus": "compute.devices",
    "model": "network",
    "data": "dataset",
    "output": "run_dir",
    "pretrained": "weights",
}
"""Names of other programs for keys, by their last part."""


def near_keys(key: str) -> str:
    """Return what to say about an unknown key: those that it may have meant."""
    keys = [*known_keys(), *GROUPS]
    last = key.rpartition(".")[2]
    same_end = [known for known in keys if known.rpartition(".")[2] == last]
    near = [
        *([SHORT[last]] if last in SHORT else []),
        *same_end,
        *difflib.get_close_matches(key, keys, n=3, cutoff=0.6),
    ]
    hint = f"Did you mean {' or '.join(dict.fromkeys(near))}? " if near else ""
    return f"{hint}'segkit train --help' lists the overrides."
