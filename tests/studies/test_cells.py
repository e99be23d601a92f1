"""Cells of a study: each is computed once, and a failed one does not stop the others."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from segkit.errors import InputError, Interrupted, UsageError
from segkit.studies.cells import ATTEMPTS, StudyCell, Tables, hashes_of, run_cells


class Runner:
    """Makes cells whose computation is counted."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def cell(
        self,
        name: str,
        compute: Callable[[], Tables] | None = None,
        needs: tuple[str, ...] = (),
        content: str = "",
    ) -> StudyCell:
        def run(folder: Path) -> Tables:
            self.ran.append(folder.name)
            if compute:
                return compute()
            return {"results": [{"metric": "dice", "value": 0.5}], "more": [{"layer": "a"}]}

        return StudyCell(name, {"arm": name}, {"content": content or name}, run, needs)


def fail(error: BaseException) -> Callable[[], Tables]:
    def compute() -> Tables:
        raise error

    return compute


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tables_are_tidy_and_finished_cells_are_not_run_again(tmp_path: Path) -> None:
    runner = Runner()
    cells = [runner.cell("one"), runner.cell("two")]
    first = run_cells(tmp_path, cells)
    assert table(tmp_path / "results.csv") == [
        {"arm": "one", "status": "done", "metric": "dice", "value": "0.5"},
        {"arm": "two", "status": "done", "metric": "dice", "value": "0.5"},
    ]
    assert table(tmp_path / "more.csv") == [
        {"arm": "one", "layer": "a"},
        {"arm": "two", "layer": "a"},
    ]
    (tmp_path / "results.csv").unlink()
    again = run_cells(tmp_path, cells)
    assert runner.ran == ["one", "two"]
    assert [result.rows() for result in again] == [result.rows() for result in first]
    assert len(table(tmp_path / "results.csv")) == 2


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (UsageError("give another norm"), "failed", "give another norm"),
        (ZeroDivisionError("no"), "failed", "ZeroDivisionError: no"),
        (MemoryError("8 GB"), "out of memory", "MemoryError: 8 GB"),
        (RuntimeError("DefaultCPUAllocator: not enough memory"), "out of memory", "RuntimeError: "),
    ],
)
def test_a_cell_that_fails_is_a_row_with_its_message_and_is_tried_again(
    tmp_path: Path, error: Exception, status: str, message: str
) -> None:
    runner = Runner()
    results = run_cells(tmp_path, [runner.cell("bad", fail(error)), runner.cell("good")])
    assert [result.status for result in results] == [status, "done"]
    bad, good = table(tmp_path / "results.csv")
    assert (bad["arm"], bad["status"], bad["value"]) == ("bad", status, "")
    assert bad["message"].startswith(message)
    assert (good["status"], good["message"]) == ("done", "")
    results = run_cells(tmp_path, [runner.cell("bad"), runner.cell("good")])
    assert runner.ran == ["bad", "good", "bad"]
    assert [row["status"] for row in table(tmp_path / "results.csv")] == ["done", "done"]


def test_a_cell_that_needs_a_failed_one_is_not_run(tmp_path: Path) -> None:
    runner = Runner()
    cells = [
        runner.cell("level0", fail(UsageError("x"))),
        runner.cell("level1", needs=("level0",)),
        runner.cell("level2", needs=("level1",)),
        runner.cell("other"),
    ]
    results = run_cells(tmp_path, cells)
    assert runner.ran == ["level0", "other"]
    assert results[2].message == "needs level1, which failed"


@pytest.mark.parametrize("stop", [Interrupted("stopped", 15), KeyboardInterrupt()])
def test_a_stopped_study_continues_where_it_was(tmp_path: Path, stop: BaseException) -> None:
    runner = Runner()
    with pytest.raises(Interrupted, match="stopped in two; the same command continues") as error:
        run_cells(tmp_path, [runner.cell("one"), runner.cell("two", fail(stop))])
    assert error.value.exit_code == 128 + (15 if isinstance(stop, Interrupted) else 2)
    assert len(table(tmp_path / "results.csv")) == 1
    assert [path.name for path in (tmp_path / "cells").iterdir()] == ["one.json"]
    run_cells(tmp_path, [runner.cell("one"), runner.cell("two")])
    assert runner.ran == ["one", "two", "two"]


def test_a_cell_whose_process_is_killed_every_time_does_not_stop_the_others(
    tmp_path: Path,
) -> None:
    runner = Runner()
    cells = [runner.cell("big"), runner.cell("small")]
    started = tmp_path / "cells" / "big.started.json"
    started.parent.mkdir()
    content = {"hash": hashes_of(cells)["big"], "attempts": ATTEMPTS}
    started.write_text(json.dumps(content))
    big, small = run_cells(tmp_path, cells)
    assert runner.ran == ["small"]
    assert (big.status, small.status) == ("failed", "done")
    assert "lack of memory" in big.message
    assert not started.exists()
    run_cells(tmp_path, cells)  # a later call tries it again
    assert runner.ran == ["small", "big"]


def test_a_killed_cell_is_counted(tmp_path: Path) -> None:
    runner, seen = Runner(), []

    def compute() -> Tables:
        seen.append(json.loads((tmp_path / "cells" / "a.started.json").read_text())["attempts"])
        return {}

    (tmp_path / "cells").mkdir()
    cell = runner.cell("a", compute)
    content = {"hash": hashes_of([cell])["a"], "attempts": 1}
    (tmp_path / "cells" / "a.started.json").write_text(json.dumps(content))
    run_cells(tmp_path, [cell])
    assert seen == [2]


def test_a_finished_cell_of_other_settings_is_refused(tmp_path: Path) -> None:
    runner = Runner()
    run_cells(tmp_path, [runner.cell("one")])
    with pytest.raises(InputError, match="one of other settings, of other data, or of another"):
        run_cells(tmp_path, [runner.cell("one", content="changed")])
    needed = [runner.cell("zero"), runner.cell("one", needs=("zero",))]
    with pytest.raises(InputError, match="other settings"):
        run_cells(tmp_path, needed)


def test_a_damaged_result_is_reported(tmp_path: Path) -> None:
    run_cells(tmp_path, [Runner().cell("one")])
    (tmp_path / "cells" / "one.json").write_text("{")
    with pytest.raises(InputError, match="Remove the file: the same command computes the cell ag"):
        run_cells(tmp_path, [Runner().cell("one")])


def test_cells_of_earlier_calls_are_kept_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runner = Runner()
    run_cells(tmp_path, [runner.cell("one"), runner.cell("two")])
    with caplog.at_level(logging.INFO, "segkit"):
        run_cells(tmp_path, [runner.cell("two")])
    assert "cells kept from earlier calls that are not part of this one: 1" in caplog.text
    assert len(table(tmp_path / "results.csv")) == 1
    assert (tmp_path / "cells" / "one.json").is_file()


def test_numbers_that_are_not_finite_are_empty_cells(tmp_path: Path) -> None:
    rows = {"results": [{"value": float("nan")}, {"value": float("inf")}, {"value": 0.0}]}
    run_cells(tmp_path, [Runner().cell("one", lambda: rows)])
    assert [row["value"] for row in table(tmp_path / "results.csv")] == ["", "", "0.0"]


def test_the_log_says_what_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner()
    run_cells(tmp_path, [runner.cell("one")])
    with caplog.at_level(logging.INFO, "segkit"):
        run_cells(tmp_path, [runner.cell(name) for name in ("one", "two", "three")])
    assert "1 of 3 cells are finished and are not run again" in caplog.text
    assert "cell 1 of 2: two\n" in caplog.text
    assert "cell 2 of 2: three; about 0 s left for all" in caplog.text
