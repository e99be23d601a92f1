"""A training inside a SLURM job: recognize the job, and put it back into the queue."""

from __future__ import annotations

import logging
import os
import signal
import subprocess

log = logging.getLogger(__name__)

REQUEUE = getattr(signal, "SIGUSR1", None)
"""Signal that asks a job to save and go back to the queue, as with sbatch --signal=USR1@90."""


def in_job() -> bool:
    """Return whether this process runs in a SLURM job; a shell of salloc does not count."""
    return "SLURM_JOB_ID" in os.environ and os.environ.get("SLURM_JOB_NAME") not in (
        "bash",
        "interactive",
    )


def was_requeued() -> bool:
    """Return whether the job was requeued, so that its training resumes."""
    return in_job() and int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0


def requeue() -> str:
    """Put this job back into the queue, and return a message that says whether that worked."""
    array, task = (os.environ.get(f"SLURM_ARRAY_{name}_ID") for name in ("JOB", "TASK"))
    job = f"{array}_{task}" if array else os.environ["SLURM_JOB_ID"]
    try:
        result = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, check=False
        )
        problem = result.stderr.strip() if result.returncode else ""
    except OSError as error:
        problem = str(error)
    if problem:
        return f"job {job} could not be put back into the queue ({problem}): start it again"
    return f"job {job} goes back to the queue and then continues"
