"""A study of cells from its words to its report, also one that is stopped."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from segkit.config.schema import TrainConfig
from segkit.config.study_words import setting, whole_number
from segkit.errors import Interrupted, UsageError
from segkit.studies.cell_study import CellStudy
from segkit.studies.cells import CellResult, StudyCell, Tables
from segkit.studies.study_overrides import StudyKind
from segkit.training.setup import Setup
from tests.small_training import SMALL


@dataclass(frozen=True)
class Settings:
    cells: int = setting(2, whole_number(1))
    limit: int = setting(5, whole_number(1))

    @property
    def identity(self) -> dict[str, Any]:
        return {"limit": self.limit}

    def check(self) -> None:
        if self.cells > self.limit:
            raise UsageError(f"study.cells={self.cells}: at most {self.limit}")


KIND = StudyKind("tickets", Settings, {"seed": "study.seeds sets the seeds"})
Compute = Callable[[int], float]


def study(compute: Compute) -> CellStudy[Settings]:
    def cells(_study: Setup, settings: Settings) -> list[StudyCell]:
        def run(number: int) -> Tables:
            return {"results": [{"value": compute(number)}]}

        return [
            StudyCell(f"cell_{n}", {"number": n}, {"n": n}, lambda _folder, n=n: run(n))
            for n in range(settings.cells)
        ]

    def report(setup: Setup, _settings: Settings, results: Sequence[CellResult], all_: int) -> None:
        names = [result.cell.name for result in results if result.status == "done"]
        (setup.run_dir / "report.html").write_text(f"{' '.join(names)} of {all_}")

    return CellStudy(KIND, shared, cells, report)


def shared(config: TrainConfig, _settings: Settings, _overrides: Sequence[str]) -> TrainConfig:
    return config


@pytest.fixture
def words(phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return [f"dataset={phantom}", "run_dir=study", *SMALL]


def test_a_stopped_study_has_a_report_and_the_same_words_continue_it(words: list[str]) -> None:
    def stopped(number: int) -> float:
        if number:
            raise Interrupted("stopped", 15)
        return 0.25

    with pytest.raises(Interrupted, match="stopped in cell_1; the same command continues"):
        study(stopped).run(words)
    assert Path("study/report.html").read_text() == "cell_0 of 2"
    assert not Path("study/finished.json").exists()
    folder, results = study(lambda number: number + 0.5).run(words)
    assert [row["value"] for result in results for row in result.rows()] == [0.25, 1.5]
    assert (folder / "report.html").read_text() == "cell_0 cell_1 of 2"
    assert (folder / "finished.json").is_file()


def test_a_failed_cell_is_reported_and_leaves_the_study_unfinished(words: list[str]) -> None:
    folder, results = study(lambda number: 1 / number).run([*words, "study.cells=3"])
    assert [result.status for result in results] == ["failed", "done", "done"]
    assert (folder / "report.html").read_text() == "cell_1 cell_2 of 3"
    assert not (folder / "finished.json").exists()
    with (folder / "results.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["failed", "done", "done"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("study.cells=6", "study.cells=6: at most 5"),
        ("seed=1", "seed: study.seeds sets the seeds; leave it out"),
        ("fold=all", "fold=all leaves no case to measure Dice on"),
        ("compute=ddp", "compute=ddp: a tickets study trains in this process"),
    ],
)
def test_words_are_refused_before_anything_is_written(
    words: list[str], word: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        study(float).run([*words, word])
    assert not Path("study").exists()
