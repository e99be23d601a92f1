"""The search itself: points are proposed, shared among processes, trained, and tried again.

Points are proposed in batches. A proposal depends only on the results of earlier batches, on the
points before it in its own batch and on the proposals that did not fit the budget: not on which
process trains what, in which order they finish, or how often the search was stopped. So a search
that was killed and continued, or shared by several processes, has the points of one that ran
through.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.errors import Interrupted, UsageError
from segkit.files.locks import check_free, sole_use, turn
from segkit.studies.search.proposals import Known, Proposer
from segkit.studies.search.space import Point
from segkit.studies.search.trials import STOPPED, Record, Trials

log = logging.getLogger(__name__)

CLAIMS = "claims"
"""Folder of the locks of running points: a process that ends for any reason releases its own."""
POLL = 0.5
"""Seconds until a process without work looks again whether the others have finished."""
ATTEMPTS = 200
"""Number of proposals for one point, all known or over budget, until the space counts as empty."""
LIVES = 2
"""Number of trainings of one point that may fail in one call; the next call tries it again."""
LOST_LIVES = 3
"""Number of times that the process of a point may end without a message."""
LOST = "its process ended without a message; the system may have stopped it for lack of memory"


@dataclass(frozen=True)
class Trained:
    """Result of the training of one point: a value for each objective, or why there is none."""

    values: tuple[float, ...] | None
    message: str = ""


@dataclass(frozen=True)
class Task:
    """What is searched for."""

    name_of: Callable[[Point], str]
    """Function that names the configuration of a point; points of equal names train alike."""
    constraints_of: Callable[[Point], Mapping[str, float]]
    """Function that returns how much a point exceeds each limit; 0 or less where it fits."""
    train: Callable[[Sequence[Record]], Iterator[Trained]]
    """Function that trains points and yields their results in order."""
    together: int = 1
    """Number of points that are given to ``train`` at a time."""


@dataclass
class Search:
    """A search in a folder. Several processes may run the same one at the same time."""

    trials: Trials
    proposer: Proposer
    task: Task
    size: int
    """Number of points to train."""
    batch: int = 1
    """Number of points that are proposed from the same results, and can be trained at a time."""
    _is_exhausted: bool = False

    def run(self) -> list[Record]:
        """Train all points that are not trained yet, and return them and the ones over budget.

        Points that fail are queued again, once in each call.

        Raises:
            InputError: a damaged file, or a point outside of the declared ranges.
            Interrupted: Ctrl-C or SIGTERM; the same call continues.
        """
        with self._turn():
            self._retry_failed()
        while True:
            with ExitStack() as claims:
                with self._turn():
                    claimed = self._claim(claims)
                    records = self.trials.records()
                if claimed:
                    self._train(claimed)
                elif all(record.state in CLOSED for record in records):
                    return records
                else:
                    time.sleep(POLL)

    def _turn(self) -> AbstractContextManager[None]:
        return turn(self.trials.path)

    def _claim(self, claims: ExitStack) -> list[Record]:
        """Return the points that this process trains now; their locks are held by ``claims``."""
        self._propose()
        claimed = self._take(claims)
        if not claimed and self._queue_lost():
            claimed = self._take(claims)
        return claimed

    def _take(self, claims: ExitStack) -> list[Record]:
        claimed: list[Record] = []
        while len(claimed) < self.task.together and (record := self.trials.claim()):
            claims.enter_context(sole_use(self._lock_of(record)))
            claimed.append(record)
        return claimed

    def _train(self, records: Sequence[Record]) -> None:
        """Train points and write their results, each as soon as it is there."""
        left = list(records)
        try:
            for trained in self.task.train(records):
                with self._turn():
                    self._write(left.pop(0), trained)
        except (Interrupted, KeyboardInterrupt):
            with self._turn():
                for record in left:
                    self.trials.fail(record, STOPPED, again=True)
            raise

    def _write(self, record: Record, trained: Trained) -> None:
        if trained.values is not None:
            constraints = self.task.constraints_of(record.point)
            self.trials.finish(replace(record, constraints=constraints), trained.values)
            return
        log.error("point %d, %s: %s", record.number, record.name, trained.message)
        self.trials.fail(record, trained.message, again=record.failures + 1 < LIVES)

    def _propose(self) -> None:
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
        return all(each.state in CLOSED for each in trained_of(records)[:first])

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

    def _retry_failed(self) -> None:
        """Queue points again that failed in an earlier call."""
        for record in self.trials.records():
            if record.state == "failed":
                self.trials.queue(record)

    def _queue_lost(self) -> bool:
        """Queue points again whose process has ended, and return whether there are any."""
        lost = [
            record
            for record in self.trials.records()
            if record.state == "running" and self._has_ended(record)
        ]
        for record in lost:
            log.warning("point %d, %s: %s", record.number, record.name, LOST)
            self.trials.fail(record, LOST, again=record.failures + 1 < LOST_LIVES)
        return bool(lost)

    def _has_ended(self, record: Record) -> bool:
        try:
            check_free(self._lock_of(record))
        except UsageError:
            return False
        return True

    def _lock_of(self, record: Record) -> Path:
        return self.trials.folder / CLAIMS / f"{self.trials.study}-{record.number}"


CLOSED = ("done", "failed", "over budget")
"""States of points with which no process is busy, and which wait for none."""


def trained_of(records: Sequence[Record]) -> list[Record]:
    """Return the points that are or were to be trained, by number."""
    return [record for record in records if record.state != "over budget"]
