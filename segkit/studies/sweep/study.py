"""A sweep: one training for every combination of overrides, and one table. No torch until the first one starts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import segkit.studies
from segkit.config.compose import load
from segkit.config.overrides import PATHS
from segkit.config.sweep import Combination
from segkit.errors import UsageError
from segkit.files.atomic import remove_leftovers, write_text
from segkit.files.locks import sole_use
from segkit.planning.plan_dataset import open_dataset
from segkit.studies.comparable import MEASURED, described, is_open, measured_once
from segkit.studies.runs import Trainer, train_here
from segkit.studies.slurm import SlurmTrainer, slurm_executor
from segkit.studies.sweep.table import Result, figures_of, has_finished_runs, sweep_csv
from segkit.training.outputs.run_folder import RUNS, safe_name

log = logging.getLogger(__name__)

TABLE = "sweep.csv"


def sweep(
    combinations: Sequence[Combination], trainer: Trainer | None = None
) -> tuple[Path, list[Result]]:
    """Run every combination and write sweep.csv after each; returns its path and its rows.

    Runs go to the folders that single trainings have: a finished one is not run again, an unfinished one goes on, and
    one that fails is reported while the others go on. ``trainer`` is by default what ``compute=`` says.

    Raises:
        UsageError: no SLURM here, different machines in one sweep, or the same sweep runs already.
        InputError: a dataset that cannot be read.
        Interrupted: Ctrl-C or SIGTERM; the same command goes on.
    """
    folder = sweep_dir(combinations)
    trainer = trainer or trainer_for(combinations, folder)
    results: list[Result] = []
    with sole_use(folder):
        remove_leftovers(folder)
        combinations = _comparable(combinations, folder, trainer)
        for combination, outcome in zip(combinations, trainer(combinations), strict=True):
            figures = figures_of(Path(outcome.run_dir)) if outcome.run_dir else None
            results.append(Result(combination.values, outcome.run_dir, figures, outcome.message))
            write_text(folder / TABLE, sweep_csv(results))
    return folder / TABLE, results


def _comparable(
    combinations: Sequence[Combination], folder: Path, trainer: Trainer
) -> Sequence[Combination]:
    """The same combinations, with precision, layout and number of steps the same in all of them (see `comparable`)."""
    if len(combinations) == 1 or not any(is_open(each.config.trainer) for each in combinations):
        return combinations
    if has_finished_runs(folder / TABLE) and not (folder / MEASURED).is_file():
        log.info(
            "this sweep was begun by an older segkit: each of its trainings measures for itself"
        )
        return combinations
    measure = (
        trainer.measured if isinstance(trainer, SlurmTrainer) else segkit.studies.measured_here
    )
    found = measured_once(folder, [partial(measure, each.words) for each in combinations])
    if found is None:
        return combinations  # none of them can begin, and each says why
    log.info("all trainings of this sweep: %s", described(found))
    words = [found.words(each) for each in combinations]
    return [
        dataclasses.replace(each, words=own, config=load(own))
        for each, own in zip(combinations, words, strict=True)
    ]


def sweep_dir(combinations: Sequence[Combination]) -> Path:
    """runs/<dataset>/sweep-<hash>: the same words and data lead to the same folder."""
    dataset = open_dataset(combinations[0].config)
    words = [[word for word in each.words if not _is_dataset(word)] for each in combinations]
    text = json.dumps([sorted(map(sorted, words)), dataset.content_hash()])
    return (
        RUNS / safe_name(dataset.name) / f"sweep-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    )


def _is_dataset(word: str) -> bool:
    return PATHS.get(word.partition("=")[0]) == "dataset.path"


def trainer_for(combinations: Sequence[Combination], folder: Path) -> Trainer:
    """This process, or SLURM with its jobs' files in ``folder``.

    Raises:
        UsageError: SLURM for some runs only, with different requests, or where it is not.
    """
    first, *others = [each.config.compute for each in combinations]
    if "slurm" not in (first.name, *(other.name for other in others)):
        return train_here
    if any(other != first for other in others):
        raise UsageError(
            "with compute=slurm all runs of a sweep ask for the same: do not sweep over compute"
        )
    return SlurmTrainer(slurm_executor(first, folder / "jobs"))
