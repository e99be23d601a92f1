"""Settings of the training of a model, for work that goes on with it on the same data."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path

from segkit.bundle.card import ModelCard
from segkit.config.checks import is_replaced
from segkit.config.keys import get, known_keys, put
from segkit.config.overrides import read_overrides
from segkit.config.run_file import config_from_dict, read_config
from segkit.config.schema import TrainConfig
from segkit.training.outputs.run_folder import CONFIG

SECTIONS = ("dataset", "trainer", "augment")
"""Sections of the configuration that settings are taken from."""


def run_of(model: ModelCard) -> Path | None:
    """Return the run folder that a bundle is in; None for a bundle or .segkit file alone."""
    folder = model.path.parent
    return folder if (folder / CONFIG).is_file() and model.path.is_dir() else None


def settings_of_training(model: ModelCard) -> TrainConfig | None:
    """Return the configuration of the training of a model; None if the bundle has none.

    A bundle leaves out folders that may name a person; the configuration of its run has them.

    Raises:
        InputError: a configuration that cannot be read.
    """
    run = run_of(model)
    if model.config is None:
        return None if run is None else read_config(run / CONFIG)
    stored = config_from_dict(model.config, model.path)
    if run is not None:
        of_run = read_config(run / CONFIG).dataset
        stored.dataset = dataclasses.replace(
            stored.dataset, path=of_run.path, store=of_run.store, groups=of_run.groups
        )
    return stored


def take_settings(
    config: TrainConfig,
    stored: TrainConfig,
    words: Sequence[str],
    *,
    prefixes: tuple[str, ...],
    but: Collection[str],
) -> None:
    """Set the settings of ``config`` that ``words`` do not give to those of a model's training.

    Args:
        config: the configuration of ``words``; changed in place.
        stored: the configuration of the model's training.
        words: KEY=VALUE overrides.
        prefixes: beginnings of the keys of these settings.
        but: keys of settings that are left as they are.
    """
    given = read_overrides(words).texts
    for section in SECTIONS:
        setattr(config, section, dataclasses.replace(getattr(config, section)))
    for key in known_keys():
        is_taken = key.startswith(prefixes) and key not in but
        if is_taken and not is_replaced(key, given):
            put(config, key, get(stored, key))
