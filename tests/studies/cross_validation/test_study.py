"""A cross-validation of a phantom of two cases, in two steps a fold."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from segkit.bundle.bundle import read_bundle
from segkit.bundle.mask_lookup import find_mask
from segkit.bundle.overlap_dice import overlap_entry
from segkit.cli import main
from segkit.config.run_file import read_config
from segkit.dataset.layouts import read_dataset
from segkit.dataset.phantom import write_phantom
from segkit.files.locks import sole_use
from segkit.inference import load
from segkit.io import read_labels
from segkit.networks.mask_file import write_mask
from segkit.networks.masks import dense_masks, prune_at_random
from segkit.studies import cross_validate
from segkit.training.optimization.lightning_module import SegmentationModule
from segkit.training.run import train
from tests.small_training import QUICK, SMALL
from tests.studies.conftest import Copied, RunOnce
from tools.reference import files_without_row

STUDY = ["study", "cross_validation"]


@pytest.fixture
def finished(run_once: RunOnce, phantom: Path) -> Path:
    """A folder with a finished study in ``cv``."""
    return run_once([*STUDY, f"dataset={phantom}", "run_dir=cv", *SMALL, *QUICK])


@pytest.fixture
def here(finished: Path, copied: Copied) -> Path:
    return copied(finished)


def unfinish(study: Path, *folds: int) -> None:
    """Make a study look as if it had been killed in these folds."""
    (study / "finished.json").unlink()
    for number in folds:
        (study / f"fold_{number}" / "finished.json").unlink()
    for name in ("bundle", "evaluation", "predictions"):
        shutil.rmtree(study / name)


def test_the_reference_names_every_file_of_a_study(finished: Path) -> None:
    assert files_without_row(finished / "cv", "Files of a cross-validation") == []


def test_every_case_is_predicted_by_the_model_that_did_not_see_it(
    finished: Path, phantom: Path
) -> None:
    cases = {case.id: case for case in read_dataset(phantom).cases}
    folds = json.loads((finished / "cv" / "folds.json").read_text())
    assert sorted(case for fold in folds for case in fold) == sorted(cases)
    for number, (held_out,) in enumerate(folds):
        run = finished / "cv" / f"fold_{number}"
        assert json.loads((run / "split.json").read_text())["validation"] == [held_out]
        written = read_labels(finished / "cv" / "predictions" / f"{held_out}.nii.gz")
        assert np.array_equal(
            written.array, load(run, device="cpu").predict(cases[held_out].images[0]).array
        )
        assert np.allclose(
            written.affine, read_labels(cases[held_out].label or "").affine, atol=1e-4
        )


def test_all_folds_follow_one_plan_and_make_one_bundle(finished: Path, phantom: Path) -> None:
    bundle = read_bundle(finished / "cv")
    assert bundle.folds == ("0", "1")
    for fold in bundle.folds:
        of_fold = read_bundle(finished / "cv" / f"fold_{fold}")
        assert of_fold.plan == bundle.plan
        state = of_fold.state(fold)
        assert all(torch.equal(tensor, state[name]) for name, tensor in bundle.state(fold).items())
    assert (bundle.card["metrics"]["cases"], bundle.card["training"]["steps"]) == (2, [2, 2])


def test_the_card_of_the_ensemble_has_out_of_fold_intervals(finished: Path) -> None:
    card = read_bundle(finished / "cv").card
    intervals = card["metrics"]["intervals"]
    assert intervals.keys() == card["metrics"]["dice"].keys()
    assert all(interval["cases"] == 2 for interval in intervals.values())
    assert (
        card["training"]["machine"]
        == (read_bundle(finished / "cv" / "fold_0").card["training"]["machine"])
    )
    page = (finished / "cv" / "bundle" / "card.md").read_text()
    assert "each by the fold that did not see it" in page


def test_the_ensemble_keeps_what_smaller_overlaps_cost(here: Path, phantom: Path) -> None:
    for fold, dice in enumerate((0.5, 0.75)):
        card = here / "cv" / f"fold_{fold}" / "bundle" / "bundle.json"
        entry = overlap_entry({0.5: {"liver": dice}, 0.0: {"liver": dice}}, 1, fold)
        card.write_text(json.dumps(json.loads(card.read_text()) | entry))
    unfinish(here / "cv")
    assert main([*STUDY, f"dataset={phantom}", "run_dir=cv", *SMALL, *QUICK]) == 0
    expected = overlap_entry({0.5: {"liver": 0.625}, 0.0: {"liver": 0.625}}, 2, 1)
    assert read_bundle("cv").card["overlap"] == expected["overlap"]
    assert load("cv", device="cpu", overlap="auto").overlap == 0


def test_the_ensemble_predicts_as_the_newest_run(here: Path, phantom: Path) -> None:
    scan = next((phantom / "imagesTr").iterdir())
    assert main(["predict", str(scan), "-o", "out.nii.gz", "--device", "cpu"]) == 0
    assert (here / "runs" / "latest").read_text() == "../cv\n"
    assert main(["predict", str(scan), "-m", "cv", "-o", "again.nii.gz", "--device", "cpu"]) == 0
    assert np.array_equal(read_labels("out.nii.gz").array, read_labels("again.nii.gz").array)
    assert main(["info", "cv"]) == 0


def test_the_table_is_that_of_the_evaluation(finished: Path) -> None:
    result = json.loads((finished / "cv" / "cross_validation.json").read_text())
    summary = json.loads((finished / "cv" / "evaluation" / "summary.json").read_text())
    # Two folds of one case each: the mean over folds is the mean over cases.
    for name, metrics in summary["labels"].items():
        assert result["labels"][name]["mean"] == pytest.approx(metrics["dice"])
    assert result["mean"]["mean"] == pytest.approx(summary["mean"]["dice"])
    page = (finished / "cv" / "report.html").read_text()
    assert "Cross-validation on phantom" in page
    assert all((finished / "cv" / f"fold_{fold}" / "progress.png").is_file() for fold in (0, 1))


def test_a_finished_study_is_printed_and_not_run_again(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (here / "cv" / "bundle" / "bundle.json").stat().st_mtime_ns
    assert main([*STUDY, "run_dir=cv"]) == 0
    printed = capsys.readouterr()
    assert "in cv is finished and is not run again" in printed.err
    assert "Dice of 2 cases, each predicted by the model that did not see it" in printed.out
    assert "Predict with: segkit predict SCAN -m cv\n" in printed.out
    assert (here / "cv" / "bundle" / "bundle.json").stat().st_mtime_ns == before


def test_an_unfinished_study_continues_with_the_unfinished_folds(
    here: Path, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinish(here / "cv", 1)
    before = (here / "cv" / "fold_0" / "bundle" / "bundle.json").stat().st_mtime_ns
    assert main([*STUDY, f"dataset={phantom}", "run_dir=cv", *SMALL, *QUICK]) == 0
    printed = capsys.readouterr().err
    assert "fold 0 (of 2 folds) is finished and is not run again\nfold 1 (of 2 folds)\n" in printed
    assert (here / "cv" / "fold_0" / "bundle" / "bundle.json").stat().st_mtime_ns == before
    assert read_bundle("cv").folds == ("0", "1")


def test_existing_label_maps_stay(here: Path) -> None:
    first = min((here / "cv" / "predictions").iterdir())
    before = first.stat().st_mtime_ns
    (here / "cv" / "finished.json").unlink()
    assert main([*STUDY, "run_dir=cv"]) == 0
    assert first.stat().st_mtime_ns == before


def test_a_study_does_not_continue_with_other_cases(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_phantom(tmp_path / "other", 3)
    unfinish(here / "cv", 1)
    assert main([*STUDY, f"dataset={other}", "run_dir=cv"]) == 3
    assert "folds.json: expected the cases with which this study began" in capsys.readouterr().err


def test_other_overrides_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*STUDY, "run_dir=cv", "seed=3"]) == 2
    assert "the training in cv was started with seed=0, not 3" in capsys.readouterr().err


@pytest.mark.slow
def test_the_ensemble_of_masked_folds_has_their_mask(phantom: Path, tmp_path: Path) -> None:
    words = [f"dataset={phantom}", *SMALL, *QUICK]
    dense = read_bundle(train(*words, f"run_dir={tmp_path / 'dense'}"))
    masks = prune_at_random(dense_masks(dense.networks()[0]), 0.5, seed=0)
    mask = write_mask(tmp_path / "mask.safetensors", masks, ["MRI"])
    start = [f"mask={tmp_path / 'mask.safetensors'}", f"run_dir={tmp_path / 'study'}"]
    study = cross_validate(*words, *start)
    assert find_mask(study).hash == mask.hash
    ensemble = read_bundle(study)
    for fold in ensemble.folds:
        state = ensemble.state(fold)
        assert not any(state[name][~kept].any() for name, kept in masks.items())


def test_all_folds_train_alike_and_leave_nothing_in_memory(
    phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("folds=2", *SMALL, "trainer.max_steps=1", "trainer.threads=1", "trainer.workers=1")
    folder = cross_validate(f"dataset={phantom}", *words)
    assert folder.parent == Path("runs/phantom")
    assert folder.name.startswith("cross_validation-")
    assert not multiprocessing.active_children()
    assert not [each for each in gc.get_objects() if type(each) is SegmentationModule]
    measured = json.loads((folder / "measured.json").read_text())
    for fold in (0, 1):
        trainer = read_config(folder / f"fold_{fold}" / "config.yaml").trainer
        assert (trainer.precision, trainer.layout) == (measured["precision"], measured["layout"])
    assert read_config(folder / "config.yaml").trainer.precision == "auto"
    assert read_config(folder / "config.yaml").folds == 2
    first, second = json.loads((folder / "cross_validation.json").read_text())["trainings"]
    assert (
        first
        == second
        == {"precision": measured["precision"], "layout": measured["layout"], "steps": 1}
    )


def test_ctrl_c_explains_how_to_continue(
    phantom: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*SMALL, *QUICK[1:], "trainer.max_steps=100000", "trainer.checkpoint_minutes=0.0001"]

    def stop() -> None:
        while not Path("cv/fold_0/bundle/bundle.json").is_file():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    assert main([*STUDY, f"dataset={phantom}", "run_dir=cv", *words]) == 130
    assert (
        "segkit: stopped in fold 0 (of 2 folds); the same command continues"
        in capsys.readouterr().err
    )


def test_a_study_that_cannot_start_leaves_no_files(phantom: Path, tmp_path: Path) -> None:
    shutil.copytree(phantom, tmp_path / "broken")
    for label in (tmp_path / "broken" / "labelsTr").iterdir():
        label.write_bytes(label.read_bytes()[:500])
    plan = write_plan(phantom, tmp_path)
    assert (
        main(
            [
                *STUDY,
                f"dataset={tmp_path / 'broken'}",
                f"run_dir={tmp_path / 'cv'}",
                f"plan={plan}",
                *QUICK,
            ]
        )
        == 3
    )
    assert not (tmp_path / "cv").exists()


def write_plan(dataset: Path, folder: Path) -> Path:
    assert main(["plan", str(dataset), *SMALL[:3], "-o", str(folder / "plan.json")]) == 0
    return folder / "plan.json"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["dataset={phantom}", "folds=3"],
            2,
            "folds=3 is not possible for phantom: it has 2 patients. Give folds=2",
        ),
        (["fold=1"], 2, "fold: a cross-validation trains all folds; leave it out"),
        (["rewind=run"], 2, "rewind: its weights have seen cases that a fold"),
        (["sede=1"], 2, "unknown override 'sede'"),
        (["seed=0,1"], 2, "'seed=0,1' names several values"),
        ([], 2, "no dataset is given"),
        (
            ["dataset={phantom}", "compute=slurm"],
            2,
            "compute=slurm: a cross-validation trains its folds in this process",
        ),
    ],
)
def test_overrides_that_a_study_cannot_follow_are_refused(
    words: list[str], code: int, message: str, phantom: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*STUDY, *(word.replace("{phantom}", str(phantom)) for word in words)]) == code
    assert message in capsys.readouterr().err


def test_a_study_that_runs_is_not_run_twice(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unfinish(here / "cv", 1)
    before = {path: path.read_bytes() for path in (here / "cv").rglob("*") if path.is_file()}
    with sole_use(here / "cv"):
        assert main([*STUDY, "run_dir=cv"]) == 2
        assert f"cv is in use by process {os.getpid()} on " in capsys.readouterr().err
    with sole_use(here / "cv/fold_1"):
        assert main([*STUDY, "run_dir=cv"]) == 2
        assert f"cv/fold_1 is in use by process {os.getpid()} on " in capsys.readouterr().err
    assert {
        path: path.read_bytes() for path in (here / "cv").rglob("*") if path.is_file()
    } == before
