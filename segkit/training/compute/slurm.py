"""What a training must know of SLURM: whether this is a job of it, and how a job goes back to the queue."""

from __future__ import annotations

import logging
import os
import signal
import subprocess

log = logging.getLogger(__name__)

REQUEUE = getattr(signal, "SIGUSR1", None)
"""The signal that asks a job to save and go back to the queue: sbatch --signal=USR1@90."""


def in_job() -> bool:
    """Whether a job of SLURM runs this process; not in a shell of salloc."""
    return "SLURM_JOB_ID" in os.environ and os.environ.get("SLURM_JOB_NAME") not in (
        "bash",
        "interactive",
    )


def was_requeued() -> bool:
    """Whether the job was in the queue before, so that its training goes on."""
    return in_job() and int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0


def requeue() -> str:
    """Put this job back into the queue; says in words what came of it."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    job = f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]
    try:
        done = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, check=False
        )
        problem = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        problem = str(error)
    if problem:
        return f"job {job} could not be put back into the queue ({problem}): start it again"
    return f"job {job} goes back to the queue and then goes on"
