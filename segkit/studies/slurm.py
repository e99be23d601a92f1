"""Trainings as jobs of a SLURM cluster, submitted through the optional package submitit."""

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
    """Function of a job that runs one training; a preempted job continues on another machine."""

    overrides: tuple[str, ...]

    def __call__(self) -> Outcome:
        logging.basicConfig(format="%(message)s")
        logging.getLogger("segkit").setLevel(logging.INFO)
        try:
            return attempt(self.overrides)
        except Interrupted as error:
            return Outcome(None, str(error))

    def checkpoint(self) -> Any:
        """Return the job that submitit submits again; the training resumes from its checkpoint."""
        return importlib.import_module("submitit").helpers.DelayedSubmission(self)


@dataclass(frozen=True)
class MeasuringJob:
    """Function of a job that times the step of a training, or returns an error message."""

    overrides: tuple[str, ...]

    def __call__(self) -> Measured | str:
        logging.basicConfig(format="%(message)s")
        try:
            return segkit.studies.measured_here(self.overrides)
        except SegkitError as error:
            return str(error)


@dataclass(frozen=True)
class SlurmTrainer:
    """Submits all trainings together and waits for all; on Ctrl-C the jobs are canceled."""

    executor: Any
    """Executor of submitit (`slurm_executor`)."""

    def measured(self, overrides: Sequence[str]) -> Measured:
        """Measure in a job, on a machine like those of the trainings.

        Raises:
            UsageError: the training cannot start, or the job was lost.
        """
        job = self.executor.submit(MeasuringJob(job_overrides(overrides)))
        log.info("job %s measures precision, memory format and number of steps", job.job_id)
        try:
            result: Measured | str = job.result()
        except RuntimeError as error:  # submitit's error for failed, canceled and lost jobs
            result = _job_message(error, job)
        finally:
            if not job.done():
                job.cancel()
        if isinstance(result, str):
            raise UsageError(result)
        return result

    def __call__(self, combinations: Sequence[Combination]) -> Iterator[Outcome]:
        """Yield the outcomes of the trainings, in their order."""
        with self.executor.batch():
            jobs = [
                self.executor.submit(Job(job_overrides(combination.overrides)))
                for combination in combinations
            ]
        log.info(
            "%d jobs submitted, %s ...; their logs are in %s",
            len(jobs),
            jobs[0].job_id,
            self.executor.folder,
        )
        pairs = zip(jobs, combinations, strict=True)
        try:
            for number, (job, combination) in enumerate(pairs, start=1):
                outcome = _outcome(job)
                log.info("job %d of %d has ended: %s", number, len(jobs), combination.described)
                yield outcome
        finally:
            for job in jobs:
                if not job.done():
                    job.cancel()


def job_overrides(words: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides of a training within its job, which runs on the requested GPU or CPU.

    >>> job_overrides(["seed=1", "compute=slurm", "compute.gpus=0"])
    ('seed=1', 'compute=cpu')
    """
    kept = [
        word for word in words if not any(key.startswith("compute.") for key in given_keys([word]))
    ]
    return (*kept, "compute=cpu" if "compute.gpus=0" in words else "compute=gpu")


def slurm_executor(compute: ComputeConfig, folder: Path) -> Any:
    """Return submitit's executor for jobs with the resources of ``compute``.

    Args:
        compute: partition, time limit, GPUs, CPUs and memory.
        folder: folder for scripts and logs of the jobs.

    Raises:
        UsageError: submitit is not installed, or this machine has no SLURM.
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
            "compute=slurm: there is no srun here. Start this on a machine with SLURM's commands."
        ) from error
    parameters: dict[str, Any] = {
        "name": "segkit",
        "timeout_min": compute.timeout,
        "cpus_per_task": compute.cpus,
        "mem_gb": parse_size(compute.memory) / 2**30,  # SLURM's GB
    }
    if compute.gpus:
        parameters["gpus_per_node"] = compute.gpus
    if compute.partition:
        parameters["slurm_partition"] = compute.partition
    executor.update_parameters(**parameters)
    return executor


def _outcome(job: Any) -> Outcome:
    """Wait for a job, and return a failed one as an outcome too."""
    try:
        outcome: Outcome = job.result()
    except RuntimeError as error:  # submitit's error for failed, canceled and lost jobs
        outcome = Outcome(None, _job_message(error, job))
        log.error("%s", outcome.message)
    return outcome


def _job_message(error: RuntimeError, job: Any) -> str:
    first_line = str(error).partition("\n")[0]
    return f"{first_line} {job.paths.stderr} may say why"
