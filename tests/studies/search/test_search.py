"""A search on a formula: stopped and continued, shared by processes, and with points that fail."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError

from segkit.errors import InputError, Interrupted
from segkit.studies.search.database import readable
from segkit.studies.search.proposals import Proposer
from segkit.studies.search.task import Trained
from segkit.studies.search.trials import DATABASE, Record, Trials
from tests.studies.search import analytic
from tests.studies.search.analytic import SPACE, analytic_search


def facts(records: Sequence[Record]) -> list[tuple[object, ...]]:
    return [
        (r.number, r.attempt, r.name, dict(r.point), r.state, r.values, dict(r.constraints))
        for r in records
    ]


def started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, analytic.__file__, str(folder), *arguments])


def trained(folder: Path) -> list[int]:
    """Return the numbers of the points that were trained, by all processes."""
    return sorted(int(n) for file in folder.glob("trained*") for n in file.read_text().split())


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    """The points of a search that ran through."""
    return analytic_search(tmp_path_factory.mktemp("through")).run()


def test_points_are_different_and_within_the_budget(through: list[Record]) -> None:
    done = [record for record in through if record.state == "done"]
    assert [record.number for record in done] == list(range(9))
    assert len({record.name for record in done}) == 9
    assert all(max(record.constraints.values()) <= 0 for record in done)
    over = [record for record in through if record.state == "over budget"]
    assert over
    assert all(max(record.constraints.values()) > 0 for record in over)
    assert all(record.values is None for record in over)


def test_killed_and_continued_it_equals_one_that_ran_through(
    tmp_path: Path, through: list[Record]
) -> None:
    assert started(tmp_path, "5").wait(60) == -signal.SIGKILL
    assert facts(analytic_search(tmp_path).run()) == facts(through)
    assert trained(tmp_path) == list(range(5))  # and not again by the second process


def test_two_processes_share_the_points(tmp_path: Path, through: list[Record]) -> None:
    processes = [started(tmp_path) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert trained(tmp_path) == list(range(9))
    assert facts(analytic_search(tmp_path).run()) == facts(through)


def test_another_seed_proposes_other_points(tmp_path: Path, through: list[Record]) -> None:
    search = analytic_search(tmp_path, size=2)
    search.batches.proposer = Proposer(SPACE, ("maximize", "minimize"), seed=4)
    assert facts(search.run())[0] != facts(through)[0]


def test_a_point_that_fails_is_queued_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def train(records: Sequence[Record]) -> Iterator[Trained]:
        for record in records:
            calls.append(record.number)
            if record.number == 1 and calls.count(1) < 3:
                yield Trained(None, "out of memory")
            else:
                yield from analytic.train([record])

    records = analytic_search(tmp_path, train, size=4).run()
    # Once more in the same call, behind the others of its batch; then the search goes on without.
    assert calls == [0, 1, 2, 1, 3]
    assert [record.state for record in records if record.number == 1] == ["failed"]
    assert [record.message for record in records if record.number == 1] == ["out of memory"]
    records = analytic_search(tmp_path, train, size=4).run()
    assert calls == [0, 1, 2, 1, 3, 1]
    assert all(record.state in ("done", "over budget") for record in records)


def test_a_signal_leaves_the_point_in_the_queue(tmp_path: Path) -> None:
    def stop(records: Sequence[Record]) -> Iterator[Trained]:
        raise Interrupted("stopped", 15)
        yield Trained(None)

    with pytest.raises(Interrupted):
        analytic_search(tmp_path, stop, size=1).run()
    records = analytic_search(tmp_path, size=1).trials.records()
    assert [(record.state, record.failures) for record in records] == [("waiting", 0)]


def test_a_space_without_new_points_ends_the_search(tmp_path: Path) -> None:
    search = analytic_search(tmp_path, size=8, batch=1)
    name_of = search.task.name_of
    search.batches.task = replace(search.task, name_of=lambda point: name_of(point)[0])
    names = {record.name for record in search.run() if record.state == "done"}
    assert 1 < len(names) < 8  # first digits of widths from 8 to 64


def test_values_outside_of_the_declared_range_are_refused(tmp_path: Path) -> None:
    trials = analytic_search(tmp_path, size=1).trials
    point = {"width": 4.5, "depth": 1.0, "groups": 2}
    with pytest.raises(InputError, match=r"expected width to be a number from 0.5 to 4, found"):
        trials.queue(Record(0, 0, "a", point, "waiting"))
    with pytest.raises(InputError, match="expected values of width, depth, groups, found width"):
        trials.queue(Record(0, 0, "a", {"width": 1.0}, "waiting"))
    trials._optuna_study.enqueue_trial(point, user_attrs={"number": 0, "attempt": 0})
    with pytest.raises(InputError, match=r"found width=4.5. Remove the file"):
        analytic_search(tmp_path, size=1).run()


def test_a_trial_of_another_program_is_refused(tmp_path: Path) -> None:
    trials = analytic_search(tmp_path).trials
    trials._optuna_study.enqueue_trial({"width": 1.0})
    with pytest.raises(InputError, match="trial 0 of the study search, queued by another program"):
        analytic_search(tmp_path).run()


def test_other_settings_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = analytic_search(tmp_path).trials.path
    with pytest.raises(InputError, match="found one of other settings, of other data"):
        Trials(tmp_path, SPACE, ("maximize", "minimize"), "search", "other settings")
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(InputError, match=r"file is not a database\. Remove the file"):
        analytic_search(tmp_path)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("UPDATE trials SET state = 'ASLEEP' WHERE number = 0", "LookupError: 'ASLEEP' is not"),
        ("UPDATE alembic_version SET version_num = 'v9.0.0'", "RuntimeError: The runtime optuna"),
    ],
)
def test_contents_that_optuna_cannot_read_are_refused(
    tmp_path: Path, damage: str, found: str
) -> None:
    search = analytic_search(tmp_path, size=1)
    search.batches.propose()
    with sqlite3.connect(search.trials.path) as database:
        database.execute(damage)
    database.close()
    with pytest.raises(InputError, match=rf"found {found}.*Remove the file"):
        analytic_search(tmp_path).run()


def test_errors_of_the_disk_that_optuna_wraps_keep_the_file(tmp_path: Path) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    message = r"disk is full\. Check that the disk has space"
    with pytest.raises(InputError, match=message), readable(tmp_path / DATABASE):
        raise StorageInternalError("An exception is raised") from full


def test_the_log_says_for_whom_a_process_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    search = analytic_search(tmp_path, size=1)
    search.batches.propose()
    record = search.trials.claim()
    assert record is not None
    gone = search._lock_of(record)
    gone.mkdir(parents=True)
    holder = {"host": "another", "process": 7, "since": "2026"}
    (gone / "in_use.json").write_text(json.dumps(holder))
    with caplog.at_level("INFO", logger="segkit"):
        assert not search._has_ended(record)
        assert not search._has_ended(record)
    assert caplog.text.count("waiting for point 0") == 1
    assert f"remove {gone / 'in_use.json'} and try again" in caplog.text


def test_the_file_holds_no_pickles_and_no_reports(tmp_path: Path) -> None:
    analytic_search(tmp_path, size=2).run()
    with sqlite3.connect(tmp_path / DATABASE) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master")]
        columns = {
            kind.upper()
            for table in tables
            for _, _, kind, *_ in database.execute(f"PRAGMA table_info({table})")
        }
        assert not any("BLOB" in kind or "BINARY" in kind for kind in columns)
        reports = database.execute("SELECT COUNT(*) FROM trial_intermediate_values").fetchone()
    database.close()
    assert reports == (0,)
