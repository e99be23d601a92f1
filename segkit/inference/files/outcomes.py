"""Outcome of each scan of many, and the file predictions.json that lists them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segkit.errors import UsageError
from segkit.files.atomic import write_text
from segkit.inference.files.outputs import Job

Status = Literal["done", "failed", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """Outcome of one scan: an entry of predictions.json."""

    case: str
    status: Status
    """Status "skipped" means that the output already existed."""
    message: str = ""
    seconds: float = 0.0
    output: str = ""
    notes: tuple[str, ...] = ()
    """Sentences that a user should know about a scan that is done, such as files left out."""


def skipped(job: Job) -> Outcome:
    """Return the outcome of a job whose output already exists."""
    return Outcome(job.scan.id, "skipped", "the output existed already", output=str(job.output))


def read_outcomes(path: Path) -> dict[str, Any]:
    """Return the content of a predictions.json; empty where the file does not exist.

    Raises:
        UsageError: a file of this name that is not a record of predictions.
    """
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        content = None
    cases = content.values() if isinstance(content, dict) else [None]
    if not all(isinstance(case, dict) and "status" in case for case in cases):
        raise UsageError(
            f"{path} exists and is not a record of predictions; "
            "move it, or choose another folder with -o"
        )
    return dict(content)


def write_outcomes(path: Path, earlier: Mapping[str, Any], outcomes: Sequence[Outcome]) -> None:
    """Write predictions.json: for each case its status, message, seconds, output and notes.

    Cases of ``earlier`` (see `read_outcomes`) stay, except for those that have a new outcome.
    """
    content = dict(earlier) | {outcome.case: _entry(outcome) for outcome in outcomes}
    # ASCII, because the name of a file need not be valid UTF-8.
    write_text(path, json.dumps(content, indent=2) + "\n")


def _entry(outcome: Outcome) -> dict[str, Any]:
    entry = dataclasses.asdict(outcome)
    del entry["case"]
    if not outcome.notes:
        del entry["notes"]
    return entry
