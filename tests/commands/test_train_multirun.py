"""The flag --multirun of segkit train, with two phantom cases and two steps."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from segkit.cli import main
from tools.reference import files_without_row

SMALL = [
    "network.features=[4,8]",
    "plan.patch=[16,16,16]",
    "plan.spacing=[4,4,4]",
    "trainer.validations=1",
]
QUICK = [
    "trainer.max_steps=2",
    "trainer.precision=float32",
    "trainer.layout=contiguous",
    "trainer.threads=1",
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows() -> list[dict[str, str]]:
    (table,) = Path("runs/phantom").glob("sweep-*/sweep.csv")
    return list(csv.DictReader(table.read_text().splitlines()))


def test_every_combination_is_trained_once(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 3 groups do not divide 4 channels: only the planner knows, and the other runs go on.
    words = [
        "train",
        "-m",
        f"dataset={phantom}",
        "network.num_groups=1,3",
        "fold=0,1",
        *SMALL,
        *QUICK,
    ]
    assert main(words) == 5
    first = capsys.readouterr()
    assert "run 1 of 4: network.num_groups=1 fold=0\n" in first.err
    assert "network.num_groups=3 does not divide its 4 channels" in first.err
    assert "segkit: error: 2 of 4 trainings failed; runs/phantom/sweep-" in first.err
    assert [line.split()[:3] for line in first.out.splitlines()[1:3]] == [
        ["1", "2", "0"],
        ["3", "2", "2"],
    ]
    found = rows()
    assert [row["status"] for row in found] == ["done", "done", "failed", "failed"]
    assert [row["fold"] for row in found] == ["0", "1", "0", "1"]
    assert found[0]["run"] != found[1]["run"]
    assert Path(found[0]["run"], "bundle").is_dir()
    assert "does not divide" in found[2]["message"]

    (sweep,) = Path("runs/phantom").glob("sweep-*")
    assert files_without_row(sweep, "Files of a sweep") == []

    Path(found[1]["run"], "finished.json").unlink()
    assert main(words) == 5
    again = capsys.readouterr().err
    assert f"The training in {found[0]['run']} is finished and is not run again." in again
    assert f"The training in {found[1]['run']} is finished" not in again
    assert "no checkpoint in" not in again
    assert rows() == found


def test_all_arms_have_one_precision_layout_and_number_of_steps(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "train",
        "-m",
        str(phantom),
        "network.norm=group,instance",
        "trainer.max_minutes=0.02",
        *SMALL,
    ]
    assert main(words) == 0
    first = capsys.readouterr()
    assert first.err.count("measured once for all of them") == 1
    found = rows()
    for key in ("precision", "layout", "steps"):
        assert len({row[key] for row in found}) == 1
    assert (
        f"All runs: {found[0]['precision']}, {found[0]['layout']} memory format, "
        f"{found[0]['steps']} steps." in first.out
    )
    assert main(words) == 0  # what was measured is kept, so that the same command finds its runs
    assert capsys.readouterr().err.count("is finished and is not run again") == 2
    assert rows() == found


def test_a_single_training_has_the_folder_of_its_run_in_a_sweep(here: Path, phantom: Path) -> None:
    words = [f"dataset={phantom}", *SMALL, *QUICK]
    assert main(["train", "--multirun", *words, "seed=4"]) == 0
    assert main(["train", *words, "seed=4"]) == 0
    assert Path(rows()[0]["run"]).name == Path("runs/latest").read_text().strip().partition("/")[2]
    assert len(list(Path("runs/phantom").glob("unet-*"))) == 1


def test_show_prints_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "-m", "--show", "dataset=a, b", "seed=0,1"]) == 0
    assert (
        capsys.readouterr().out
        == "segkit train 'dataset=a, b' seed=0\nsegkit train 'dataset=a, b' seed=1\n"
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["dataset=nowhere", "seed=0,1"], 3, "nowhere: expected"),
        (["seed=0,1"], 2, "no dataset is given"),
        (["dataset={phantom}", "seed=0,x"], 2, "seed must be a whole number"),
        (["dataset={phantom}", "seed=0,1", "run_dir=a"], 2, "run_dir names the folder of one run"),
        (
            ["dataset={phantom}", "compute=cpu,slurm"],
            2,
            "all runs of a sweep request the same resources",
        ),
    ],
)
def test_refused_before_anything_starts(
    words: list[str],
    code: int,
    message: str,
    here: Path,
    phantom: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (
        main(["train", "-m", *(word.replace("{phantom}", str(phantom)) for word in words)]) == code
    )
    assert message in capsys.readouterr().err
    assert not list(here.iterdir())


def test_slurm_without_its_package(
    here: Path, phantom: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    for words in (["-m", "seed=0,1"], ["seed=0"]):  # a single training goes the same way
        assert main(["train", f"dataset={phantom}", "compute=slurm", *words]) == 2
        assert (
            "compute=slurm needs the package submitit: pip install submitit"
            in capsys.readouterr().err
        )
    assert not list(here.iterdir())
