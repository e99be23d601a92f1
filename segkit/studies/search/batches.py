"""Batches of a search: which points are proposed when, and from which results."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from segkit.studies.search.proposals import Known, Proposer
from segkit.studies.search.task import Task
from segkit.studies.search.trials import Record, Trials

log = logging.getLogger(__name__)

ATTEMPTS = 200
"""Number of proposals for one point, all known or over budget, until the space counts as empty."""
CLOSED = ("done", "failed", "over budget")
"""States of points with which no process is busy, and which wait for none."""


def is_closed(records: Sequence[Record]) -> bool:
    """Return whether no point is waiting or running."""
    return all(record.state in CLOSED for record in records)


def trained_of(records: Sequence[Record]) -> list[Record]:
    """Return the points that are or were to be trained, by number."""
    return [record for record in records if record.state != "over budget"]


@dataclass
class Batches:
    """Queues points in batches; the caller has locked the file of the trials."""

    trials: Trials
    proposer: Proposer
    task: Task
    size: int
    """Number of points to train."""
    batch: int = 1
    """Number of points that are proposed from the same results, and can be trained at a time."""
    _is_exhausted: bool = False

    def propose(self) -> None:
        """Queue the points of the next batch if all results that they depend on are there."""
        while True:
            records = self.trials.records()
            number = len(trained_of(records))
            is_complete = number >= self.size or self._is_exhausted
            if is_complete or not self._is_known(records, number):
                return
            self._propose_one(records, number)

    def _is_known(self, records: Sequence[Record], number: int) -> bool:
        """Return whether all points of the batches before that of ``number`` are closed."""
        first = self._first_of_batch(number)
        return is_closed(trained_of(records)[:first])

    def _first_of_batch(self, number: int) -> int:
        return number - number % self.batch

    def _propose_one(self, records: Sequence[Record], number: int) -> None:
        """Queue point ``number``, and record the proposals for it that are over budget."""
        names = {record.name for record in records if record.number < number}
        written = {(record.number, record.attempt) for record in records}
        known = self._known_before(records, number)
        for attempt in range(ATTEMPTS):
            record = self._proposal(number, attempt, known)
            if record.name in names:
                continue
            if record.state == "waiting":
                self.trials.queue(record)
                return
            names.add(record.name)
            known.append(Known(record.point, constraints=record.constraints))
            if (number, attempt) not in written:  # by a process that was killed at this point
                self.trials.add_over_budget(record)
        self._is_exhausted = True
        log.warning(
            "none of %d proposals for point %d is new and within the budget: the search has no "
            "more points than %d",
            ATTEMPTS,
            number,
            number,
        )

    def _proposal(self, number: int, attempt: int, known: Sequence[Known]) -> Record:
        point = self.proposer.propose(number, attempt, known)
        self.trials.space.check(point, self.trials.path)
        constraints = dict(self.task.constraints_of(point))
        fits = all(value <= 0 for value in constraints.values())
        return Record(
            number,
            attempt,
            self.task.name_of(point),
            point,
            "waiting" if fits else "over budget",
            constraints=constraints,
        )

    def _known_before(self, records: Sequence[Record], number: int) -> list[Known]:
        """Return what the proposals for a point may depend on, in the order of the proposals."""
        first = self._first_of_batch(number)
        known = []
        for record in records:
            if record.number < number and (record.state != "failed" or record.number >= first):
                is_finished = record.state == "done" and record.number < first
                values = record.values if is_finished else None
                constraints = self.task.constraints_of(record.point)
                known.append(Known(record.point, values, constraints))
        return known
