"""Trainings of a search as jobs of a SLURM cluster, through the optional package submitit.

The process that was started chooses the points and writes search.db; a job only trains one cell, in
the folder that all machines share.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.config.overrides import given_keys
from segkit.config.schema import TrainConfig
from segkit.errors import Interrupted, SegkitError, UsageError
from segkit.report.tables import Cell
from segkit.studies.cells import CellResult, StudyCell, finished_cells
from segkit.studies.comparable import needs_timing
from segkit.studies.search.settings import SearchSettings
from segkit.studies.slurm import job_overrides

log = logging.getLogger(__name__)


TrainCell = Callable[[Sequence[str], Mapping[str, Cell]], str]
"""Function that trains a cell by the words of its study and its columns, and returns why it failed,
or an empty text."""


@dataclass(frozen=True)
class CellJob:
    """Function of a job that trains one cell; a preempted job continues on another machine."""

    train: TrainCell
    words: tuple[str, ...]
    """Words of the study within a job, with its folder."""
    facts: Mapping[str, Cell]
    """Columns of the cell: its configuration, steps and seed."""

    def __call__(self) -> str:
        """Train and return the message of a training that failed, or an empty text."""
        logging.basicConfig(format="%(message)s")
        logging.getLogger("segkit").setLevel(logging.INFO)
        try:
            return self.train(self.words, self.facts)
        except (Interrupted, SegkitError) as error:
            return str(error)

    def checkpoint(self) -> Any:
        """Return the job that submitit submits again; the training resumes from its checkpoint."""
        return importlib.import_module("submitit").helpers.DelayedSubmission(self)


@dataclass(frozen=True)
class JobCells:
    """Runs cells as jobs, all at the same time; on Ctrl-C the jobs are canceled."""

    executor: Any
    """Executor of submitit (`segkit.studies.slurm.slurm_executor`)."""
    words: tuple[str, ...]
    """Words of the study within a job, with its folder."""
    train: TrainCell

    def __call__(self, folder: Path, cells: Sequence[StudyCell]) -> Iterator[CellResult]:
        """Submit the cells and yield their results in order."""
        if not cells:
            return
        with self.executor.batch():
            jobs = [
                self.executor.submit(CellJob(self.train, self.words, dict(c.facts))) for c in cells
            ]
        log.info("%d jobs submitted, %s ...", len(jobs), jobs[0].job_id)
        try:
            for job, cell in zip(jobs, cells, strict=True):
                message = _message(job)
                done = finished_cells(folder, [cell])
                yield done[0] if done else CellResult(cell, "failed", message=message)
        finally:
            for job in jobs:
                if not job.done():
                    job.cancel()


def _message(job: Any) -> str:
    """Wait for a job and return why it has no result; empty if it has one."""
    try:
        return str(job.result())
    except RuntimeError as error:  # submitit's error for failed, canceled and lost jobs
        return f"{' '.join(str(error).splitlines()[:2])}; {job.paths.stderr} may say why"


def head_overrides(overrides: Sequence[str]) -> list[str]:
    """Return the overrides for the process that submits the jobs, which trains nothing.

    >>> head_overrides(["seed=1", "compute=slurm", "compute.gpus=0"])
    ['seed=1', 'compute=auto']
    """
    kept = [word for word in overrides if not _is_compute(word)]
    return [*kept, "compute=auto"]


def words_of_jobs(overrides: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Return the words of the study within a job; its settings are in the folder."""
    kept = [word for word in overrides if "run_dir" not in given_keys([word])]
    return (*job_overrides(kept), f"run_dir={folder.resolve()}")


def check_measured(config: TrainConfig, settings: SearchSettings) -> None:
    """Check that nothing has to be measured on the machine that submits the jobs.

    Raises:
        UsageError: precision, memory format or steps are open, or the budget depends on a machine.
    """
    if needs_timing(config.trainer):
        raise UsageError(
            "compute=slurm: give trainer.precision, trainer.layout and trainer.max_steps, which a "
            "search would measure on this machine"
        )
    if settings.needs_rates:
        raise UsageError(
            "compute=slurm: budget.memory and budget.seconds would be measured on this machine; "
            "give budget.macs or budget.parameters"
        )


def _is_compute(word: str) -> bool:
    return any(key.startswith("compute.") for key in given_keys([word]))
