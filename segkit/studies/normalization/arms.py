"""Trainings of the normalization study: the same plan with another norm, batch size and seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from segkit.config.schema import TrainConfig
from segkit.planning.fine_tuning import renormed
from segkit.plans.plan import Plan
from segkit.studies.cells import Row, StudyCell, Tables
from segkit.studies.normalization.measure import cell_callbacks, fixed_memory, measure_cell
from segkit.studies.normalization.settings import (
    NO_MEMORY,
    REFERENCE,
    NormalizationSettings,
    Training,
)
from segkit.studies.norms.choices import with_norm
from segkit.studies.study_folder import arm, train_arm, training_facts
from segkit.training.outputs.run_folder import safe_name
from segkit.training.setup import Setup
from segkit.units import parse_size

MEASURES_VERSION = 1
"""Number that changes when a cell of the study measures something else."""
TABLES = {
    "loss": "convergence",
    "dice_during_training": "convergence",
    "gradient_norm": "layers",
    "pool": "layers",
    "spread_mean": "layers",
    "spread_sd": "layers",
}
"""Table of a measure; all others are in results.csv."""


def shared_config(
    config: TrainConfig, settings: NormalizationSettings, _overrides: Sequence[str] = ()
) -> TrainConfig:
    """Return the configuration from which the plan is made, the same for any norms and seeds.

    The largest batch must fit into the memory, since every training has the same patch.
    """
    first = Training(REFERENCE, settings.largest_batch, config.seed)
    return arm_config(config, settings, first)


def arm_config(
    config: TrainConfig, settings: NormalizationSettings, training: Training
) -> TrainConfig:
    """Return the configuration of one training; ``config`` is not changed."""
    batch_size = training.batch_size
    trainer = dataclasses.replace(
        config.trainer,
        batch_size=batch_size,
        accumulate=settings.accumulate(batch_size),
        max_steps=settings.steps(batch_size),
        max_minutes=None,
    )
    config = dataclasses.replace(config, trainer=trainer, seed=training.seed)
    return with_norm(config, training.norm)


def arm_plan(plan: Plan, config: TrainConfig) -> Plan:
    """Return the plan with the norm and the batch size of ``config``; all else stays the same.

    Raises:
        UsageError: a norm or a number of channels per group that does not fit a layer.
    """
    network = renormed(plan.network, config.network)
    batch_size = int(config.trainer.batch_size)
    return dataclasses.replace(plan, network=network, batch_size=batch_size)


def study_cells(
    study: Setup, settings: NormalizationSettings, common: TrainConfig
) -> list[StudyCell]:
    """Return a cell for every training, then one for every norm at a fixed memory.

    Args:
        study: the study.
        settings: its settings.
        common: configuration that all trainings share, with precision and memory format.

    Raises:
        UsageError: a norm that does not fit the network.
    """
    trainings = settings.trainings()
    cells = [_training_cell(study, settings, common, training) for training in trainings]
    if settings.memory == NO_MEMORY:
        return cells
    return [*cells, *(_memory_cell(settings, norm) for norm in settings.norms)]


def _training_cell(
    study: Setup,
    settings: NormalizationSettings,
    common: TrainConfig,
    training: Training,
) -> StudyCell:
    config = arm_config(common, settings, training)
    run = arm(study, training.name, config, arm_plan(study.plan, config))
    content = {
        "training": training_facts(run),
        "cases": settings.cases,
        "memory": settings.memory != NO_MEMORY,
        "measures": MEASURES_VERSION,
    }
    facts = dataclasses.asdict(training)
    return StudyCell(training.name, facts, content, partial(_train_and_measure, run, settings))


def _train_and_measure(run: Setup, settings: NormalizationSettings, folder: Path) -> Tables:
    train_arm(run, cell_callbacks(folder, run.plan))
    memory = settings.memory != NO_MEMORY
    return in_tables(measure_cell(folder, cases=settings.cases, memory=memory))


def in_tables(rows: Sequence[Mapping[str, Any]]) -> Tables:
    """Return measurements by the table that they belong to."""
    tables: dict[str, list[Row]] = {"results": [], "convergence": [], "layers": []}
    for row in rows:
        tables[TABLES.get(row["measure"], "results")].append(row)
    return tables


def _memory_cell(settings: NormalizationSettings, norm: str) -> StudyCell:
    """Return the cell that looks for the largest patch and width of a norm."""
    trained = Training(norm, min(settings.batch_sizes), min(settings.seeds)).name
    memory = parse_size(settings.memory)
    batch_sizes = tuple(dict.fromkeys((min(settings.batch_sizes), settings.largest_batch)))

    def measure(folder: Path) -> Tables:
        run = folder.parent / trained
        return in_tables(fixed_memory(run, memory=memory, batch_sizes=batch_sizes))

    content = {"memory": memory, "batch_sizes": batch_sizes, "measures": MEASURES_VERSION}
    facts: Row = {"norm": norm, "batch_size": None, "seed": None}
    name = f"{trained}-in-{safe_name(settings.memory)}-to-batch{settings.largest_batch}"
    return StudyCell(name, facts, content, measure, needs=(trained,))
