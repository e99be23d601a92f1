"""A scaling study of a phantom of two cases, in two steps a training."""

from __future__ import annotations

import csv
import json
import shlex
from pathlib import Path

import pytest

import segkit
from segkit.cli import main
from segkit.plans.plan_file import read_plan
from segkit.training.outputs.run_folder import PLAN
from tests.small_training import QUICK
from tests.studies.conftest import Copied, RunOnce
from tools.reference import files_without_row

STUDY = ["study", "scaling"]
SMALL = [
    "budget.macs=4e7",
    "study.sizes=[XL]",
    "study.ways=[compound,flat]",
    "study.seeds=[0]",
    "study.steps=2",
    "plan.spacing=[8,8,8]",
    "trainer.validations=0",
    *QUICK[1:],
]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def finished(run_once: RunOnce, phantom: Path) -> Path:
    """A folder with a finished study in ``study``."""
    return run_once([*STUDY, f"dataset={phantom}", "run_dir=study", *SMALL])


@pytest.fixture
def here(finished: Path, copied: Copied) -> Path:
    return copied(finished)


def test_the_reference_names_every_file_of_a_study(finished: Path) -> None:
    assert files_without_row(finished / "study", "Files of a scaling study") == []


def test_every_network_is_measured_and_trained_as_it_was_planned(finished: Path) -> None:
    study = finished / "study"
    family = rows_of(study / "family.csv")
    assert {(row["size"], row["way"]) for row in family} == {
        ("XL", way) for way in ("compound", "flat")
    }
    assert all(float(row["multiply_adds"]) <= 4e7 for row in family)
    results = rows_of(study / "results.csv")
    machines = {row["machine"] for row in results if row["measure"] == "seconds"}
    assert len(machines) == 1
    assert "thread" in machines.pop()
    for row in family:
        measures = {each["measure"] for each in results if each["network"] == row["network"]}
        assert measures >= {"step_seconds", "seconds", "dice", "seconds_per_step", "steps"}
        plan = read_plan(study / f"{row['network']}-seed0" / PLAN)
        widths = [stage.layers[0].channels for stage in plan.network.encoder]
        assert "-".join(map(str, widths)) == row["widths"]
        assert "x".join(map(str, plan.patch)) == row["patch"]


def test_printed_commands_plan_the_networks_of_the_study(finished: Path) -> None:
    summary = json.loads((finished / "study" / "summary.json").read_text())
    networks = {f"{part['size']} {part['way']}": part for part in summary["networks"]}
    assert summary["commands"].keys() == networks.keys()
    for name, command in summary["commands"].items():
        program, verb, dataset, *overrides = shlex.split(command)
        assert (program, verb) == ("segkit", "train")
        planned = segkit.plan(dataset.removeprefix("dataset="), *overrides)
        trained = read_plan(finished / "study" / f"{networks[name]['network']}-seed0" / PLAN)
        assert planned.network == trained.network
        assert (planned.patch, planned.batch_size) == (trained.patch, trained.batch_size)


def test_the_page_has_the_verdict_the_costs_and_the_commands(finished: Path) -> None:
    summary = json.loads((finished / "study" / "summary.json").read_text())
    page = (finished / "study" / "report.html").read_text(encoding="utf-8")
    assert summary["verdict"][0] in page
    for text in ("predicted", "Measured on ", "Pareto front", "segkit train", "95 % interval"):
        assert text in page


def test_a_stopped_study_goes_on_with_what_is_not_finished(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = rows_of(here / "study" / "results.csv")
    for file in (here / "study" / "cells").glob("*-seed0.json"):
        stopped = file
    stopped.unlink()
    assert main([*STUDY, "run_dir=study"]) == 0
    printed = capsys.readouterr()
    assert f"cell 1 of 1: {stopped.stem}" in printed.err
    assert "Train one of them with:\n  XL   segkit train dataset=" in printed.out
    dice = [row["value"] for row in results if row["measure"] == "dice"]
    again = rows_of(here / "study" / "results.csv")
    assert [row["value"] for row in again if row["measure"] == "dice"] == dice


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["study.steps=2"], "no budget is given"),
        (["budget.memory=lots"], "budget.memory must be a size such as 8GB, or null, not lots"),
        (["budget.mac=1"], "unknown setting 'budget.mac'. Did you mean budget.macs"),
        (["budget.macs=1e9", "study.sizes=[Q]"], "study.sizes must be a list of different sizes"),
        (["budget.macs=1e9", "network.convs=3"], "network.convs: the study scales the depth"),
        (["budget.macs=1e9", "network=residual_unet", *QUICK[1:]], "cannot be scaled"),
        (["budget.macs=100", *QUICK[1:]], "budget.macs=100 is too little for every network"),
    ],
)
def test_what_a_study_refuses(
    phantom: Path,
    tmp_path: Path,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*STUDY, str(phantom), "run_dir=study", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "study" / "rates.json").exists()


def test_show_prints_settings_and_ends(phantom: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STUDY, str(phantom), "budget.memory=8GB", "--show"]) == 0
    printed = capsys.readouterr().out
    assert "budget.memory=8GB" in printed
    assert "# up to 60 trainings of 20 networks" in printed
