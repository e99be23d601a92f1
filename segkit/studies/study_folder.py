"""The folder of a study whose trainings run in this process: its start, its lock and its arms.

Files that all such studies have in common:

config.yaml, plan.json      settings and plan with which the study began
study.json                  its kind and its own settings (a cross-validation has folds.json)
measured.json               precision, memory format and seconds per step, the same for all arms
finished.json               written at the end
"""

from __future__ import annotations

import dataclasses
import gc
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L

from segkit.config.compose import load
from segkit.config.overrides import given_keys
from segkit.config.run_file import read_config
from segkit.config.schema import TrainConfig
from segkit.dataset.dataset import Dataset
from segkit.dataset.split import split_cases
from segkit.errors import InputError, Interrupted
from segkit.files.atomic import remove_leftovers, write_text
from segkit.files.locks import check_free, sole_use
from segkit.planning.plan_dataset import open_dataset
from segkit.plans.plan import Plan
from segkit.plans.plan_file import read_plan
from segkit.preprocessing.case_store import PreparedCase, prepare_cases
from segkit.progress import CaseCounter, CaseProgress
from segkit.studies.comparable import MEASURED, Measured, described, measured_once, needs_timing
from segkit.studies.measured_precision import fastest_mode, measured
from segkit.training.data.split import SPLIT, check_split
from segkit.training.outputs.failed_start import START_FILES, undo_failed_start
from segkit.training.outputs.run_folder import (
    CONFIG,
    FINISHED,
    PLAN,
    check_kind,
    prepared_folder,
    run_state,
    training_content,
    write_start,
    write_study,
)
from segkit.training.resume import NEUTRAL, resumed_config
from segkit.training.run import start
from segkit.training.setup import Setup, set_up
from segkit.training.signals import stoppable

log = logging.getLogger(__name__)

CONTINUES = "the same command continues"
"""End of the message of a study that a signal has stopped."""


def continued_config(kind: str, overrides: Sequence[str]) -> TrainConfig:
    """Return the configuration of the overrides, or of the study that ``run_dir=`` continues.

    Args:
        kind: name of the study.
        overrides: KEY=VALUE settings of its trainings.

    Raises:
        UsageError: an override that makes no sense or contradicts the study, a folder of another
            kind, or one that another process uses.
    """
    config = load(overrides)
    if not config.run_dir:
        return config
    run_dir = Path(config.run_dir)
    check_kind(run_dir, kind)
    if run_state(run_dir) == "unfinished":
        check_free(run_dir)
    return resumed_config(config, overrides)


def check_validation_cases(dataset: Dataset, config: TrainConfig) -> None:
    """Check that the fold has cases to measure Dice on.

    Raises:
        UsageError: a fold that the dataset does not have.
        InputError: cases of one patient only.
    """
    if split_cases(dataset, config.fold, config.folds).validation:
        return
    raise InputError(
        dataset.root,
        expected="cases of at least two patients, so that one can train and another be measured",
        found=f"{len(dataset.cases)} cases, none of them for validation",
        remedy="Add cases.",
    )


def open_study(
    kind: str,
    config: TrainConfig,
    overrides: Sequence[str],
    *,
    settings: Mapping[str, Any] | None = None,
    check: Callable[[Dataset], object] | None = None,
    progress: CaseProgress | None = None,
) -> Setup:
    """Return plan, dataset and folder of a study, which is new or continues.

    Args:
        kind: name of the study.
        config: settings of its trainings (`continued_config`).
        overrides: KEY=VALUE words that the user gave.
        settings: settings of the study that determine its results, in JSON types; studies that
            differ in them have different default folders.
        check: called with the dataset before anything is measured; raises if it does not fit.
        progress: called while cases are measured.

    Raises:
        UsageError: a choice that does not fit the machine or the data.
        InputError: a dataset or case that cannot be used.
    """
    dataset = open_dataset(config)
    if check:
        check(dataset)
    given = given_keys(overrides)
    return set_up(config, dataset, given=given, kind=kind, settings=settings, progress=progress)


@contextmanager
def started_study(
    study: Setup, kind: str, settings: Sequence[str], own_files: Sequence[str] = ()
) -> Iterator[None]:
    """Lock the folder of a study within the block, and write the files of its start.

    A study that fails before its first cell begins leaves the folder as it was.

    Args:
        study: the study.
        kind: its name.
        settings: its own settings as words (`given_settings`).
        own_files: names of further files that it writes before its first cell.
    """
    folder, files = study.run_dir, (*START_FILES, MEASURED, FINISHED, *own_files)
    with (
        sole_use(folder),
        undo_failed_start(folder, lambda: _subfolders(folder), files=files),
    ):
        remove_leftovers(folder)
        write_study(folder, kind, settings)
        write_start(folder, study.plan, study.config)
        (folder / FINISHED).unlink(missing_ok=True)  # it may have more cells than before
        with stoppable_study():
            yield


@contextmanager
def stoppable_study() -> Iterator[None]:
    """End the block on a signal, and say how to continue if that is between two cells."""
    try:
        with stoppable():
            yield
    except Interrupted as error:
        if CONTINUES in str(error):
            raise
        raise Interrupted(f"stopped; {CONTINUES}", error.exit_code - 128) from error


def finish_study(study: Setup, content: Mapping[str, Any]) -> None:
    """Mark a study as finished."""
    write_text(study.run_dir / FINISHED, json.dumps(content) + "\n")


def arm(study: Setup, name: str, config: TrainConfig, plan: Plan | None = None) -> Setup:
    """Return one training of a study, in the folder ``name`` below the study's.

    Args:
        study: the study.
        name: name of the folder.
        config: settings of the training.
        plan: its plan; by default that of the study.
    """
    run_dir = study.run_dir / name
    # Prepared cases are stored beside the study, so that other runs find them too.
    store = study.config.dataset.store or str(prepared_folder(study.config, study.run_dir))
    data = dataclasses.replace(config.dataset, store=store)
    config = dataclasses.replace(config, run_dir=str(run_dir), dataset=data)
    return dataclasses.replace(study, config=config, plan=plan or study.plan, run_dir=run_dir)


def prepared_split(study: Setup) -> tuple[list[PreparedCase], list[PreparedCase]]:
    """Prepare the cases of a study and return those for training and those for validation."""
    split = split_cases(study.dataset, study.config.fold, study.config.folds)
    store = prepared_folder(study.config, study.run_dir)
    with CaseCounter("preparing") as counter:
        training, validation = (
            prepare_cases(cases, study.dataset, study.plan, store, progress=counter.show)
            for cases in (split.training, split.validation)
        )
    return training, validation


def measured_for_all(folder: Path, first: Setup, arms: str) -> Measured | None:
    """Return precision, memory format and seconds per step of all arms, measured once.

    None if the settings leave nothing open. See `segkit.studies.comparable`.

    Args:
        folder: the study's folder.
        first: the training that is timed.
        arms: name of the arms in the log, such as "folds".
    """
    if not needs_timing(first.config.trainer):
        return None
    timing = measured_once(folder, [lambda: measured(fastest_mode(first), first.config)])
    if timing is not None:
        log.info("all %s: %s", arms, described(timing))
    return timing


def train_arm(run: Setup, callbacks: Sequence[L.Callback] = (), *, latest: bool = False) -> None:
    """Train one arm, or continue it; a finished one is not trained again.

    Args:
        run: the training (`arm`).
        callbacks: further Lightning callbacks.
        latest: whether runs/latest, the model of a prediction without ``-m``, names it afterwards.

    Raises:
        InputError: the folder holds a training with other settings, another plan or other cases.
        Interrupted: Ctrl-C or SIGTERM; checkpoint and bundle are written.
    """
    state = run_state(run.run_dir)
    if state != "new":
        _check_same_training(run)
    if state == "finished":
        return
    with sole_use(run.run_dir):
        start(run, callbacks=callbacks, latest=latest)
    gc.collect()  # network, optimizer and workers of a run are in reference cycles


def _check_same_training(run: Setup) -> None:
    """Check that the folder of an arm holds the training that it is to hold.

    A study in which nothing is finished yet, or whose process was killed after the training of a
    cell, may continue with other settings of its own, such as ``study.samples``.

    Raises:
        InputError: it does not.
    """
    folder = run.run_dir
    stored = dataclasses.replace(
        run, config=read_config(folder / CONFIG), plan=read_plan(folder / PLAN)
    )
    if _as_text(stored) != _as_text(run):
        raise InputError(
            folder,
            expected="the training of this cell",
            found="one with other settings or with another plan",
            remedy="Give another run_dir, or the settings with which the study began; or remove "
            "this folder: the same command trains again.",
        )
    if (folder / SPLIT).is_file():
        split = split_cases(run.dataset, run.config.fold, run.config.folds)
        check_split(folder, split, run.plan)


def _as_text(run: Setup) -> str:
    return json.dumps(training_facts(run), sort_keys=True)


def training_facts(run: Setup) -> list[Any]:
    """Return everything that determines the result of a training, for the hash of its cell.

    Hardware, threads and other settings that change only how it runs are left out (`NEUTRAL`).
    """
    content = training_content(run.config, run.plan, run.dataset, run.origin.hashes())
    del content[0]["compute"]
    for key in NEUTRAL:
        section, _, name = key.rpartition(".")
        (content[0].get(section, {}) if section else content[0]).pop(name, None)
    return content


def _subfolders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())
