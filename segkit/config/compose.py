"""Compose and check the configuration that KEY=VALUE words ask for, with Hydra.

No other module imports hydra. The settings and their defaults are in `segkit.config.schema`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from copy import deepcopy
from functools import cache, lru_cache
from pathlib import Path
from typing import cast

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser import types as hydra_types
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segkit.config.checks import (
    PLANNED,
    check,
    check_effects,
    check_value,
    is_replaced,
    known_choice,
    near_keys,
)
from segkit.config.choices import configs_folder, own_choices
from segkit.config.keys import get, known_keys, put
from segkit.config.overrides import GROUPS, PRESET, Overrides, read_overrides
from segkit.config.run_file import read_config
from segkit.config.schema import TrainConfig
from segkit.errors import UsageError

PLAN_KEYS = (
    *PLANNED,
    "dataset.path",
    "dataset.channels",
    "dataset.labels",
    "dataset.regions",
    "dataset.ignore",
    "weights",
)
"""Prefixes of the keys that determine a plan."""
FOLD_KEYS = ("fold", "dataset.group")
"""Prefixes of the keys that determine to which cases the harmonization of a plan is fitted."""
DEFAULT_STEPS = 2000
"""Number of training steps if neither steps nor minutes are given."""


def load(overrides: Sequence[str] = ()) -> TrainConfig:
    """Compose and check the configuration that KEY=VALUE words ask for.

    >>> config = load(["dataset=scans (new)", "network=residual_unet", "trainer.max_minutes=10"])
    >>> config.dataset.path, config.network.name, config.trainer.max_minutes
    ('scans (new)', 'residual_unet', 10.0)

    Raises:
        UsageError: an unknown key or choice, a value of the wrong type or range, or an override
            without effect; names it and similar names.
        InputError: the file of ``config=`` is not the config.yaml of a run.
    """
    given = read_overrides(overrides)
    config = _composed(given)
    if given.run_file is not None:
        _apply_run(config, given)
    if config.trainer.max_steps is None and config.trainer.max_minutes is None:
        config.trainer.max_steps = DEFAULT_STEPS
    if config.plan.patch and "plan.memory" not in given.texts:
        config.plan.memory = "auto"  # the memory of a preset: the patch replaces it
    check(config)
    check_effects(config, given.texts)
    return config


def to_yaml(config: TrainConfig, without: Collection[str] = ()) -> str:
    """Return the text of config.yaml: every setting, in the order of the dataclasses.

    Args:
        config: the settings.
        without: dotted keys to leave out.
    """
    content = dataclasses.asdict(config)
    for key in without:
        section, _, name = key.rpartition(".")
        del (content[section] if section else content)[name]
    return str(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def parse_override(word: str) -> hydra_types.Override:
    """Read KEY=VALUE, or several values to sweep over, by Hydra's grammar.

    Raises:
        UsageError: a word of another form, or with another operation of Hydra.
    """
    try:
        override = _parser().parse_override(word)
    except HydraException as error:
        problem = str(error).splitlines()[0]
        remedy = "Write KEY=VALUE, quoting the value; the dataset is dataset=PATH."
        raise UsageError(f"cannot read the override {word!r}: {problem}. {remedy}") from error
    if override.type is not hydra_types.OverrideType.CHANGE or override.package is not None:
        raise UsageError(f"cannot use the override {word!r}: write KEY=VALUE, without +, ~ or @")
    return override


def _composed(given: Overrides) -> TrainConfig:
    """Return the defaults, changed by a preset and then by all other overrides."""
    typed = {}
    for_hydra = []
    for override in given.settings:
        if override.taken_as_typed:
            typed[override.key] = override.typed_value()
        else:
            for_hydra.append(_checked(override.word))
    config = _compose_with_hydra(for_hydra)
    for key, value in typed.items():
        put(config, key, get(TrainConfig(), key) if value is None else value)
    return config


def _checked(word: str) -> str:
    """Return an override as Hydra should see it, after a check of its key and value."""
    override = parse_override(word)
    if override.is_sweep_override():
        raise UsageError(
            f"{word!r} names several values: "
            "write a list as [a,b], or give --multirun to train with each of them"
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


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


def _compose_with_hydra(words: list[str]) -> TrainConfig:
    """Return a configuration of its own, which the caller may change."""
    folder = configs_folder().resolve()
    files = sorted((str(file), file.stat().st_mtime_ns) for file in folder.rglob("*.yaml"))
    return deepcopy(_composed_once(tuple(words), str(folder), tuple(files)))


# A command composes the same words several times, and Hydra takes a tenth of a second each time.
@lru_cache(maxsize=256)
def _composed_once(
    words: tuple[str, ...], folder: str, _files: tuple[tuple[str, int], ...]
) -> TrainConfig:
    """Return the configuration of ``words``; ``_files`` says when the files were changed."""
    store = ConfigStore.instance()
    if "schema.yaml" not in store.repo:
        store.store(name="schema", node=TrainConfig)
    try:
        with initialize_config_dir(folder, version_base="1.3", job_name="segkit"):
            return cast(TrainConfig, OmegaConf.to_object(compose("train", overrides=[*words])))
    except (HydraException, OmegaConfBaseException) as error:
        causes = [str(cause) for cause in (error, error.__cause__) if cause is not None]
        reasons = ": ".join(cause.splitlines()[0] for cause in causes if cause)
        raise UsageError(f"{reasons}. 'segkit train --help' lists the overrides.") from error


def _apply_run(config: TrainConfig, given: Overrides) -> None:
    """Set every key but run_dir as in the run of ``config=``, where no override sets it.

    The plan beside the run's file is used if none of the keys that determine it has changed.

    Raises:
        InputError: not the config.yaml of a run.
        UsageError: a preset beside it, which would have no effect.
    """
    run_file = str(given.run_file)
    if PRESET in given.texts:
        raise UsageError(
            f"{PRESET} changes nothing with config={run_file}, which has every key: leave one out"
        )
    run = read_config(run_file)
    for key in known_keys():
        if key != "run_dir" and not is_replaced(key, given.texts):
            put(config, key, get(run, key))
    plan = Path(run_file).parent / "plan.json"
    if plan.is_file() and "plan.file" not in given.texts and _same_plan(config, run):
        config.plan.file = str(plan)


def _same_plan(config: TrainConfig, run: TrainConfig) -> bool:
    """Return whether the keys that determine a plan have the same values."""
    prefixes = PLAN_KEYS + (FOLD_KEYS if config.plan.harmonization else ())
    keys = [key for key in known_keys() if key.startswith(prefixes) and key != "plan.file"]
    return all(get(config, key) == get(run, key) for key in keys)
