"""Measure precision, memory format and seconds per step of a training before it begins."""

from __future__ import annotations

import time
from collections.abc import Sequence

from segkit.config.compose import load
from segkit.config.overrides import given_keys
from segkit.config.schema import TrainConfig
from segkit.dataset.split import split_cases
from segkit.networks.precision import ComputeMode
from segkit.planning.plan_dataset import open_dataset
from segkit.preprocessing.case_store import prepare_cases
from segkit.progress import CaseCounter
from segkit.studies.comparable import Measured
from segkit.training.compute.device import device_for, use_machine
from segkit.training.compute.distributed import ALONE
from segkit.training.data.patches import training_patches
from segkit.training.outputs.run_folder import prepared_folder
from segkit.training.precision import cached_or_fastest_mode
from segkit.training.setup import Setup, set_up
from segkit.training.time_budget import Timing


def fastest_mode(setup: Setup) -> ComputeMode:
    """Prepare the training cases of ``setup`` and time a step in every mode it leaves open.

    The prepared cases and the timing are kept for the training.
    """
    config, device, started = setup.config, device_for(setup.config), time.monotonic()
    use_machine(config.trainer, device)
    store = prepared_folder(config, setup.run_dir)
    split = split_cases(setup.dataset, config.fold, config.folds)
    with CaseCounter("preparing") as counter:
        cases = prepare_cases(
            split.training, setup.dataset, setup.plan, store, progress=counter.show
        )
    patches = training_patches(cases, setup.plan, config)
    return cached_or_fastest_mode(
        config, patches, device, Timing(started), store=store, ranks=ALONE
    )


def measured_here(overrides: Sequence[str]) -> Measured:
    """Plan and prepare the training of these overrides on this machine, and time its step.

    Raises:
        SegkitError: the training cannot start.
    """
    config = load(overrides)
    setup = set_up(config, open_dataset(config), given=given_keys(overrides))
    return measured(fastest_mode(setup), config)


def measured(mode: ComputeMode, config: TrainConfig) -> Measured:
    """Return ``mode`` with the seconds of an optimizer step, which may accumulate batches."""
    return Measured(mode.precision, mode.layout, mode.seconds * config.trainer.accumulate)
