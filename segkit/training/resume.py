"""Resume a training: its settings, its folder, and the command to type if it cannot resume."""

from __future__ import annotations

import copy
import dataclasses
import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from segkit.config.checks import PLANNED
from segkit.config.compose import load
from segkit.config.keys import get, leaves, put
from segkit.config.overrides import PATHS, given_keys
from segkit.config.run_file import read_config
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.errors import InputError, UsageError
from segkit.plans.plan import Plan
from segkit.training.initialization.origin import Origin
from segkit.training.outputs.run_folder import CONFIG, FINISHED, PLAN, default_run_dir, run_state

log = logging.getLogger(__name__)

MOVABLE = ("run_dir", "dataset.path", "dataset.store", "dataset.groups")
"""Keys of paths, which may differ because files were moved."""
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
"""Keys that change how a training runs but not its result; a resumed run may change them.

docs/training.md lists them.
"""
ONE_DEVICE = ("auto", "cpu", "gpu")
"""Values of compute with which one process trains."""
LENGTH = ("trainer.max_steps", "trainer.max_minutes")
"""Keys of the length of a training."""


def resumed_config(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    """Return the configuration that the run in ``run_dir`` was started with, if there is one.

    Settings that do not change the result are taken from ``overrides``, and the log names those
    that differ.

    Args:
        config: the configuration of ``overrides``.
        overrides: KEY=VALUE settings that the user gave now.

    Raises:
        UsageError: an override that contradicts the run.
    """
    run_dir = Path(config.run_dir or "")
    run = run_state(run_dir)
    if run == "new":
        return config
    stored = read_config(run_dir / CONFIG)
    resumed = dataclasses.replace(stored, run_dir=config.run_dir)
    for section in ("dataset", "trainer", "compute"):
        setattr(resumed, section, dataclasses.replace(getattr(stored, section)))
    resumed.dataset.path = config.dataset.path or stored.dataset.path
    resumed.dataset.store = config.dataset.store or stored.dataset.store
    resumed.dataset.groups = config.dataset.groups or stored.dataset.groups
    for key in sorted(given_keys(overrides) - set(MOVABLE)):
        before, now = get(stored, key), get(config, key)
        # The run stored the batch size of its plan instead of "auto".
        is_resolved = now == "auto" and key == "trainer.batch_size"
        if before == now or is_resolved:
            continue
        if not _is_neutral(key, before, now):
            raise UsageError(
                _contradiction(key, config, stored, overrides, is_finished=run == "finished")
            )
        put(resumed, key, now)
        if run == "unfinished":
            _log_change(key, before, now)
    return resumed


def unfinished_run(
    config: TrainConfig, plan: Plan, dataset: Dataset, origin: Origin
) -> Path | None:
    """Return the unfinished run, in a default folder, that differs in neutral settings only.

    Neutral settings (`NEUTRAL`) change the name of the default folder, but not the result.
    """
    new_run = default_run_dir(config, plan, dataset, origin.hashes())
    for folder in sorted(new_run.parent.glob(f"{plan.network.name}-*")):
        if not (folder / CONFIG).is_file() or (folder / FINISHED).exists():
            continue
        try:
            stored = read_config(folder / CONFIG)
        except InputError:  # a training in that folder reports it
            continue
        changes = _neutral_changes(stored, config)
        as_stored = copy.deepcopy(config)
        for key, before, _ in changes:
            put(as_stored, key, before)
        if default_run_dir(as_stored, plan, dataset, origin.hashes()).name == folder.name:
            for change in changes:
                _log_change(*change)
            return folder
    return None


def _neutral_changes(stored: TrainConfig, config: TrainConfig) -> list[tuple[str, Any, Any]]:
    """Return key, value before and value now of each neutral setting that differs."""
    values = [(key, get(stored, key), get(config, key)) for key in leaves(config)]
    return [
        (key, before, now)
        for key, before, now in values
        if before != now and _is_neutral(key, before, now)
    ]


def _log_change(key: str, before: Any, now: Any) -> None:
    log.info(
        "resumed with %s=%s, begun with %s=%s: the training stays the same",
        key,
        _typed(now),
        key,
        _typed(before),
    )


def _is_neutral(key: str, before: Any, now: Any) -> bool:
    return key in NEUTRAL or (key == "compute.name" and before in ONE_DEVICE and now in ONE_DEVICE)


def _contradiction(
    key: str,
    config: TrainConfig,
    stored: TrainConfig,
    overrides: Sequence[str],
    *,
    is_finished: bool,
) -> str:
    """Return the message on an override that contradicts the stored run."""
    before, now = _typed(get(stored, key)), _typed(get(config, key))
    problem = f"the training in {config.run_dir or ''} was started with {key}={before}, not {now}"
    if key not in LENGTH or not _is_longer(key, config, stored):
        return f"{problem}. Give another run_dir, or leave the override out."
    advice = "Its learning rate falls to zero at that length: finish it with --resume"
    if is_finished:
        advice = "It is finished"
    command = longer_command(config, stored, overrides)
    return f"{problem}. {advice}. To train longer, start another run from its model:\n  {command}"


def _is_longer(key: str, config: TrainConfig, stored: TrainConfig) -> bool:
    """Return whether ``config`` has more steps or minutes; the two cannot be compared."""
    before, now = get(stored, key), get(config, key)
    return now is not None and (before is None or now > before)


def longer_command(config: TrainConfig, stored: TrainConfig, overrides: Sequence[str]) -> str:
    """Return the command that continues from the model of a run with its plan, cases and settings.

    Args:
        config: the configuration of ``overrides``.
        stored: the configuration of the run.
        overrides: KEY=VALUE settings that the user gave now; the length is taken from them.
    """
    run_dir = Path(str(config.run_dir))
    default = load([f"preset={stored.preset}"])
    left_out = {*PATHS.values(), *LENGTH, "trainer.rewind_step", "preset", "format_version"}
    changed = [
        key
        for key in leaves(stored)
        if key not in left_out
        and not key.startswith(PLANNED)
        and get(stored, key) != get(default, key)
    ]
    words = [f"dataset={config.dataset.path or stored.dataset.path}"]
    if stored.dataset.store:
        words.append(f"dataset.store={stored.dataset.store}")
    if config.dataset.groups:
        words.append(f"dataset.groups={config.dataset.groups}")
    words += [
        f"plan={run_dir / PLAN}",
        f"weights={config.run_dir}",
        f"run_dir={_free_name(run_dir)}",
    ]
    if stored.mask:
        words.append(f"mask={config.run_dir}")
    if stored.preset != "default":
        words.append(f"preset={stored.preset}")
    words += [f"{key.removesuffix('.name')}={_typed(get(stored, key))}" for key in changed]
    given = given_keys(overrides)
    words += [f"{key}={_typed(get(config, key))}" for key in LENGTH if key in given]
    return shlex.join(["segkit", "train", *words])


def _free_name(run_dir: Path) -> Path:
    names = [run_dir.with_name(f"{run_dir.name}-longer{number}") for number in ("", *range(2, 100))]
    return next(name for name in names if not name.exists())


def _typed(value: Any) -> str:
    """Return a value as a user types it.

    >>> _typed(None), _typed(True), _typed([1, 2]), _typed({"liver": 1}), _typed("auto")
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
