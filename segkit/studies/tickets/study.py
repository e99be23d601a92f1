"""Lottery tickets: iterative magnitude pruning with rewinding, over norms and seeds, and controls.

The method is that of Frankle et al. (arXiv 1912.05671): train the dense network, prune a fraction
of the weights of its convolutions by magnitude, all layers together, set the others back to their
values after the first few steps, train again, and so on.

Files of a study, beside those of `segkit.studies.study_folder` and `segkit.studies.cells`:

<norm>/seed_<seed>/level_<level>_<kind>     one training (`segkit.studies.tickets.files`)
results.csv                                 Dice by case and label, after training and after pruning
density.csv                                 weights that each layer keeps
activations.csv                             shift of the activations on both sides of each norm
summary.json, report.html                   answers with intervals, tables and figures
NAME.png, NAME.svg                          the figures
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from segkit.config.overrides import given_keys
from segkit.config.schema import TrainConfig
from segkit.config.study_words import given_settings
from segkit.dataset.dataset import Dataset
from segkit.errors import UsageError
from segkit.networks.precision import ComputeMode
from segkit.planning.plan_dataset import measured_plan
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import prepare_cases
from segkit.progress import CaseCounter, CaseProgress
from segkit.report.tables import Cell
from segkit.studies.cells import StudyCell, run_cells
from segkit.studies.study_folder import (
    arm,
    check_here,
    continued_config,
    finish_study,
    leave_out,
    measured_for_all,
    open_study,
    started_study,
)
from segkit.studies.tickets.after_pruning import Bench
from segkit.studies.tickets.cell import TicketCell
from segkit.studies.tickets.levels import Training
from segkit.studies.tickets.outputs import write_outputs
from segkit.studies.tickets.settings import TicketSettings
from segkit.studies.tickets.starts import Pruning
from segkit.training.compute.device import device_for
from segkit.training.data.patches import PatchDataset, PatchRules
from segkit.training.data.split import split_cases
from segkit.training.outputs.run_folder import prepared_folder, training_content
from segkit.training.setup import Setup

log = logging.getLogger(__name__)

KIND = "tickets"
OWN_KEYS = (
    "network.norm",
    "seed",
    "weights",
    "mask",
    "rewind",
    "trainer.rewind_step",
    "plan.file",
)
"""Settings of a training that the study makes itself."""
PATCHES = 64
"""Number of patches with which stored statistics are measured anew."""


def study_tickets(
    *overrides: str,
    settings: TicketSettings | None = None,
    progress: CaseProgress | None = None,
) -> Path:
    """Train and prune, compare with the controls, and return the study's folder.

    The same call continues an unfinished study: finished trainings are not run again.

    Args:
        overrides: KEY=VALUE settings of the trainings.
        settings: norms, seeds, levels and controls.
        progress: called while cases are measured.

    Raises:
        UsageError: an override that makes no sense.
        InputError: a dataset or case that cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the same call continues the study.
    """
    settings = settings or TicketSettings()
    leave_out(OWN_KEYS, overrides, "a tickets study sets it for each training")
    config = continued_config(KIND, overrides)
    check_settings(config, settings)
    study = open_study(
        KIND,
        _without_validations(config, overrides),
        overrides,
        settings=dataclasses.asdict(settings),
        check=partial(_check_split, config=config),
        progress=progress,
    )
    plans = plans_with_norms(config, study, settings.norms, given=given_keys(overrides))
    study = _with_plan(study, plans[settings.norms[0]])
    with started_study(study, KIND, given_settings(settings)):
        cells = _cells(study, settings, plans)
        log.info("%d trainings; the study is in %s", len(cells), study.run_dir)
        results = run_cells(study.run_dir, cells)
        write_outputs(study, settings, results)
    if all(result.status == "done" for result in results):
        finish_study(study, {"cells": len(cells)})
    return study.run_dir


def check_settings(config: TrainConfig, settings: TicketSettings) -> None:
    """Check that a study of tickets can follow the settings.

    Raises:
        UsageError: no cases to measure on, levels without a ticket, or other hardware.
    """
    check_here(config, KIND)
    if config.fold == "all":
        raise UsageError(
            "fold=all leaves no cases to measure Dice on: give the number of a fold, or leave it "
            "out for fold 0"
        )
    beyond = [level for level in settings.chosen_control_levels if level > settings.levels]
    if beyond:
        raise UsageError(
            f"study.control_levels has {beyond[0]}, but there are only levels up to "
            f"study.levels={settings.levels}"
        )


def _check_split(dataset: Dataset, config: TrainConfig) -> None:
    """Raise if the fold has no cases to measure on, before any case is measured."""
    split_cases(dataset, config.fold, config.folds)


def _without_validations(config: TrainConfig, overrides: Sequence[str]) -> TrainConfig:
    """Return the configuration without validations in the trainings, unless they were asked for.

    Every finished training is measured case by case.
    """
    if "trainer.validations" in given_keys(overrides):
        return config
    trainer = dataclasses.replace(config.trainer, validations=0)
    return dataclasses.replace(config, trainer=trainer)


def _cells(study: Setup, settings: TicketSettings, plans: Mapping[str, Plan]) -> list[StudyCell]:
    """Return every training as a cell, with precision, memory format and steps fixed for all."""
    timing = measured_for_all(study.run_dir, arm(study, "first", study.config), "trainings")
    config = timing.applied_to(study.config) if timing else study.config
    steps = config.trainer.max_steps or 1
    pruning = Pruning(settings.fraction, int(settings.rewind * steps), steps)
    bench = _bench(dataclasses.replace(study, config=config), settings.pruned_cases)
    cells = []
    for training in settings.trainings:
        setup = _setup(study, config, plans[training.norm], training)
        cell = TicketCell(
            training,
            setup,
            dataclasses.replace(bench, plan=setup.plan),
            pruning,
            "random" in settings.chosen_controls
            and training.level in settings.chosen_control_levels,
        )
        cells.append(_study_cell(cell))
    return cells


def plans_with_norms(
    config: TrainConfig, study: Setup, norms: Sequence[str], *, given: Collection[str]
) -> dict[str, Plan]:
    """Return the plan of the study with each norm: only norms and groups differ.

    If the planner would give some norm a larger batch than others, as it does to norms with
    statistics of the batch, all get that batch.

    Args:
        config: the configuration as it was given, before the planner chose a batch.
        study: the study.
        norms: values of network.norm.
        given: keys that the user gave.

    Raises:
        UsageError: a network that cannot have a norm.
    """
    plans = {}
    for norm in norms:
        network = dataclasses.replace(config.network, norm=norm)
        own = dataclasses.replace(config, network=network)
        store = prepared_folder(study.config, study.run_dir)
        has_gpu = device_for(own).type == "cuda"
        plans[norm], _ = measured_plan(own, study.dataset, gpu=has_gpu, store=store, given=given)
    batch_size = max(plan.batch_size for plan in plans.values())
    return {norm: dataclasses.replace(plan, batch_size=batch_size) for norm, plan in plans.items()}


def _with_plan(study: Setup, plan: Plan) -> Setup:
    trainer = dataclasses.replace(study.config.trainer, batch_size=plan.batch_size)
    config = dataclasses.replace(study.config, trainer=trainer)
    return dataclasses.replace(study, config=config, plan=plan)


def _setup(study: Setup, config: TrainConfig, plan: Plan, training: Training) -> Setup:
    network = dataclasses.replace(config.network, norm=training.norm)
    own = dataclasses.replace(config, network=network, seed=training.seed)
    return dataclasses.replace(study, config=own, plan=plan)


def _study_cell(cell: TicketCell) -> StudyCell:
    training = cell.training
    content: dict[str, Any] = {
        "training": training_content(cell.study.config, cell.study.plan, cell.study.dataset),
        "kind": training.kind,
        "level": training.level,
        "pruning": dataclasses.asdict(cell.pruning),
        "random": cell.has_random_control,
        "pruned_cases": len(cell.bench.few_cases),
    }
    facts: dict[str, Cell] = {
        "norm": training.norm,
        "seed": training.seed,
        "kind": training.kind,
        "level": training.level,
    }
    needs = tuple(parent.name for parent in training.parents)
    return StudyCell(training.name, facts, content, cell.compute, needs)


def _bench(study: Setup, pruned_cases: int) -> Bench:
    """Prepare the cases of the study and return what every network is measured on."""
    config, plan, dataset = study.config, study.plan, study.dataset
    split = split_cases(dataset, config.fold, config.folds)
    store = prepared_folder(config, study.run_dir)
    with CaseCounter("preparing") as counter:
        training, validation = (
            prepare_cases(cases, dataset, plan, store, progress=counter.show)
            for cases in (split.training, split.validation)
        )
    patches = PatchDataset(training, PatchRules(plan, config.augment, 0, config.trainer.foreground))
    patches.plain_from(0)
    images: list[torch.Tensor] = [patches[number]["image"] for number in range(PATCHES)]
    mode = ComputeMode(config.trainer.precision, config.trainer.layout)
    few = validation[:pruned_cases]
    return Bench(plan, validation, few, images, mode, device_for(config))
