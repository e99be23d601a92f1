"""A symmetry study of a phantom of two cases, in two steps a training."""

from __future__ import annotations

import csv
import html
import json
from collections import defaultdict
from pathlib import Path

import pytest

from segkit.cli import main
from segkit.config.run_file import read_config
from segkit.plans.plan_file import read_plan
from segkit.training.outputs.run_folder import CONFIG, PLAN
from tests.studies.conftest import Copied, RunOnce
from tools.reference import files_without_row

STUDY = ["study", "symmetry"]
SMALL = [
    "study.symmetries=[mirror]",
    "study.matches=[parameters]",
    "study.features=[4,8]",
    "study.samples=4",
    "plan.patch=[16,16,16]",
    "plan.spacing=[4,4,4]",
    "trainer.batch_size=2",
    "trainer.precision=float32",
    "trainer.layout=contiguous",
    "trainer.threads=1",
]
ARMS = ["plain", "mirror_augmented", "mirror_parameters"]


def rows_of(study: Path) -> list[dict[str, str]]:
    with (study / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def finished(run_once: RunOnce, phantom: Path) -> Path:
    """A folder with a finished study in ``study``."""
    return run_once([*STUDY, f"dataset={phantom}", "run_dir=study", "study.seeds=[0]", *SMALL])


@pytest.fixture
def here(finished: Path, copied: Copied) -> Path:
    return copied(finished)


def test_the_reference_names_every_file_of_a_study(finished: Path) -> None:
    assert files_without_row(finished / "study", "Files of a symmetry study") == []


def test_arms_share_everything_but_the_network_and_the_group(finished: Path) -> None:
    runs = [finished / "study" / f"{arm}-cases1-seed0" for arm in ARMS]
    plans = [read_plan(run / PLAN) for run in runs]
    configs = [read_config(run / CONFIG) for run in runs]
    assert {plan.patch for plan in plans} == {(16, 16, 16)}
    assert {plan.mirror_axes for plan in plans} == {()}
    assert [plan.network.name for plan in plans] == ["unet", "unet", "equivariant_unet"]
    assert [plan.training_poses is None for plan in plans] == [True, False, True]
    assert plans[0].mirror_swaps == ()
    assert {plan.mirror_swaps for plan in plans[1:]} == {(("kidney_left", "kidney_right"),)}
    assert [config.network.features for config in configs] == [[4, 8], [4, 8], [6, 10]]
    assert {(config.trainer.max_steps, config.augment.mirror) for config in configs} == {
        (2, "none")
    }
    for run in runs:
        assert json.loads((run / "finished.json").read_text()) == {"steps": 2}
        assert not (run / "checkpoints").exists()


def test_equivariant_networks_have_the_same_dice_in_both_poses(finished: Path) -> None:
    dice: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    rows = rows_of(finished / "study")
    for row in rows:
        if row["measure"] == "dice":
            dice[row["arm"]][row["pose"]].append(float(row["value"]))
    assert all(set(poses) == {"(x,y,z)", "(-x,y,z)"} for poses in dice.values())
    canonical, mirrored = dice["parameters"].values()
    assert canonical == pytest.approx(mirrored, abs=1e-3)
    canonical, mirrored = dice["plain"].values()
    assert canonical != pytest.approx(mirrored, abs=1e-5)
    errors = {
        row["arm"]: float(row["value"]) for row in rows if row["measure"] == "equivariance_error"
    }
    assert errors["parameters"] < 2e-5
    assert errors["plain"] > 0.1
    averaged = [row for row in rows if row["measure"] == "dice_averaged"]
    assert {row["arm"] for row in averaged} == {"augmented"}
    assert {row["status"] for row in rows} == {"done"}


def test_summary_and_page_have_counts_and_verdicts(finished: Path) -> None:
    summary = json.loads((finished / "study" / "summary.json").read_text())
    ratios = {one["arm"]: one["parameters_ratio"] for one in summary["networks"]}
    assert ratios["plain"] == ratios["augmented"] == 1
    assert 0.9 < ratios["parameters"] < 1.1
    page = html.unescape((finished / "study" / "report.html").read_text())
    assert all(sentence in page for sentence in summary["verdict"])
    assert (finished / "study" / "dice_mirror.svg").is_file()


def test_a_finished_study_runs_nothing_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "study" / "summary.json").unlink()
    assert main([*STUDY, "run_dir=study"]) == 0
    printed = capsys.readouterr()
    assert "3 of 3 cells are finished and are not run again" in printed.err
    assert "mirror with about as many parameters, against the plain network" in printed.out


def test_a_group_that_the_labels_contradict_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (here / "study" / "results.csv").read_bytes()
    assert main([*STUDY, "run_dir=study", "study.symmetries=[octahedral48]"]) == 2
    assert "network.symmetry=octahedral48 cannot tell the sides" in capsys.readouterr().err
    assert (here / "study" / "results.csv").read_bytes() == before


def test_more_training_cases_than_there_are_are_refused_before_anything_is_trained(
    phantom: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [f"dataset={phantom}", "run_dir=study", *SMALL, "study.training_cases=[2]"]
    assert main([*STUDY, *words]) == 2
    message = (
        "study.training_cases has 2; training cases in this fold: 1. Give numbers up to 1, or auto"
    )
    assert message in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_show_prints_settings_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STUDY, "dataset=x", "study.seeds=[4]", "--show"]) == 0
    printed = capsys.readouterr().out
    assert "study.seeds=[4]\n" in printed
    assert "# 7 trainings of 4000 patches each, for every number of training cases\n" in printed
    assert "trainer.max_steps" in printed  # among what the study sets
    assert "  max_steps:" not in printed
    assert "  validations: 0\n" in printed
    assert main([*STUDY, "dataset=x", "trainer.validations=3", "--show"]) == 0
    assert "  validations: 3\n" in capsys.readouterr().out
