"""Precision, memory layout and seconds of a step, measured for a training that does not begin yet."""

from __future__ import annotations

import time
from collections.abc import Sequence

from segkit.config import load
from segkit.config_words import given_keys
from segkit.dataset_plan import open_dataset
from segkit.networks.mode import Mode
from segkit.preprocessing.store import prepare_cases
from segkit.status_line import CaseCounter
from segkit.training.budget import Timing
from segkit.training.compute import device_for, use_machine
from segkit.training.known_mode import known_or_fastest_mode
from segkit.training.patches import PatchDataset, PatchRules
from segkit.training.ranks import ALONE
from segkit.training.run import Setup, set_up
from segkit.training.run_folder import prepared_folder
from segkit.training.split import split_cases


def mode_of_training(overrides: Sequence[str]) -> Mode:
    """Plan and prepare the training of these overrides, and time its step; what is prepared is kept for it.

    Raises:
        SegkitError: the training could not begin either.
    """
    config = load(overrides)
    return mode_of(set_up(config, open_dataset(config), given=given_keys(overrides)))


def mode_of(setup: Setup) -> Mode:
    """Prepare the training cases of ``setup`` and time its step in every mode that its configuration leaves open."""
    config, device, started = setup.config, device_for(setup.config), time.monotonic()
    use_machine(config.trainer, device)
    store = prepared_folder(config, setup.run_dir)
    split = split_cases(setup.dataset, config.fold, config.folds)
    with CaseCounter("preparing") as counter:
        cases = prepare_cases(split.training, setup.dataset, setup.plan, store, progress=counter.show)
    patches = PatchDataset(cases, PatchRules(setup.plan, config.augment, config.seed, config.trainer.foreground))
    return known_or_fastest_mode(config, patches, device, Timing(started), store=store, ranks=ALONE)
