"""Outcome of each scan of many, and the file predictions.json that lists them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
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
    group: str | None = None
    """Group by which the scan was harmonized; None if it is unknown or has none."""


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


class OutcomesFile:
    """The file predictions.json: for each case what happened, its output, notes and group.

    Cases of earlier calls stay, except for those that have a new outcome. A case that is skipped
    keeps the notes and the group of its label map.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            UsageError: see `read_outcomes`.
        """
        self._path = path
        # As JSON, so that after each scan only the entry of that scan has to be encoded.
        self._before = read_outcomes(path)
        self._entries = {case: _text(entry) for case, entry in self._before.items()}

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Write the file with these outcomes and those that were written before.

        It is what ``json.dumps(..., indent=2)`` returns for all entries.
        """
        self._entries |= {outcome.case: _text(self._entry(outcome)) for outcome in outcomes}
        lines = [f"\n  {json.dumps(case)}: {entry}" for case, entry in self._entries.items()]
        end = "\n" if lines else ""
        write_text(self._path, f"{{{','.join(lines)}{end}}}\n")

    def _entry(self, outcome: Outcome) -> dict[str, Any]:
        """Return the entry of an outcome; a label map that stays keeps its notes and group."""
        before = self._before.get(outcome.case, {}) if outcome.status == "skipped" else {}
        kept = {name: before[name] for name in ("notes", "group") if name in before}
        return {**_entry(outcome), **kept}


def _entry(outcome: Outcome) -> dict[str, Any]:
    entry = dataclasses.asdict(outcome)
    del entry["case"]
    for name in ("notes", "group"):
        if not entry[name]:
            del entry[name]
    return entry


def _text(entry: Any) -> str:
    """Return an entry as JSON inside an object: all its lines but the first are indented.

    Everything is ASCII, because the name of a file need not be valid UTF-8.
    """
    return json.dumps(entry, indent=2).replace("\n", "\n  ")
