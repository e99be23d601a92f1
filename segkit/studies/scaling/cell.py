"""Cells of the scaling study: what a network costs here, and how well it segments."""

from __future__ import annotations

import dataclasses
import math
from functools import partial
from pathlib import Path

from segkit.config.schema import TrainConfig
from segkit.report.tables import Cell
from segkit.studies.cells import Row, StudyCell, Tables
from segkit.studies.normalization.convergence import convergence_measurements
from segkit.studies.normalization.measurement import as_row
from segkit.studies.normalization.trained_cell import open_cell
from segkit.studies.scaling.candidate import Candidate
from segkit.studies.scaling.family import Family
from segkit.studies.scaling.measured import Meter, machine_text
from segkit.studies.scaling.settings import ScalingSettings
from segkit.studies.study_folder import arm, train_arm, training_facts
from segkit.training.compute.device import device_for
from segkit.training.setup import Setup
from segkit.training.validation import validate

MEASURES_VERSION = 1
"""Number that changes when a cell of the study measures something else."""
COSTS = ("memory", "step_seconds", "seconds")
"""Measured costs of a network, as `segkit.studies.scaling.measured.MeasuredCost` names them."""


def config_of(common: TrainConfig, candidate: Candidate, *, steps: int, seed: int) -> TrainConfig:
    """Return the configuration of one training; ``common`` is not changed."""
    network = dataclasses.replace(
        common.network,
        features=list(candidate.widths),
        convs=candidate.convs,
        channels_per_group=candidate.channels_per_group or common.network.channels_per_group,
    )
    plan = dataclasses.replace(common.plan, patch=list(candidate.patch))
    trainer = dataclasses.replace(common.trainer, max_steps=steps)
    return dataclasses.replace(common, network=network, plan=plan, trainer=trainer, seed=seed)


def steps_of(settings: ScalingSettings, family: Family, candidate: Candidate) -> int:
    """Return the number of steps of a training, by ``study.match``."""
    shares = {
        "steps": 1.0,
        "voxels": math.prod(family.frame.plan.patch) / math.prod(candidate.patch),
        "macs": family.first / family.lattice.multiply_adds(candidate),
    }
    return max(1, round(settings.steps * shares[settings.match]))


def cost_cell(common: TrainConfig, family: Family, candidate: Candidate, meter: Meter) -> StudyCell:
    """Return the cell that measures what a network costs on this machine."""
    plan, size = family.frame.plan_of(candidate), family.frame.size
    device = device_for(common)
    trainer = dataclasses.replace(common.trainer, max_steps=None)

    def measure(_folder: Path) -> Tables:
        found = dataclasses.asdict(meter.cost(plan, trainer, size=size, device=device))
        machine = machine_text(trainer, device)
        rows = [{"measure": name, "value": found[name], "machine": machine} for name in COSTS]
        return {"results": rows}

    content = {
        "plan": plan.hash(),
        "size": size,
        "optimizer": trainer.optimizer,
        "mode": [trainer.precision, trainer.layout],
        "measures": MEASURES_VERSION,
    }
    return StudyCell(f"{candidate.name}-costs", _facts(candidate, None), content, measure)


def training_cell(
    study: Setup,
    common: TrainConfig,
    family: Family,
    settings: ScalingSettings,
    training: tuple[Candidate, int],
) -> StudyCell:
    """Return the cell that trains a network with a seed, and measures its Dice."""
    candidate, seed = training
    name = f"{candidate.name}-seed{seed}"
    steps = steps_of(settings, family, candidate)
    config = config_of(common, candidate, steps=steps, seed=seed)
    run = arm(study, name, config, family.frame.plan_of(candidate))
    content = {
        "training": training_facts(run),
        "cases": settings.cases,
        "measures": MEASURES_VERSION,
    }
    work = partial(_train_and_measure, run, settings.cases)
    return StudyCell(name, _facts(candidate, seed), content, work)


def _facts(candidate: Candidate, seed: int | None) -> Row:
    return {"network": candidate.name, "seed": seed}


def _train_and_measure(run: Setup, cases: int, folder: Path) -> Tables:
    train_arm(run)
    cell = open_cell(folder)
    score = validate(
        cell.network, cell.cases[:cases], cell.plan, mode=cell.mode, device=cell.device
    )
    rows: list[dict[str, Cell]] = [
        {"measure": "dice", "value": dice, "case": case, "label": label}
        for case, labels in score.per_case.items()
        for label, dice in labels.items()
    ]
    curve: list[dict[str, Cell]] = [
        dict(as_row(part))
        for part in convergence_measurements(
            cell.run_dir, list(cell.plan.labels), cell.samples_per_step
        )
    ]
    rows += [row for row in curve if row["measure"] == "seconds_per_step"]
    rows.append({"measure": "steps", "value": run.config.trainer.max_steps})
    others = [row for row in curve if row["measure"] != "seconds_per_step"]
    return {"results": rows, "convergence": others}
