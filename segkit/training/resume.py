"""Resuming a training: with which settings it goes on, and what to type instead where it cannot."""

from __future__ import annotations

import copy
import dataclasses
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from segkit.bundle.bundle import Bundle
from segkit.config.compose import load
from segkit.config.keys import get, leaves, put
from segkit.config.no_effect import PLANNED
from segkit.config.overrides import PATHS, given_keys
from segkit.config.run_file import read_config
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import InputError, UsageError
from segkit.plans.plan import Plan
from segkit.training.outputs.run_folder import CONFIG, FINISHED, PLAN, default_run_dir, state

log = logging.getLogger(__name__)

MOVABLE = ("run_dir", "dataset.path", "dataset.store")
"""Keys that say where something lies."""
NEUTRAL = (
    "trainer.save_memory",
    "trainer.workers",
    "trainer.threads",
    "trainer.checkpoint_minutes",
    "trainer.checkpoint_steps",
    "logger",
    "compute.partition",
    "compute.timeout",
    "compute.gpus",
    "compute.cpus",
    "compute.memory",
)
"""Keys that change how a training runs, not what is trained (docs/training.md): a resumed run may have others."""
ONE_DEVICE = ("auto", "cpu", "gpu")
"""Values of compute with which one process trains."""
LENGTH = ("trainer.max_steps", "trainer.max_minutes")


def as_started(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    """Return the configuration that the run in ``run_dir`` was started with, if there is one.

    What does not change the numbers is taken from ``overrides``, and the log says what differs.

    Raises:
        UsageError: an override that contradicts the run.
    """
    run_dir = Path(config.run_dir or "")
    found = state(run_dir)
    if found == "new":
        return config
    stored = read_config(run_dir / CONFIG)
    resumed = dataclasses.replace(stored, run_dir=config.run_dir)
    for name in ("dataset", "trainer", "compute"):
        setattr(resumed, name, dataclasses.replace(getattr(stored, name)))
    resumed.dataset.path = config.dataset.path or stored.dataset.path
    resumed.dataset.store = config.dataset.store or stored.dataset.store
    for key in sorted(given_keys(overrides) - set(MOVABLE)):
        before, now = get(stored, key), get(config, key)
        resolved = now == "auto" and key == "trainer.batch_size"  # the plan's number was stored
        if before == now or resolved:
            continue
        if not _is_neutral(key, before, now):
            raise UsageError(
                _contradiction(key, config, stored, overrides, finished=found == "finished")
            )
        put(resumed, key, now)
        if found == "unfinished":
            _say(key, before, now)
    return resumed


def begun_before(
    config: TrainConfig, plan: Plan, dataset: Dataset, weights: Bundle | None
) -> Path | None:
    """Return the unfinished run in its default folder that differs from this training in neutral settings only."""
    own = default_run_dir(config, plan, dataset, weights)
    for folder in sorted(own.parent.glob(f"{plan.network.name}-*")):
        if not (folder / CONFIG).is_file() or (folder / FINISHED).exists():
            continue
        try:
            stored = read_config(folder / CONFIG)
        except InputError:  # which is for a training in that folder to say
            continue
        different = [
            (key, get(stored, key), get(config, key))
            for key in leaves(config)
            if get(stored, key) != get(config, key)
            and _is_neutral(key, get(stored, key), get(config, key))
        ]
        as_there = copy.deepcopy(config)
        for key, before, _ in different:
            put(as_there, key, before)
        if default_run_dir(as_there, plan, dataset, weights).name == folder.name:
            for each in different:
                _say(*each)
            return folder
    return None


def _say(key: str, before: Any, now: Any) -> None:
    log.info(
        "resumed with %s=%s, begun with %s=%s: the training stays the same",
        key,
        _word(now),
        key,
        _word(before),
    )


def _is_neutral(key: str, before: Any, now: Any) -> bool:
    return key in NEUTRAL or (key == "compute.name" and before in ONE_DEVICE and now in ONE_DEVICE)


def _contradiction(
    key: str, config: TrainConfig, stored: TrainConfig, overrides: Sequence[str], *, finished: bool
) -> str:
    run_dir = config.run_dir or ""
    started = f"the training in {run_dir} was started with {key}={_word(get(stored, key))}, not {_word(get(config, key))}"
    if key not in LENGTH or not _is_longer(key, config, stored):
        return f"{started}. Give another run_dir, or leave the override out."
    command = longer_command(config, stored, overrides)
    first = (
        "It is finished"
        if finished
        else "Its learning rate falls to zero at that length: finish it with --resume"
    )
    return f"{started}. {first}. To train longer, start another run from its model:\n  {command}"


def _is_longer(key: str, config: TrainConfig, stored: TrainConfig) -> bool:
    """Whether more is asked for; minutes and steps cannot be compared."""
    before, now = get(stored, key), get(config, key)
    return now is not None and (before is None or now > before)


def longer_command(config: TrainConfig, stored: TrainConfig, overrides: Sequence[str]) -> str:
    """Return the command that trains on from the model of a run, with the run's plan, cases and settings."""
    run_dir = str(config.run_dir)
    default = load([f"preset={stored.preset}"])
    left_out = {*PATHS.values(), *LENGTH, "preset", "format_version"}
    changed = [
        key
        for key in leaves(stored)
        if key not in left_out
        and not key.startswith(PLANNED)
        and get(stored, key) != get(default, key)
    ]
    place = Path(run_dir)
    words = [
        f"dataset={config.dataset.path or stored.dataset.path}",
        *([f"dataset.store={stored.dataset.store}"] if stored.dataset.store else []),
        f"plan={place / PLAN}",
        f"weights={run_dir}",
        f"run_dir={_free_name(place)}",
        *([f"preset={stored.preset}"] if stored.preset != "default" else []),
        *(f"{key.removesuffix('.name')}={_word(get(stored, key))}" for key in changed),
        *(f"{key}={_word(get(config, key))}" for key in LENGTH if key in given_keys(overrides)),
    ]
    return shlex.join(["segkit", "train", *words])


def _free_name(run_dir: Path) -> Path:
    names = [run_dir.with_name(f"{run_dir.name}-longer{number}") for number in ("", *range(2, 100))]
    return next(name for name in names if not name.exists())


def _word(value: Any) -> str:
    """A value as it is typed.

    >>> _word(None), _word(True), _word([1, 2]), _word({"liver": 1}), _word("auto")
    ('null', 'true', '[1, 2]', '{liver: 1}', 'auto')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        text = yaml.safe_dump(
            value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True
        )
        return str(text).strip()
    return "null" if value is None else str(value)
