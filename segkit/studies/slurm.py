"""Trainings as jobs of a SLURM cluster, sent out through submitit, an optional package."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import segkit.studies
from segkit.config.overrides import given_keys
from segkit.config.schema import ComputeConfig
from segkit.config.sweep import Combination
from segkit.errors import Interrupted, SegkitError, UsageError
from segkit.studies.comparable import Measured
from segkit.studies.runs import Outcome, attempt
from segkit.units import parse_size

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What a job does: one training. Where the cluster takes the machine away, the same job goes on elsewhere."""

    words: tuple[str, ...]

    def __call__(self) -> Outcome:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("segkit").setLevel(logging.INFO)
        try:
            return attempt(self.words)
        except Interrupted as error:
            return Outcome(None, str(error))

    def checkpoint(self) -> Any:
        """What submitit sends out again: the training's own checkpoint knows the rest."""
        return importlib.import_module("submitit").helpers.DelayedSubmission(self)


@dataclass(frozen=True)
class MeasuringJob:
    """What a job does that times the step of a training; the message of an error if it could not begin."""

    words: tuple[str, ...]

    def __call__(self) -> Measured | str:
        logging.basicConfig(format="%(message)s")
        try:
            return segkit.studies.measured_here(self.words)
        except SegkitError as error:
            return str(error)


@dataclass(frozen=True)
class SlurmTrainer:
    """Sends every training out at once and waits for all; on Ctrl-C they are cancelled."""

    executor: Any
    """Of submitit."""

    def measured(self, words: Sequence[str]) -> Measured:
        """Measure in a job, on a machine like those that will train.

        Raises:
            UsageError: the training could not begin, or the job was lost.
        """
        job = self.executor.submit(MeasuringJob(job_words(words)))
        log.info("job %s measures precision, layout and steps for all", job.job_id)
        try:
            found: Measured | str = job.result()
        except RuntimeError as error:  # submitit's errors of failed, cancelled and lost jobs
            found = f"{str(error).partition(chr(10))[0]} {job.paths.stderr} may say why"
        finally:
            if not job.done():
                job.cancel()
        if isinstance(found, str):
            raise UsageError(found)
        return found

    def __call__(self, combinations: Sequence[Combination]) -> Iterator[Outcome]:
        """Yield how the trainings went, in their order."""
        with self.executor.batch():
            jobs = [self.executor.submit(Job(job_words(each.words))) for each in combinations]
        log.info(
            "%d jobs sent out, %s ...; their logs are in %s",
            len(jobs),
            jobs[0].job_id,
            self.executor.folder,
        )
        try:
            for number, (job, each) in enumerate(zip(jobs, combinations, strict=True), start=1):
                outcome = _outcome(job)
                log.info("job %d of %d is over: %s", number, len(jobs), each.described)
                yield outcome
        finally:
            for job in jobs:
                if not job.done():
                    job.cancel()


def job_words(words: Sequence[str]) -> tuple[str, ...]:
    """The overrides of a training within its job: the GPU that was asked for is there.

    >>> job_words(["seed=1", "compute=slurm", "compute.gpus=0"])
    ('seed=1', 'compute=cpu')
    """
    rest = [
        word for word in words if not any(key.startswith("compute.") for key in given_keys([word]))
    ]
    return (*rest, "compute=cpu" if "compute.gpus=0" in words else "compute=gpu")


def slurm_executor(compute: ComputeConfig, folder: Path) -> Any:
    """submitit's executor for jobs like ``compute`` asks for, whose scripts and logs go to ``folder``.

    Raises:
        UsageError: submitit is not installed, or SLURM is not here.
    """
    try:
        submitit = importlib.import_module("submitit")
    except ImportError as error:
        raise UsageError(
            "compute=slurm needs the package submitit: pip install submitit"
        ) from error
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster="slurm")
    except RuntimeError as error:
        raise UsageError(
            "compute=slurm: no srun here. Start this where SLURM's commands are."
        ) from error
    wanted: dict[str, Any] = {
        "name": "segkit",
        "timeout_min": compute.timeout,
        "cpus_per_task": compute.cpus,
        "mem_gb": parse_size(compute.memory) / 2**30,  # SLURM's GB
    }
    if compute.gpus:
        wanted["gpus_per_node"] = compute.gpus
    if compute.partition:
        wanted["slurm_partition"] = compute.partition
    executor.update_parameters(**wanted)
    return executor


def _outcome(job: Any) -> Outcome:
    """Wait for a job; one that died is an outcome too."""
    try:
        outcome: Outcome = job.result()
    except RuntimeError as error:  # submitit's errors of failed, cancelled and lost jobs
        outcome = Outcome(
            None, f"{str(error).partition(chr(10))[0]} {job.paths.stderr} may say why"
        )
        log.error("%s", outcome.message)
    return outcome
