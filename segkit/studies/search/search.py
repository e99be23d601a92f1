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
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.errors import Interrupted, UsageError
from segkit.files.locks import check_free, sole_use, turn
from segkit.studies.search.batches import Batches, is_closed
from segkit.studies.search.shared import LOCKS, POLL, log_once
from segkit.studies.search.task import Task, Trained
from segkit.studies.search.trials import STOPPED, Record, Trials

log = logging.getLogger(__name__)

LIVES = 2
"""Number of trainings of one point that may fail in one call; the next call tries it again."""
LOST_LIVES = 3
"""Number of times that the process of a point may end without a message."""
LOST = "its process ended without a message; the system may have stopped it for lack of memory"


@dataclass(frozen=True)
class Search:
    """A search in a folder. Several processes may run the same one at the same time."""

    trials: Trials
    batches: Batches
    task: Task

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
                elif is_closed(records):
                    return records
                else:
                    time.sleep(POLL)

    def _turn(self) -> AbstractContextManager[None]:
        return turn(self.trials.path)

    def _claim(self, claims: ExitStack) -> list[Record]:
        """Return the points that this process trains now; their locks are held by ``claims``."""
        self.batches.propose()
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
        except UsageError as error:
            log_once(f"waiting for point {record.number}: {error}")
            return False
        return True

    def _lock_of(self, record: Record) -> Path:
        return self.trials.folder / LOCKS / f"{self.trials.study}-{record.number}"
