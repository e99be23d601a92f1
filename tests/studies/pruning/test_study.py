"""A pruning of a small model of the phantom, two rounds of a few steps."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

import segkit
from segkit.bundle.bundle import read_bundle
from segkit.cli import main
from segkit.config.run_file import read_config
from segkit.dataset.layouts import read_dataset
from segkit.dataset.phantom import write_phantom
from segkit.errors import Interrupted
from segkit.io import read_labels
from segkit.networks.pruning import smaller_plan
from segkit.plans.convolutions import convolutions, multiply_adds, parameters
from segkit.report.pruning_page import dice_sentences
from segkit.studies.pruning.candidate import Candidate
from segkit.studies.pruning.comparison import _difference, _note, _scores, compared, validated
from segkit.studies.pruning.selection import Goal
from segkit.studies.pruning.settings import Budget
from segkit.studies.pruning.setup import model_to_prune, set_up_pruning
from segkit.studies.pruning.study import prune
from segkit.studies.study_folder import prepared_split
from segkit.training.validation import ValidationScore
from tests.small_training import QUICK
from tests.studies.conftest import Copied, RunOnce
from tools.reference import files_without_row

SMALL = (
    "network.features=[8,16]",
    "plan.patch=[16,16,16]",
    "plan.spacing=[4,4,4]",
    "trainer.validations=1",
)
PRUNE = ("budget.macs=0.5", "budget.rounds=2", "trainer.max_steps=4", *QUICK[1:])


@pytest.fixture
def finished(run_once: RunOnce, phantom: Path) -> Path:
    """A folder with a model in ``run`` and a finished pruning in ``small``."""
    return run_once(
        ["train", str(phantom), "run_dir=run", *SMALL, *QUICK],
        ["prune", "run", str(phantom), "run_dir=small", *PRUNE],
    )


@pytest.fixture
def here(finished: Path, copied: Copied) -> Path:
    return copied(finished)


def test_the_model_costs_what_was_asked_for(finished: Path) -> None:
    before, after = (convolutions(read_bundle(finished / name).plan) for name in ("run", "small"))
    assert multiply_adds(after) <= 0.5 * multiply_adds(before)
    result = json.loads((finished / "small" / "pruning.json").read_text())
    for when, parts in (("before", before), ("after", after)):
        assert result[when]["multiply_adds"] == multiply_adds(parts)
        assert result[when]["parameters"] == parameters(parts)
        assert result[when]["seconds"] > 0
    first = read_bundle(finished / "small" / "pruned_1").plan
    assert multiply_adds(after) < multiply_adds(convolutions(first)) < multiply_adds(before)


def test_it_is_an_ordinary_model(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = read_dataset(phantom).cases[0]
    assert main(["predict", str(case.images[0]), "-m", "small", "-o", "out.nii.gz"]) == 0
    written = read_labels(here / "out.nii.gz").array
    expected = segkit.load("small/round_2").predict(case.images[0]).array
    assert np.array_equal(written, expected)
    card = read_bundle(here / "small").card
    assert card["pruning"]["model"]["hash"] == read_bundle(here / "run").hash
    assert card["name"] == "small"
    assert (here / "runs" / "latest").read_text() == "../small\n"
    assert main(["info", "small"]) == 0
    assert "pruning" in capsys.readouterr().out


def test_the_reference_names_every_file(finished: Path) -> None:
    assert files_without_row(finished / "small", "Files of a pruning") == []


def test_each_round_is_a_run_that_starts_from_the_pruned_weights(finished: Path) -> None:
    for number, steps in ((1, 1), (2, 3)):  # the last round gets three quarters
        run = finished / "small" / f"round_{number}"
        report = json.loads((run / "weights.json").read_text())
        pruned = read_bundle(finished / "small" / f"pruned_{number}")
        assert (report["hash"], report["not_loaded"]) == (pruned.hash, [])
        assert read_bundle(run).plan.hash() == pruned.plan.hash()
        assert read_config(run / "config.yaml").trainer.max_steps == steps


def test_settings_are_those_of_the_models_training(here: Path, phantom: Path) -> None:
    words = ["run_dir=other", "augment.rotate=0.25", "trainer.optimizer=adamw", "seed=3"]
    assert main(["train", str(phantom), *words, *SMALL, *QUICK]) == 0
    model = model_to_prune("other")
    config = set_up_pruning(model, [f"dataset={phantom}", "seed=4"], Budget(macs=0.5)).config
    assert (config.augment.rotate, config.trainer.optimizer, config.seed) == (0.25, "adamw", 4)
    # Precision and length belong to a machine and to one training.
    assert (config.trainer.precision, config.trainer.max_steps) == ("auto", 2000)
    assert (config.plan.file, config.run_dir) == (None, None)


def test_the_default_folder_depends_on_model_and_budget(here: Path, phantom: Path) -> None:
    model, words = model_to_prune("run"), [f"dataset={phantom}"]
    folders = [
        set_up_pruning(one, words, budget).run_dir
        for one in (model, model_to_prune("small"))
        for budget in (Budget(macs=0.5), Budget(macs=0.4), Budget(parameters=0.5))
    ]
    assert len(set(folders)) == 6
    assert folders[0].name.startswith("pruning-")


def test_a_finished_pruning_is_not_run_again(
    here: Path, phantom: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (here / "small" / "bundle" / "bundle.json").stat().st_mtime_ns
    assert main(["prune", "run", str(phantom), "run_dir=small", *PRUNE]) == 0
    assert (here / "small" / "bundle" / "bundle.json").stat().st_mtime_ns == before
    assert "The pruning in small is finished and is not run again" in caplog.text
    assert "multiply-adds" in capsys.readouterr().out


def test_the_same_command_continues(here: Path, phantom: Path) -> None:
    whole = read_bundle(here / "small").hash
    (here / "small" / "finished.json").unlink()
    shutil.rmtree(here / "small" / "bundle")
    shutil.rmtree(here / "small" / "round_2")
    rounds = json.loads((here / "small" / "rounds.json").read_text())
    (here / "small" / "rounds.json").write_text(json.dumps(rounds[:1]))
    first = (here / "small" / "round_1" / "finished.json").stat().st_mtime_ns
    assert main(["prune", "run", str(phantom), "run_dir=small", *PRUNE]) == 0
    assert (here / "small" / "round_1" / "finished.json").stat().st_mtime_ns == first
    assert read_bundle(here / "small").hash == whole


def test_the_notes_of_the_model_go_with_the_pruned_one(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "run/bundle/notes.md").write_text("Tested at two sites.\n")
    (here / "small/finished.json").unlink()
    assert main(["prune", "run", str(phantom), "run_dir=small", *PRUNE]) == 0
    notes = (here / "small/bundle/notes.md").read_text()
    assert (
        notes == "Notes of the model run, from which this one was made:\n\nTested at two sites.\n"
    )
    assert notes.strip() in (here / "small/bundle/card.md").read_text()
    capsys.readouterr()
    assert main(["info", "small"]) == 0
    assert "Tested at two sites." in capsys.readouterr().out


def test_a_signal_says_how_to_continue(here: Path, phantom: Path) -> None:
    def ranking(*_: object) -> list[Candidate]:
        os.kill(os.getpid(), signal.SIGTERM)
        return []

    (here / "small" / "finished.json").unlink()
    shutil.rmtree("small/pruned_2")
    shutil.rmtree("small/round_2")
    with pytest.raises(Interrupted, match="stopped in round 2 of 2; the same command continues"):
        prune("run", f"dataset={phantom}", "run_dir=small", *PRUNE, ranking=ranking)
    assert (here / "small" / "round_1" / "finished.json").is_file()


def test_another_budget_does_not_continue_it(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "small" / "finished.json").unlink()
    words = ["run_dir=small", "budget.macs=0.4", *PRUNE[1:]]
    assert main(["prune", "run", str(phantom), *words]) == 2
    assert "was started with" in capsys.readouterr().err
    assert main(["train", str(phantom), "run_dir=small", *SMALL, *QUICK]) == 2
    assert (
        "run_dir=small holds a pruning. Give another folder, or continue with 'segkit prune'"
        in (capsys.readouterr().err)
    )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["budget.macs=0.01"], 2, "budget.macs=0.01 cannot be reached: with the fewest channels"),
        (["budget.macs=0.5", "network.norm=batch"], 2, "network.norm: a pruning takes it from"),
        (["budget.macs=0.5", "weights=run"], 2, "weights: a pruning takes it from the model"),
        (
            ["budget.macs=0.5", "dataset.labels={a:1}"],
            3,
            "Give the dataset of the model, or one with",
        ),
        (["budget.macs=0.5", "run_dir=run"], 2, "run_dir=run holds a training"),
        (["budget.macs=0.5", "compute=ddp"], 2, "compute=ddp: a pruning study trains in this"),
    ],
)
def test_what_is_refused(
    here: Path,
    phantom: Path,
    words: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_dir = [] if any(word.startswith("run_dir=") for word in words) else ["run_dir=new"]
    assert main(["prune", "run", str(phantom), *run_dir, *words]) == code
    assert message in capsys.readouterr().err
    assert not (here / "new" / "config.yaml").exists()


def test_an_ensemble_is_refused(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "both").mkdir()
    shutil.copytree("run/bundle", "both/one")
    shutil.copytree("run/bundle", "both/two")
    assert main(["prune", "both", str(phantom), "budget.macs=0.5"]) == 2
    assert "both is an ensemble of 2 networks, and one is pruned" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ([], "Neither model was"),
        (["fold=1"], "The original model may"),
        (["folds=2"], "The original model may"),  # fold 0 with more cases
    ],
)
def test_the_note_compares_the_cases_that_were_held_out(
    here: Path, words: list[str], start: str
) -> None:
    data = write_phantom(here / "four", 4)
    model = model_to_prune("run")
    card = {**model.card, "dataset": {"hash": read_dataset(data).content_hash()}}
    model = dataclasses.replace(model, card=card)
    setup = set_up_pruning(model, [f"dataset={data}", *words], Budget(macs=0.5))
    assert _note(model, setup).startswith(start)


@pytest.mark.parametrize(("left", "count"), [(math.inf, 2), (-1.0, 1)])
def test_both_models_predict_as_many_cases_as_there_is_time_for(
    here: Path, phantom: Path, left: float, count: int
) -> None:
    models = [read_bundle("run"), read_bundle("small")]
    study = set_up_pruning(models[0], [f"dataset={phantom}", "run_dir=x"], Budget(macs=0.5))
    cases = [case for part in prepared_split(study) for case in part]
    device = torch.device("cpu")
    found = _scores(models, cases, precision="float32", device=device, left=lambda: left)
    assert [score.cases for score in found] == [count] * 2
    for model, score in zip(models, found, strict=True):
        whole = validated(model, cases[:count], precision="float32", device=device)
        assert score.per_case == whole.per_case
        assert score.labels == pytest.approx(whole.labels)


def test_the_report_says_for_how_many_cases_there_was_time(here: Path, phantom: Path) -> None:
    models = [read_bundle("run"), read_bundle("small")]
    study = set_up_pruning(models[0], [f"dataset={phantom}", "run_dir=x"], Budget(macs=0.5))
    cases = [case for part in prepared_split(study) for case in part]
    result = compared(*models, study, cases, precision="float32", left=lambda: 0.0)
    assert result["dice"]["cases"] == 1
    assert dice_sentences(result).endswith(
        f" There was time for 1 of {len(cases)} validation cases."
    )


def test_without_validation_cases_there_is_no_dice() -> None:
    nothing = ValidationScore({}, 0)
    result = {"dice": _difference(nothing, nothing, ""), "before": {"dice": {}, "mean_dice": None}}
    assert dice_sentences(result) == (
        "Dice is not compared: there are no validation cases (fold=all)."
    )


def test_limits_that_the_widths_of_the_plan_lack_are_given_up(finished: Path) -> None:
    original = read_bundle(finished / "run")
    goal = Goal(original, "macs", "float32", torch.device("cpu"))
    limits = goal.uniform(0.9 * goal.whole)
    assert all(limits[part.name] > part.channels // 2 for part in goal.layers)
    # Layers of two halves can only become half as wide, which is below every limit.
    halves = [
        dataclasses.replace(
            part, unit=part.channels // 2, least=part.channels // 2, importance=(1.0, 2.0)
        )
        for part in goal.layers
    ]
    kept = goal.kept(original.plan, halves, 0.9)
    assert multiply_adds(convolutions(smaller_plan(original.plan, kept))) <= 0.9 * goal.whole


@pytest.mark.slow
def test_every_round_measures_the_latency_of_the_whole_network(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run_dir=fast", "budget.latency=0.9", "budget.rounds=2", "trainer.max_steps=2"]
    assert main(["export", "run", "run.segkit"]) == 0
    assert main(["prune", "run.segkit", str(phantom), *words]) == 0
    assert read_bundle("fast").plan.hash() != read_bundle("run").plan.hash()
    first, second = capsys.readouterr().err.split("round 2 of 2: ranking the channels")
    assert "a window takes" in first
    assert "a window takes" in second
