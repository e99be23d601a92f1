"""The table of a sweep, computed by hand."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from segkit.studies.sweep.table import (
    Figures,
    Result,
    has_finished_runs,
    in_common,
    sweep_csv,
    table_rows,
)


def result(dice: float | None, minutes: float = 1.0, **values: str) -> Result:
    labels = {} if dice is None else {"liver": dice}
    return Result(
        values, "runs/x", Figures(dice, labels, 10, minutes, "float32", "contiguous", dice)
    )


def failed(**values: str) -> Result:
    return Result(values, None, None, "no room, really")


def test_runs_that_differ_in_seed_and_fold_only_are_one_row() -> None:
    header, rows = table_rows(
        [
            result(0.8, 2.0, norm="group", seed="0"),
            result(0.9, 4.0, norm="group", seed="1"),
            result(0.5, norm="none", seed="0"),
            failed(norm="none", seed="1"),
        ]
    )
    spread = "dice +- sd over seeds"
    assert header == [
        "norm",
        "runs",
        "failed",
        spread,
        "lowest",
        "highest",
        "sd over cases",
        "minutes",
    ]
    within = pytest.approx(0.8515, abs=1e-4)  # the root of (0.64 + 0.81) / 2
    assert rows == [
        ["group", 2, 0, "0.8500 +- 0.0707", 0.8, 0.9, within, 3.0],
        ["none", 2, 1, "0.5000", 0.5, 0.5, 0.5, 1],
    ]


def test_without_seeds_and_folds_every_run_is_a_row() -> None:
    header, rows = table_rows(
        [result(0.8, norm="group"), failed(norm="none"), result(None, norm="batch")]
    )
    assert header == ["norm", "dice", "sd over cases", "steps", "minutes", "run"]
    assert rows[0] == ["group", 0.8, 0.8, 10, 1.0, "runs/x"]
    assert rows[1] == ["none", None, None, None, None, "failed"]
    assert rows[2][1] is None


def test_a_group_of_failures_has_no_dice() -> None:
    assert table_rows([failed(seed="0"), failed(seed="1")])[1] == [
        [2, 2, "-", None, None, None, None]
    ]


def test_one_training_alone() -> None:
    header = ["dice", "sd over cases", "steps", "minutes", "run"]
    assert table_rows([result(0.8)]) == (header, [[0.8, 0.8, 10, 1.0, "runs/x"]])


def test_what_the_runs_have_in_common() -> None:
    assert (
        in_common([result(0.8), failed()])
        == "All runs: float32, contiguous memory format, 10 steps."
    )
    other = Result({}, "runs/y", Figures(0.5, {}, 20, 1.0, "bfloat16", "contiguous"))
    words = "The runs differ in bfloat16 contiguous and float32 contiguous, and have 10, 20 steps."
    assert in_common([result(0.8), other]) == words
    assert in_common([failed()]) == ""


def test_a_table_with_finished_runs(tmp_path: Path) -> None:
    table = tmp_path / "sweep.csv"
    assert not has_finished_runs(table)
    table.write_text(sweep_csv([failed(seed="0")]))
    assert not has_finished_runs(table)
    table.write_text(sweep_csv([failed(seed="0"), result(0.8, seed="1")]))
    assert has_finished_runs(table)


def test_csv_has_every_run() -> None:
    text = sweep_csv([failed(seed="0"), result(0.8, seed="1")])
    first, second = csv.DictReader(io.StringIO(text))
    assert (first["seed"], first["status"], first["dice"], first["message"]) == (
        "0",
        "failed",
        "",
        "no room, really",
    )
    assert (second["status"], second["dice_liver"], second["steps"], second["run"]) == (
        "done",
        "0.8",
        "10",
        "runs/x",
    )
