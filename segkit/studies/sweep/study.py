"""A sweep: one training for every combination of overrides, and one table.

torch is not imported until the first training starts.
"""

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
from segkit.studies.comparable import MEASURED, described, measured_once, needs_timing
from segkit.studies.runs import Trainer, train_here
from segkit.studies.slurm import SlurmTrainer, slurm_executor
from segkit.studies.sweep.table import Result, figures_of, has_finished_runs, sweep_csv
from segkit.training.outputs.run_folder import RUNS, safe_name

log = logging.getLogger(__name__)

TABLE = "sweep.csv"


def sweep(
    combinations: Sequence[Combination], trainer: Trainer | None = None
) -> tuple[Path, list[Result]]:
    """Run every combination, write sweep.csv after each, and return its path and its rows.

    Runs go to the same folders as single trainings: a finished one is not run again, an unfinished
    one is resumed, and one that fails is reported while the others continue.

    Args:
        combinations: the trainings.
        trainer: function that runs them; by default the one that ``compute=`` names.

    Raises:
        UsageError: no SLURM here, different machines in one sweep, or the same sweep is running.
        InputError: a dataset that cannot be read.
        Interrupted: Ctrl-C or SIGTERM; the same command continues the sweep.
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
    """Return the combinations with one precision, memory format and number of steps for all.

    See `segkit.studies.comparable`.
    """
    is_any_timed = any(needs_timing(combination.config.trainer) for combination in combinations)
    if len(combinations) == 1 or not is_any_timed:
        return combinations
    if has_finished_runs(folder / TABLE) and not (folder / MEASURED).is_file():
        log.info(
            "this sweep was started by an older segkit: each of its trainings is timed separately"
        )
        return combinations
    measure = (
        trainer.measured if isinstance(trainer, SlurmTrainer) else segkit.studies.measured_here
    )
    measurements = [partial(measure, combination.overrides) for combination in combinations]
    measured = measured_once(folder, measurements)
    if measured is None:
        return combinations  # none of them can start, and each reports why
    log.info("all trainings of this sweep: %s", described(measured))
    return [
        _with_overrides(combination, measured.overrides_for(combination))
        for combination in combinations
    ]


def _with_overrides(combination: Combination, overrides: tuple[str, ...]) -> Combination:
    return dataclasses.replace(combination, overrides=overrides, config=load(overrides))


def sweep_dir(combinations: Sequence[Combination]) -> Path:
    """Return runs/<dataset>/sweep-<hash>; equal overrides and data share it."""
    dataset = open_dataset(combinations[0].config)
    words = [
        [word for word in combination.overrides if not _is_dataset(word)]
        for combination in combinations
    ]
    text = json.dumps([sorted(map(sorted, words)), dataset.content_hash()])
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return RUNS / safe_name(dataset.name) / f"sweep-{digest}"


def _is_dataset(word: str) -> bool:
    return PATHS.get(word.partition("=")[0]) == "dataset.path"


def trainer_for(combinations: Sequence[Combination], folder: Path) -> Trainer:
    """Return the function that trains: in this process, or in SLURM jobs with files in ``folder``.

    Raises:
        UsageError: SLURM for some runs only, different requests, or no SLURM on this machine.
    """
    first, *others = [combination.config.compute for combination in combinations]
    if "slurm" not in (first.name, *(other.name for other in others)):
        return train_here
    if any(other != first for other in others):
        raise UsageError(
            "with compute=slurm all runs of a sweep request the same resources: "
            "do not sweep over compute"
        )
    return SlurmTrainer(slurm_executor(first, folder / "jobs"))
