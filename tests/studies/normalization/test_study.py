"""A normalization study of a phantom of two cases, in two steps a training."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from segkit.cli import main
from segkit.config.run_file import read_config
from segkit.plans.plan_file import read_plan
from segkit.training.outputs.run_folder import CONFIG, PLAN
from tests.studies.conftest import Copied, RunOnce
from tools.reference import files_without_row

STUDY = ["study", "normalization"]
SMALL = [
    "study.norms=[group,batch]",
    "study.batch_sizes=[1,2]",
    "study.samples=4",
    "study.memory=none",
    "network.features=[4,8]",
    "plan.patch=[16,16,16]",
    "plan.spacing=[4,4,4]",
    "trainer.validations=0",
    "trainer.precision=float32",
    "trainer.layout=contiguous",
    "trainer.threads=1",
]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def finished(run_once: RunOnce, phantom: Path) -> Path:
    """A folder with a finished study in ``study``."""
    return run_once([*STUDY, f"dataset={phantom}", "run_dir=study", "study.seeds=[0]", *SMALL])


@pytest.fixture
def here(finished: Path, copied: Copied) -> Path:
    return copied(finished)


def test_the_reference_names_every_file_of_a_study(finished: Path) -> None:
    assert files_without_row(finished / "study", "Files of a normalization study") == []


def test_all_trainings_see_the_same_patches_in_the_same_steps(finished: Path) -> None:
    runs = sorted((finished / "study").glob("*-seed0"))
    assert [run.name for run in runs] == [
        "batch-batch1-seed0",
        "batch-batch2-seed0",
        "group-batch1-seed0",
        "group-batch2-seed0",
    ]
    for run in runs:
        config, plan = read_config(run / CONFIG), read_plan(run / PLAN)
        norm, batch_size = run.name.split("-")[0], int(run.name.split("-")[1][-1])
        assert (config.network.norm, config.trainer.batch_size) == (norm, batch_size)
        assert config.trainer.accumulate == 2 // batch_size
        assert (config.trainer.max_steps, plan.batch_size) == (2, batch_size)
        assert {layer.norm for layer in plan.network.layers} == {norm}
        assert json.loads((run / "finished.json").read_text()) == {"steps": 2}
    patches = {read_plan(run / PLAN).patch for run in runs}
    assert patches == {(16, 16, 16)}


def test_group_norm_trains_alike_where_the_loss_does(finished: Path) -> None:
    # All patches are of one case, so that the loss of a batch is that of each of its patches.
    rows = rows_of(finished / "study" / "convergence.csv")
    losses = {
        (row["norm"], row["batch_size"], row["samples"]): float(row["value"])
        for row in rows
        if row["measure"] == "loss"
    }
    last = max(int(samples) for _, _, samples in losses)
    group = [losses["group", size, str(last)] for size in ("1", "2")]
    batch = [losses["batch", size, str(last)] for size in ("1", "2")]
    assert group[0] == pytest.approx(group[1], rel=1e-5)
    assert abs(batch[0] - batch[1]) > 1e-3 * batch[0]


def test_every_cell_has_its_rows_and_the_page_its_verdict(finished: Path) -> None:
    study = finished / "study"
    rows = rows_of(study / "results.csv")
    dice = [row for row in rows if row["measure"] == "dice"]
    arms = {(row["norm"], row["batch_size"], row["seed"]) for row in dice}
    assert len(arms) == 4
    assert {row["status"] for row in rows} == {"done"}
    gaps = [float(row["value"]) for row in rows if row["measure"] == "train_eval_gap"]
    of_group = [
        float(row["value"])
        for row in rows
        if row["measure"] == "train_eval_gap" and row["norm"] == "group"
    ]
    assert gaps
    assert of_group == [0.0] * len(of_group)
    summary = json.loads((study / "summary.json").read_text())
    page = (study / "report.html").read_text()
    assert summary["verdict"][0].startswith("At batch size 1, on this data, there is no evidence")
    assert summary["verdict"][0] in page
    assert len(summary["arms"]) == 4


def test_a_finished_study_runs_nothing_again_and_more_seeds_continue_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (here / "study" / "cells" / "group-batch1-seed0.json").stat().st_mtime_ns
    (here / "study" / "summary.json").unlink()
    assert main([*STUDY, "run_dir=study"]) == 0
    assert "4 of 4 cells are finished and are not run again" in capsys.readouterr().err
    assert (here / "study" / "summary.json").is_file()
    words = ["run_dir=study", "study.seeds=[0,1]", "study.norms=[group]", "study.batch_sizes=[2]"]
    assert main([*STUDY, *words]) == 0
    printed = capsys.readouterr()
    assert "cell 1 of 1: group-batch2-seed1" in printed.err
    assert (here / "study" / "cells" / "group-batch1-seed0.json").stat().st_mtime_ns == before
    assert "There is nothing to compare: give several norms or batch sizes." in printed.out


def test_a_damaged_training_is_reported_and_the_others_stay(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "study" / "cells" / "batch-batch2-seed0.json").unlink()
    (here / "study" / "batch-batch2-seed0" / "training.csv").write_text("step\n")
    assert main([*STUDY, "run_dir=study"]) == 5
    printed = capsys.readouterr()
    assert "1 of 4 cells failed; study/results.csv says why" in printed.err
    failed = [row for row in rows_of(here / "study" / "results.csv") if row["status"] == "failed"]
    assert [(row["norm"], row["batch_size"]) for row in failed] == [("batch", "2")]
    assert "training.csv" in failed[0]["message"]
    assert "Cells without results" in (here / "study" / "report.html").read_text()


def test_a_norm_that_does_not_fit_is_refused_before_anything_is_trained(
    phantom: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*SMALL[1:], f"dataset={phantom}", "run_dir=study", "study.norms=[group_16]"]
    assert main([*STUDY, *words]) == 2
    assert "network.channels_per_group=16 does not divide its 4 channels" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_other_samples_are_refused_in_the_same_folder(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("finished.json", "study.json", "config.yaml", "results.csv")
    before = [(here / "study" / name).read_bytes() for name in names]
    assert main([*STUDY, "run_dir=study", "study.samples=8"]) == 3
    assert [(here / "study" / name).read_bytes() for name in names] == before
    assert "group-batch1-seed0.json: expected the result of a cell with" in capsys.readouterr().err


def test_show_prints_settings_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STUDY, "dataset=x", "study.seeds=[4]", "--show"]) == 0
    printed = capsys.readouterr().out
    assert "study.seeds=[4]\n" in printed
    assert "# 20 trainings of 4000 patches each\n" in printed
    assert "\nnetwork:\n" in printed
