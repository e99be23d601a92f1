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
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from segkit.config.schema import TrainConfig
from segkit.networks.precision import ComputeMode
from segkit.planning.fine_tuning import renormed
from segkit.progress import CaseProgress
from segkit.studies.cell_study import CellStudy
from segkit.studies.cells import CellResult, Row, StudyCell
from segkit.studies.norms.choices import with_norm
from segkit.studies.study_folder import (
    arm,
    measured_for_all,
    prepared_split,
    training_facts,
)
from segkit.studies.tickets.after_pruning import Bench
from segkit.studies.tickets.cell import TicketCell
from segkit.studies.tickets.levels import Training
from segkit.studies.tickets.outputs import write_outputs
from segkit.studies.tickets.settings import TICKETS, TicketSettings
from segkit.studies.tickets.starts import Pruning
from segkit.training.compute.device import device_for
from segkit.training.data.patches import training_patches
from segkit.training.setup import Setup

MEASURES_VERSION = 2
"""Number that changes when a cell of the study measures something else."""


def study_tickets(
    *words: str, progress: CaseProgress | None = None
) -> tuple[Path, list[CellResult]]:
    """Train and prune, compare with the controls, and return the study's folder and its results.

    The same call continues an unfinished study: finished trainings are not run again, and a study
    that is stopped has a report on them. More norms, seeds, levels or controls add trainings to the
    same study. Arguments and errors are those of `segkit.studies.cell_study.CellStudy.run`.
    """
    return CellStudy(TICKETS, shared_config, study_cells, write_outputs).run(words, progress)


def shared_config(
    config: TrainConfig, settings: TicketSettings, overrides: Sequence[str]
) -> TrainConfig:
    """Return the configuration from which the plan is made.

    The trainings have no validations unless they were asked for: every finished network is
    measured case by case.
    """
    return TICKETS.trained(with_norm(config, settings.planned_norm), overrides)


def study_cells(study: Setup, settings: TicketSettings) -> list[StudyCell]:
    """Return every training as a cell, with precision, memory format and steps fixed for all.

    Raises:
        UsageError: a norm that does not fit the network.
    """
    timing = measured_for_all(study.run_dir, arm(study, "first", study.config), "trainings")
    config = timing.applied_to(study.config) if timing else study.config
    steps = config.trainer.max_steps or 1
    pruning = Pruning(settings.fraction, int(settings.rewind * steps), steps)
    bench = _bench(dataclasses.replace(study, config=config), settings.pruned_cases)
    cells = []
    for training in settings.trainings:
        setup = _setup(study, config, training)
        own_bench = dataclasses.replace(bench, plan=setup.plan)
        cells.append(_study_cell(TicketCell(training, setup, own_bench, pruning)))
    return cells


def _setup(study: Setup, config: TrainConfig, training: Training) -> Setup:
    """Return the study with the norm and the seed of a training; all else stays the same."""
    config = dataclasses.replace(with_norm(config, training.norm), seed=training.seed)
    network = renormed(study.plan.network, config.network)
    plan = dataclasses.replace(study.plan, network=network)
    return dataclasses.replace(study, config=config, plan=plan)


def _study_cell(cell: TicketCell) -> StudyCell:
    training = cell.training
    content = {
        "training": training_facts(cell.study),
        "kind": training.kind,
        "level": training.level,
        "pruning": dataclasses.asdict(cell.pruning),
        "pruned_cases": len(cell.bench.few_cases),
        "measures": MEASURES_VERSION,
    }
    facts: Row = {
        "norm": training.norm,
        "seed": training.seed,
        "kind": training.kind,
        "level": training.level,
    }
    needs = tuple(parent.name for parent in training.parents)
    return StudyCell(training.name, facts, content, cell.compute, needs)


def _bench(study: Setup, pruned_cases: int) -> Bench:
    """Prepare the cases of the study and return what every network is measured on."""
    config, plan = study.config, study.plan
    training, validation = prepared_split(study)
    # The same patches for the networks of all seeds.
    patches = training_patches(training, plan, dataclasses.replace(config, seed=0)).plain()

    def patch(number: int) -> Tensor:
        image: Tensor = patches[number]["image"]
        return image

    mode = ComputeMode(config.trainer.precision, config.trainer.layout)
    few = validation[:pruned_cases]
    return Bench(plan, validation, few, patch, mode, device_for(config))
