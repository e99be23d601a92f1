"""Everything that is measured in a cell of the normalization study, as rows of a tidy table."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import lightning as L

from segkit.config.schema import TrainerConfig
from segkit.plans.plan import Plan
from segkit.studies.memory_process import is_measurable
from segkit.studies.normalization.capacity import capacity_measurements
from segkit.studies.normalization.convergence import convergence_measurements
from segkit.studies.normalization.gradients import GradientNorms, gradient_measurements
from segkit.studies.normalization.measurement import Measurement, as_row
from segkit.studies.normalization.scans import scan_measurements, training_mode_measurements
from segkit.studies.normalization.spread import BATCH_SIZES, PATCHES, cell_spread
from segkit.studies.normalization.step_memory import StepProcess
from segkit.studies.normalization.trained_cell import TrainedCell, open_cell

log = logging.getLogger(__name__)

Row = dict[str, str | float | int]
"""Measurement by `segkit.studies.normalization.measurement.COLUMNS`, those that apply."""

OVERLAPS = (0.0, 0.25, 0.5)


def cell_callbacks(run_dir: str | Path, plan: Plan) -> list[L.Callback]:
    """Return the callbacks that a training needs to be measured; see `fit`."""
    return [GradientNorms(run_dir, plan)]


def measure_cell(
    run_dir: str | Path, *, cases: int | None = None, memory: bool = True
) -> list[Row]:
    """Return all measurements of a finished training.

    Args:
        run_dir: the run folder; gradient norms need the `cell_callbacks` during the training.
        cases: largest number of validation cases that are predicted; None for all.
        memory: whether the memory of a step is measured, which takes a process of its own.

    Raises:
        InputError: a run that is not finished or has no validation cases, or a file of it that
            cannot be used.
    """
    cell = open_cell(run_dir)
    chosen = cell.cases[:cases]
    if len(chosen) < len(cell.cases):
        log.info("measuring %d of %d validation cases", len(chosen), len(cell.cases))
    measured = [
        *scan_measurements(cell, chosen, OVERLAPS),
        *training_mode_measurements(cell, chosen),
        *convergence_measurements(cell.run_dir, list(cell.plan.labels), cell.samples_per_step),
        *gradient_measurements(cell.run_dir, cell.samples_per_step),
        *cell_spread(cell, batch_sizes=BATCH_SIZES, patches=PATCHES),
        *(_step_memory(cell) if memory else ()),
    ]
    return [as_row(measurement) for measurement in measured]


def fixed_memory(
    run_dir: str | Path, *, memory: int, batch_sizes: Sequence[int] = (1, 8)
) -> list[Row]:
    """Return the largest patch and width of a run's network that train in ``memory`` bytes.

    With smaller batches, as many are accumulated as make up the largest one.

    Raises:
        InputError: as `measure_cell`.
    """
    cell = open_cell(run_dir)
    if not is_measurable(cell.device.type):
        log.warning("the memory of a training step can be measured on Linux or a GPU only")
        return []
    with StepProcess() as process:
        found = capacity_measurements(
            cell.plan,
            _trainer(cell),
            memory=memory,
            batch_sizes=batch_sizes,
            step_memory=partial(process.memory, device=cell.device.type),
        )
        return [as_row(measurement) for measurement in found]


def _step_memory(cell: TrainedCell) -> Iterator[Measurement]:
    if not is_measurable(cell.device.type):
        log.warning("the memory of a training step can be measured on Linux or a GPU only")
        return
    with StepProcess() as process:
        memory = process.memory(cell.plan, _trainer(cell), cell.device.type)
    if memory is not None:
        yield Measurement("step_memory_bytes", memory, batch=cell.plan.batch_size)


def _trainer(cell: TrainedCell) -> TrainerConfig:
    """Return the settings of the training, with the precision and memory format it ran in."""
    return dataclasses.replace(
        cell.config.trainer, precision=cell.mode.precision, layout=cell.mode.layout
    )
