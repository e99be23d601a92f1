"""Scaling study: networks of one family and others of the same cost, measured and trained alike.

Files of a study, besides those of `segkit.studies.cells` and `segkit.studies.study_folder`:

rates.json                  rates of this machine, from a few measured networks
family.csv                  every network: way to scale, size, axes, predicted costs, overrides
<network>-seed<S>/          the run of each training
results.csv                 measured costs, and Dice of every case and label, tidy
convergence.csv             loss and Dice over each training
summary.json                Dice with intervals, costs, differences, verdicts
report.html, *.png, *.svg   the same for reading
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from segkit.config.schema import TrainConfig
from segkit.files.atomic import write_text
from segkit.progress import CaseProgress
from segkit.report.tables import csv_text, text_table
from segkit.studies.cell_study import CellStudy
from segkit.studies.cells import CellResult, StudyCell
from segkit.studies.scaling.calibration import RATES, Order, rates_of
from segkit.studies.scaling.candidate import Candidate
from segkit.studies.scaling.cell import cost_cell, training_cell
from segkit.studies.scaling.compound import exponents
from segkit.studies.scaling.costs import Mode
from segkit.studies.scaling.family import Family
from segkit.studies.scaling.frame import frame_of
from segkit.studies.scaling.measured import MeasuredCost, Meter, machine_text
from segkit.studies.scaling.members import Member, Missing, members_of
from segkit.studies.scaling.outputs import write_outputs
from segkit.studies.scaling.settings import SCALING, ScalingSettings
from segkit.studies.scaling.tables import FAMILY, family_rows, family_table
from segkit.studies.study_folder import arm, measured_for_all
from segkit.training.compute.device import device_for
from segkit.training.setup import Setup

log = logging.getLogger(__name__)


def study_scaling(
    *words: str, progress: CaseProgress | None = None
) -> tuple[Path, list[CellResult]]:
    """Measure and train every network of a family; return the study's folder and all results.

    The same call continues an unfinished study: finished cells are not run again. More sizes, ways
    or seeds add cells to the same study. Arguments and errors are those of
    `segkit.studies.cell_study.CellStudy.run`.
    """
    with Meter() as meter:
        cells, report = partial(study_cells, meter=meter), partial(_report, meter=meter)
        study = CellStudy(SCALING, shared_config, cells, report, (RATES, FAMILY))
        return study.run(words, progress)


def shared_config(
    config: TrainConfig, settings: ScalingSettings, _overrides: Sequence[str] = ()
) -> TrainConfig:
    """Return the configuration from which the planner's own plan is made."""
    trainer = dataclasses.replace(config.trainer, max_steps=settings.steps, max_minutes=None)
    return dataclasses.replace(config, trainer=trainer)


def study_cells(study: Setup, settings: ScalingSettings, *, meter: Meter) -> list[StudyCell]:
    """Return the cells: costs of every network first, then every training.

    Args:
        study: the study.
        settings: its settings.
        meter: measures costs.

    Raises:
        UsageError: a budget that is too little, or a network that cannot be scaled.
    """
    common = _common(study)
    family = family_of(study, settings, common, meter)
    found, missing = _networks(family, settings)
    write_text(study.run_dir / FAMILY, csv_text(*family_rows(found, missing)))
    for line in text_table(*family_table(found)).splitlines():
        log.info("%s", line)
    for part in missing:
        log.info("%s has no network of size %s: %s", part.way, part.size, part.reason)
    candidates = list(dict.fromkeys(member.candidate for member in found))
    cells = [cost_cell(common, family, candidate, meter) for candidate in candidates]
    if not settings.train:
        return cells
    return [
        *cells,
        *(
            training_cell(study, common, family, settings, (candidate, seed))
            for seed in settings.seeds
            for candidate in candidates
        ),
    ]


def _common(study: Setup) -> TrainConfig:
    """Return the settings that all trainings share, with precision and memory format."""
    timing = measured_for_all(study.run_dir, arm(study, "first", study.config), "trainings")
    return study.config if timing is None else timing.applied_to(study.config)


def family_of(study: Setup, settings: ScalingSettings, common: TrainConfig, meter: Meter) -> Family:
    """Return the family with the rates of this machine, measured once.

    Args:
        study: the study.
        settings: its settings.
        common: configuration of its trainings, with precision and memory format.
        meter: measures costs.
    """
    frame, device = frame_of(study), device_for(common)
    mode = Mode(common.trainer.precision, common.trainer.optimizer, device.type)
    bases = exponents(len(frame.axes), settings.alpha, settings.beta)
    family = Family(frame, bases, mode, float(settings.channels_per_group))
    trainer = dataclasses.replace(common.trainer, max_steps=None)

    def measure(candidate: Candidate) -> MeasuredCost:
        plan = frame.plan_of(candidate)
        return meter.cost(plan, trainer, size=frame.size, device=device)

    order = Order(settings.budget, settings.sizes)
    machine = machine_text(trainer, device)
    rates = rates_of(study.run_dir, family, order, measure, machine)
    return dataclasses.replace(family, rates=rates)


def _networks(family: Family, settings: ScalingSettings) -> tuple[list[Member], list[Missing]]:
    return members_of(family, settings.budget, settings.sizes, settings.ways)


def _report(
    study: Setup,
    settings: ScalingSettings,
    results: Sequence[CellResult],
    cells: int,
    *,
    meter: Meter,
) -> None:
    """Write the report on the results so far."""
    family = family_of(study, settings, _common(study), meter)
    found, missing = _networks(family, settings)
    write_outputs(study, settings, (family, found, missing), results, cells=cells)
