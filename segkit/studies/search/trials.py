"""Trials of a search in SQLite: queued, claimed, finished, queued again.

``search.db`` holds one Optuna study per sampler. Every point is a trial with the user attributes
``number`` (position among the points that are trained), ``attempt`` (how many proposals for that
number came before) and ``name`` (its configuration). A proposal that does not fit the budget is a
pruned trial with its constraints. A point whose training failed, or whose process was killed, is a
failed trial, and a new trial of the same number is queued.

The caller of a method has locked the file (`segkit.files.locks.turn`): Optuna alone lets two
processes take the same queued trial of an SQLite file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from segkit.errors import InputError
from segkit.studies.search.database import REMEDY, open_optuna_study, readable
from segkit.studies.search.optuna_parts import (
    Direction,
    distributions_of,
    load_optuna,
)
from segkit.studies.search.space import Point, Space

DATABASE = "search.db"
STOPPED = "stopped by the user"
"""Message of a trial that a signal has stopped, which does not count as a failure."""

State = Literal["waiting", "running", "done", "failed", "over budget"]


@dataclass(frozen=True)
class Record:
    """A point of the search, with the newest of its trials."""

    number: int
    """Position among the points that are trained, from 0."""
    attempt: int
    """How many proposals for this number came before, none of which could be trained."""
    name: str
    """Name of its configuration."""
    point: Point
    state: State
    values: tuple[float, ...] | None = None
    constraints: Mapping[str, float] = field(default_factory=dict)
    failures: int = 0
    """How many of its trials failed."""
    message: str = ""
    """Why the newest one failed."""
    trial: int = -1
    """Optuna's number of the newest one."""


@dataclass
class Trials:
    """The trials of one search in the SQLite file of its folder."""

    folder: Path
    space: Space
    directions: tuple[Direction, ...]
    study: str
    """Name of the Optuna study."""
    content: str
    """Hash of everything that determines the results of the search."""

    def __post_init__(self) -> None:
        self._distributions = distributions_of(self.space)
        self._claimed: dict[int, Any] = {}  # trials that this process runs, by their number
        self._optuna_study = open_optuna_study(self.path, self.study, self.directions, self.content)

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self.folder / DATABASE

    def records(self) -> list[Record]:
        """Return all points by number, and among those of a number by attempt.

        Raises:
            InputError: a trial that segkit did not write, or a value outside of the declared range.
        """
        by_point: dict[tuple[int, int], list[Any]] = {}
        with readable(self.path):
            trials = self._optuna_study.get_trials(deepcopy=False)
        for trial in trials:
            by_point.setdefault(self._key(trial), []).append(trial)
        return [self._record(trials) for _, trials in sorted(by_point.items())]

    def queue(self, record: Record) -> None:
        """Add a point to the queue; its number, attempt, name and point are used."""
        self._add(record, "WAITING")

    def add_over_budget(self, record: Record) -> None:
        """Add a point that is not trained, with its constraints."""
        self._add(record, "PRUNED", record.constraints)

    def claim(self) -> Record | None:
        """Take the first point of the queue, which is running from now on; None if it is empty.

        Raises:
            InputError: a value of the point is outside of the declared range.
        """
        if not any(record.state == "waiting" for record in self.records()):
            return None
        with readable(self.path):
            trial = self._optuna_study.ask()
        self._claimed[trial.number] = trial
        return next(record for record in self.records() if record.trial == trial.number)

    def finish(self, record: Record, values: Sequence[float]) -> None:
        """Write the objectives and the constraints of a running point."""
        trial = self._claimed[record.trial]
        with readable(self.path):
            for name, value in record.constraints.items():
                trial.set_constraint(name, value)
            self._optuna_study.tell(trial, list(values))

    def fail(self, record: Record, message: str, *, again: bool) -> None:
        """Record that a running point failed, and queue it again if ``again``."""
        with readable(self.path):
            if record.trial in self._claimed:  # not if it was running in a process that has ended
                self._claimed[record.trial].set_user_attr("message", message)
            self._optuna_study.tell(record.trial, state=load_optuna().trial.TrialState.FAIL)
        if again:
            self.queue(record)

    def _add(
        self, record: Record, state: str, constraints: Mapping[str, float] | None = None
    ) -> None:
        self.space.check(record.point, self.path)
        trial = load_optuna().trial
        names = ("number", "attempt", "name")
        with readable(self.path):
            self._optuna_study.add_trial(
                trial.create_trial(
                    state=trial.TrialState[state],
                    params=dict(record.point),
                    distributions=self._distributions,
                    user_attrs={name: getattr(record, name) for name in names},
                    constraints=dict(constraints) if constraints else None,
                )
            )

    def _key(self, trial: Any) -> tuple[int, int]:
        try:
            return int(trial.user_attrs["number"]), int(trial.user_attrs["attempt"])
        except (KeyError, TypeError, ValueError):
            raise InputError(
                self.path,
                expected="trials that segkit has queued",
                found=f"trial {trial.number} of the study {self.study}, queued by another program",
                remedy=REMEDY,
            ) from None

    def _record(self, trials: Sequence[Any]) -> Record:
        number, attempt = self._key(trials[0])
        # A trial that is done counts even if a later one of the same point was queued.
        done = [trial for trial in trials if trial.state.name == "COMPLETE"]
        trial = (done or trials)[-1]
        point = trial.params or trial.system_attrs.get("fixed_params", {})
        self.space.check(point, self.path)
        return Record(
            number,
            attempt,
            name=str(trial.user_attrs.get("name", "")),
            point=point,
            state=STATES[trial.state.name],
            values=None if trial.values is None else tuple(trial.values),
            constraints=trial.constraints,
            failures=sum(_has_failed(each) for each in trials),
            message=_last_message(trials),
            trial=trial.number,
        )


STATES: Mapping[str, State] = {
    "WAITING": "waiting",
    "RUNNING": "running",
    "COMPLETE": "done",
    "FAIL": "failed",
    "PRUNED": "over budget",
}
"""State of a point by the state of its trial."""


def _has_failed(trial: Any) -> bool:
    return bool(trial.state.name == "FAIL") and trial.user_attrs.get("message") != STOPPED


def _last_message(trials: Iterable[Any]) -> str:
    messages = [trial.user_attrs.get("message", "") for trial in trials]
    return str(next((text for text in reversed(messages) if text), ""))
