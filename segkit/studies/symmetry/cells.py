"""Cells of the symmetry study: what its trainings share and in what they differ."""

from __future__ import annotations

import dataclasses

from segkit.config.schema import TrainConfig
from segkit.dataset.split import Split, split_cases
from segkit.errors import UsageError
from segkit.studies.cells import Row, StudyCell
from segkit.studies.study_folder import arm, measured_for_all, training_facts
from segkit.studies.symmetry.cell import SymmetryCell
from segkit.studies.symmetry.plans import StudyPlans, equivariant, plain
from segkit.studies.symmetry.settings import Arm, SymmetrySettings, Training
from segkit.studies.symmetry.training_cases import first_cases, with_cases
from segkit.training.data.split import split_ids
from segkit.training.setup import Setup

MEASURES_VERSION = 1
"""Number that changes when a cell of the study measures something else."""


def study_cells(study: Setup, settings: SymmetrySettings, plans: StudyPlans) -> list[StudyCell]:
    """Return every training as a cell, with precision and memory format fixed for all.

    Raises:
        UsageError: more training cases than there are, or too few patches for a step.
    """
    split = split_cases(study.dataset, study.config.fold, study.config.folds)
    counts = settings.counts(len(split.training))
    trainings = settings.trainings(counts)
    steps_of(study, settings)
    first = _setup(study, settings, plans, trainings[0], split)
    timing = measured_for_all(study.run_dir, first, "cells")
    if timing is not None:
        study = dataclasses.replace(study, config=timing.applied_to(study.config))
    return [
        _cell(_setup(study, settings, plans, training, split), settings, plans, training)
        for training in trainings
    ]


def steps_of(study: Setup, settings: SymmetrySettings) -> int:
    """Return the number of optimizer steps of every training.

    Raises:
        UsageError: fewer patches than one step takes.
    """
    patches = study.plan.batch_size * study.config.trainer.accumulate
    if settings.samples < patches:
        raise UsageError(
            f"study.samples={settings.samples} is less than the {patches} patches of one step"
        )
    return settings.samples // patches


def arm_config(
    config: TrainConfig, plans: StudyPlans, arm_: Arm, *, steps: int, seed: int
) -> TrainConfig:
    """Return the configuration of one training; ``config`` is not changed."""
    widths = plans.widths(arm_)
    network = (
        equivariant(config.network, arm_.symmetry, widths)
        if arm_.is_equivariant
        else plain(config.network, widths)
    )
    trainer = dataclasses.replace(config.trainer, max_steps=steps, max_minutes=None)
    # The dataset of a training is cut to its cases, and its fold 0 is the fold of the study.
    return dataclasses.replace(
        config, network=network, trainer=trainer, seed=seed, fold=0, folds=None
    )


def _setup(
    study: Setup,
    settings: SymmetrySettings,
    plans: StudyPlans,
    training: Training,
    split: Split,
) -> Setup:
    steps = steps_of(study, settings)
    config = arm_config(study.config, plans, training.arm, steps=steps, seed=training.seed)
    run = arm(study, training.name, config, plans.arms[training.arm])
    chosen = first_cases(split, training.count, training.seed)
    return dataclasses.replace(run, dataset=with_cases(study.dataset, split, chosen))


def _cell(
    run: Setup, settings: SymmetrySettings, plans: StudyPlans, training: Training
) -> StudyCell:
    own = training.arm
    groups = (own.symmetry,) if own.symmetry else settings.symmetries
    cell = SymmetryCell(
        run,
        tuple(plans.groups[name] for name in groups),
        tuple(dict.fromkeys(element for name in groups for element in plans.poses(name))),
        plans.swaps,
        average=own.kind == "augmented",
        cases=settings.cases,
    )
    content = {
        "training": training_facts(run),
        "cases": settings.cases,
        "split": split_ids(split_cases(run.dataset, 0)),
        "groups": [dataclasses.asdict(group) for group in cell.groups],
        "measures": MEASURES_VERSION,
    }
    facts: Row = {
        "symmetry": own.symmetry,
        "arm": own.kind,
        "training_cases": training.count,
        "seed": training.seed,
    }
    return StudyCell(training.name, facts, content, cell.compute)
