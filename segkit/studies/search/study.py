"""Search over the axes of compound scaling, from the words that were typed to its report.

Several processes can run the same study at the same time: the same command, in another terminal or
on another machine with the same folder. One of them sets it up, and all share its trainings. Files
of a study, besides those of `segkit.studies.cells` and `segkit.studies.study_folder`:

search.db                  every point with its state and result (`segkit.studies.search.trials`)
<network>_steps<N>_seed<S>/     the run of each training
results.csv, costs.csv     Dice by case and label, and predicted cost, of every training
summary.json, report.html  the chosen configuration, comparisons, Pareto set, importance
NAME.png, NAME.svg         the figures
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch

from segkit.config.study_words import given_settings
from segkit.dataset.split import split_cases
from segkit.files.locks import turn
from segkit.progress import CaseProgress
from segkit.report.tables import Cell
from segkit.studies.cells import CellResult
from segkit.studies.scaling.calibration import RATES, Order, rates_of
from segkit.studies.scaling.candidate import Candidate
from segkit.studies.scaling.compound import exponents
from segkit.studies.scaling.costs import Mode, Rates
from segkit.studies.scaling.family import Family
from segkit.studies.scaling.frame import frame_of
from segkit.studies.scaling.measured import MeasuredCost, Meter, machine_text
from segkit.studies.scaling.members import members_of
from segkit.studies.scaling.settings import COMPOUND, SIZES
from segkit.studies.search.bench import Bench, candidate_of
from segkit.studies.search.choice import roles
from segkit.studies.search.jobs import JobCells, check_measured, head_overrides, words_of_jobs
from segkit.studies.search.optuna_parts import load_optuna
from segkit.studies.search.phases import Outcome, Phases
from segkit.studies.search.points import Points
from segkit.studies.search.report import REPORT, write_report
from segkit.studies.search.settings import FLAT, SEARCH, UNIFORM, SearchSettings
from segkit.studies.search.shared import LOCKS, RunCells, run_here, run_shared
from segkit.studies.slurm import slurm_executor
from segkit.studies.study_folder import (
    arm,
    check_validation_cases,
    continued_config,
    finish_study,
    measured_for_all,
    open_study,
    prepared_split,
    started_study,
    stoppable_study,
)
from segkit.training.compute.device import device_for
from segkit.training.outputs.run_folder import read_study, run_state, write_study
from segkit.training.setup import Setup

log = logging.getLogger(__name__)

JOBS = "jobs"
"""Folder of scripts and logs of SLURM jobs."""


def study_scaling_search(
    *words: str, progress: CaseProgress | None = None
) -> tuple[Path, list[CellResult]]:
    """Search, compare with the baselines, and return the study's folder and all results.

    The same call continues an unfinished study, and shares one that another process runs.

    Args:
        words: KEY=VALUE settings of the trainings, ``study.KEY=VALUE`` of the study, and
            ``budget.KEY=VALUE``.
        progress: called while cases are measured.

    Raises:
        UsageError: an override or a setting that makes no sense, or Optuna is not installed.
        InputError: a dataset or case that cannot be used, or a damaged file of the study.
        Interrupted: Ctrl-C or SIGTERM; the same call continues the study.
    """
    load_optuna()
    overrides, settings, config = SEARCH.read_words(words)
    compute = config.compute
    given = overrides
    if compute.name == "slurm":
        check_measured(config, settings)
        overrides = head_overrides(overrides)
    bench, family = _opened(overrides, settings, progress)
    run: RunCells = run_here
    if compute.name == "slurm":
        executor = slurm_executor(compute, bench.folder / JOBS)
        run = JobCells(executor, words_of_jobs(given, bench.folder), train_search_cell)
    together = settings.batch if compute.name == "slurm" else 1
    with stoppable_study():
        outcome = _run(bench, family, settings, run, together)
    return bench.folder, outcome.results


def train_search_cell(words: Sequence[str], facts: Mapping[str, Cell]) -> str:
    """Train one cell of a study that exists, in a job; return why it failed, or an empty text.

    Args:
        words: words of the study, with its folder.
        facts: columns of the cell (`segkit.studies.search.bench.candidate_facts`).
    """
    overrides, settings, _ = SEARCH.read_words(words)
    bench, _ = _opened(overrides, settings, None)
    candidate = candidate_of(facts)
    cell = bench.cell(candidate, steps=int(str(facts["steps"])), seed=int(str(facts["seed"])))
    result = next(run_here(bench.folder, [cell]))
    return "" if result.status == "done" else result.message


def _opened(
    overrides: Sequence[str], settings: SearchSettings, progress: CaseProgress | None
) -> tuple[Bench, Family]:
    """Open the dataset, plan, and set up the study unless that is done."""
    # Every network is measured case by case at its end.
    config = SEARCH.trained(continued_config(SEARCH.name, overrides), overrides)
    study = open_study(
        SEARCH.name,
        config,
        overrides,
        settings=settings.identity,
        check=partial(check_validation_cases, config=config),
        progress=progress,
    )
    return _set_up(study, settings)


def _set_up(study: Setup, settings: SearchSettings) -> tuple[Bench, Family]:
    """Write the start of the study unless another process has, and return its bench."""
    folder = study.run_dir
    with turn(folder.with_name(f"{folder.name}.setup")):
        if run_state(folder) == "unfinished":
            bench, family = _bench(study, settings)
            take_up(bench, settings)
            return bench, family
        with started_study(study, SEARCH.name, given_settings(settings), (RATES,)):
            bench, family = _bench(study, settings)
            # Within the block, which restores the files of another search.
            Phases(Points(bench, settings, partial(run_shared, bench.folder))).check()
            return bench, family


def take_up(bench: Bench, settings: SearchSettings) -> None:
    """Write the settings of this call into study.json; they may add trainings to the search.

    Raises:
        InputError: they are those of another search.
    """
    words = given_settings(settings)
    if read_study(bench.folder)["settings"] == words:
        return
    Phases(Points(bench, settings, partial(run_shared, bench.folder))).check()
    write_study(bench.folder, SEARCH.name, words)
    log.info("the search continues with settings of this call: %s", " ".join(words))


def _bench(study: Setup, settings: SearchSettings) -> tuple[Bench, Family]:
    timing = measured_for_all(study.run_dir, arm(study, "first", study.config), "trainings")
    config = timing.applied_to(study.config) if timing else study.config
    study = dataclasses.replace(study, config=config)
    split = split_cases(study.dataset, config.fold, config.folds)
    _, validation = prepared_split(study)
    own_roles = roles(split.validation, str(study.dataset.root))
    frame, device = frame_of(study), device_for(config)
    mode = Mode(config.trainer.precision, config.trainer.optimizer, device.type)
    family = Family(frame, exponents(len(frame.axes)), mode)
    if settings.needs_rates:
        family = dataclasses.replace(family, rates=_rates(study, family, settings, device))
    family.largest(settings.budget)  # refuses a budget that no network fits
    bench = Bench(study, frame, family.cost, validation, own_roles)
    return bench, family


def _rates(study: Setup, family: Family, settings: SearchSettings, device: torch.device) -> Rates:
    """Return the rates of this machine, measured once for the study."""
    trainer = dataclasses.replace(study.config.trainer, max_steps=None)
    with Meter() as meter:

        def measure(candidate: Candidate) -> MeasuredCost:
            plan = family.frame.plan_of(candidate)
            return meter.cost(plan, trainer, size=family.frame.size, device=device)

        order, machine = Order(settings.budget, ("XL",)), machine_text(trainer, device)
        return rates_of(study.run_dir, family, order, measure, machine)


def _run(
    bench: Bench, family: Family, settings: SearchSettings, run: RunCells, together: int
) -> Outcome:
    """Run all phases and write the report; of several processes each writes the same."""
    cells = partial(run_shared, bench.folder, run=run, together=together)
    outcome = Phases(Points(bench, settings, cells, together)).run(baselines_of(family, settings))
    with suppress(OSError):  # another process still holds locks there
        (bench.folder / LOCKS).rmdir()
    with turn(bench.folder / REPORT):
        write_report(bench, settings, outcome)
        if all(result.status == "done" for result in outcome.results):
            finish_study(bench.study, {"cells": len(outcome.results)})
    return outcome


def baselines_of(family: Family, settings: SearchSettings) -> Mapping[str, Sequence[Candidate]]:
    """Return the networks of the compound family and of flat widths, each of the usual sizes."""
    ways = {UNIFORM: COMPOUND, FLAT: FLAT}
    largest = family.largest(settings.budget)
    sizes = [
        name for name in SIZES if family.member(largest - SIZES[name], settings.budget) is not None
    ]
    members, missing = members_of(family, settings.budget, sizes, (COMPOUND, FLAT))
    for part in missing:
        log.info("%s has no network of size %s: %s", part.way, part.size, part.reason)
    return {
        name: list(dict.fromkeys(each.candidate for each in members if each.way == way))
        for name, way in ways.items()
        if name in settings.chosen_baselines
    }
