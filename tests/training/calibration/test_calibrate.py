"""Fit of the expected Dice of a finished model: on which cases, and what is written."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.bundle.pack import pack_bundle, update_card
from segkit.cli import main
from segkit.dataset.layouts import read_dataset
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.fingerprint import measure
from segkit.fingerprint.identical_images import with_voxels_hashes
from segkit.quality.example_file import read_examples
from tests.small_training import QUICK
from tests.training.conftest import write_balls


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_balls(tmp_path_factory.mktemp("data") / "balls", cases=8)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that trained on four cases and held out four."""
    run = tmp_path_factory.mktemp("runs") / "run"
    words = [*QUICK[1:], "network.features=[8,16]", "plan.patch=[16,16,16]", "trainer.max_steps=40"]
    words += ["trainer.validations=0", "folds=2", f"run_dir={run}"]
    assert main(["train", f"dataset={data}", *words]) == 0
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "run"))


def card(run: Path) -> dict[str, Any]:
    return read_bundle(run).card


def without_record(run: Path) -> None:
    """Make the bundle one of an older version."""
    path = run / "bundle" / "bundle.json"
    content = json.loads(path.read_text())
    del content["trained_on"]
    path.write_text(json.dumps(content))


def renamed(data: Path, folder: Path, ids: list[str]) -> Path:
    """Write a dataset with copies of some cases under other names."""
    for number, case in enumerate(ids):
        for kind in ("images", "labels"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            shutil.copy(data / f"{kind}Tr" / f"{case}.nii.gz", folder / kind / f"x{number}.nii.gz")
    return folder


def measured(data: Path) -> tuple[CaseFacts, ...]:
    return measure(read_dataset(data)).cases


NAMES = ["dataset.channels=[MRI]", "dataset.labels={low:3,high:7}"]


def test_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = read_bundle(run)
    assert "expected_dice" not in before.card
    assert main(["calibrate", str(run)]) == 0
    after = read_bundle(run)
    assert after.card["expected_dice"]["accuracy"]["cases"] == 4
    assert after.card["calibrated_on"]["cases"] == 4
    assert after.hash == before.hash
    assert after.card["weights"] == before.card["weights"]
    held_out = set(json.loads((run / "split.json").read_text())["validation"])
    assert {one.case for one in read_examples(run)} == held_out
    assert "fitted to 4 validation cases" in capsys.readouterr().out
    page = (run / "bundle" / "card.md").read_bytes()
    assert after.card["files"]["card.md"]["sha256"] == hashlib.sha256(page).hexdigest()


def test_a_file_to_share(run: Path, data: Path, tmp_path: Path) -> None:
    """It has neither the run's split nor the path of the dataset."""
    (run / "bundle" / "notes.md").write_text("mine")
    file = pack_bundle(run, tmp_path / "m.segkit")
    assert main(["calibrate", str(file), str(data), "--cases", "3"]) == 0
    assert card(file)["calibrated_on"]["cases"] == 3
    assert read_bundle(file).hash == read_bundle(run).hash
    with zipfile.ZipFile(file) as archive:
        assert archive.read("notes.md") == b"mine"
    assert "expected_dice" not in card(run)


def test_cases_are_told_apart_by_their_voxels(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = json.loads((run / "split.json").read_text())
    before = card(run)
    seen = renamed(data, tmp_path / "seen", split["training"])
    assert main(["calibrate", str(run), f"dataset={seen}", *NAMES]) == 3
    error = capsys.readouterr().err
    assert "expected 3 labeled cases or more, of two patients, that the model was not" in error
    assert "found 0 of the 4 cases" in error
    assert card(run) == before
    both = renamed(data, tmp_path / "both", [*split["training"][:2], *split["validation"]])
    assert main(["calibrate", str(run), f"dataset={both}", *NAMES]) == 0
    assert {one.case for one in read_examples(run)} == {"x2", "x3", "x4", "x5"}


def test_a_model_without_a_record(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without_record(run)
    file = pack_bundle(run, tmp_path / "m.segkit")
    assert main(["calibrate", str(file), str(data)]) == 0  # the dataset as it was: by the fold
    assert card(file)["calibrated_on"]["cases"] == 4
    ids = [f"case_{number}" for number in range(8)]
    copy = renamed(data, tmp_path / "copy", ids)
    words = [f"dataset={copy}", *NAMES]
    file = pack_bundle(run, tmp_path / "n.segkit")
    assert main(["calibrate", str(file), *words]) == 3
    assert "expected a record of the scans that the model was trained on" in capsys.readouterr().err
    assert main(["calibrate", str(file), *words, "--unseen", "--cases", "5"]) == 0
    assert card(file)["calibrated_on"]["unseen"] == "as the user said"
    assert card(file)["calibrated_on"]["cases"] == 5
    other = Path(shutil.copytree(data, tmp_path / "other"))
    (other / "labelsTr" / "case_0.nii.gz").touch()
    assert main(["calibrate", str(run), f"dataset={other}"]) == 0  # by the ids of split.json
    assert "cases are told apart by their ids" in capsys.readouterr().err


def test_each_fold_measures_the_cases_that_it_held_out(
    run: Path, data: Path, tmp_path: Path
) -> None:
    model = read_bundle(run)
    (seen,) = model.card["trained_on"].values()
    dataset = read_dataset(data)
    hashes = {case.voxels_hash[:12] for case in with_voxels_hashes(dataset, measured(data)).cases}
    others = {"scans": sorted(hashes - set(seen["scans"])), "complete": True}
    entry = {"name": "cv", "trained_on": {"0": seen, "1": others}}
    states = {fold: model.state("0") for fold in "01"}
    both = write_bundle(tmp_path / "cv", model.plan, entry, states)
    assert main(["calibrate", str(both.path), str(data)]) == 0
    assert card(both.path)["expected_dice"]["accuracy"]["cases"] == 8
    assert card(both.path)["expected_dice"]["accuracy"]["groups"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.max_steps=3"], "a calibration trains nothing"),
        (["compute=ddp"], "a calibration runs in one process"),
        (["dataset=nowhere"], "there is no nowhere: give dataset=PATH"),
        (["--cases", "2"], "--cases 2: must be a whole number of at least 3"),
        (["--minutes", "0"], "--minutes 0: must be a number above 0"),
        (["--minutes", "five"], "--minutes five: must be a number above 0"),
    ],
)
def test_wrong_words(
    trained: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", str(trained), *words]) == 2
    assert message in capsys.readouterr().err


def test_where_is_the_dataset(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = pack_bundle(run, tmp_path / "m.segkit")
    assert main(["calibrate", str(file)]) == 2
    assert "a model alone does not say where its dataset is" in capsys.readouterr().err
    config = run / "config.yaml"
    config.write_text(re.sub(r"(?m)^  path: .*$", "  path: moved", config.read_text(), count=1))
    assert main(["calibrate", str(run)]) == 2
    assert "moved, the dataset of the training, is not there" in capsys.readouterr().err


def test_little_time(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One case is measured in any time, and one is too few."""
    before = card(run)
    assert main(["calibrate", str(run), "--minutes", "0.0001"]) == 3
    error = capsys.readouterr().err
    assert "measured 1 of 4 cases, as --minutes allows" in error
    assert "found 1 that were measured, with a label in 1 of them. Nothing was changed" in error
    assert card(run) == before
    assert not (run / "expected_dice.csv").exists()


def test_a_link_to_a_file(run: Path, tmp_path: Path) -> None:
    file = pack_bundle(run, tmp_path / "m.segkit")
    link = tmp_path / "latest.segkit"
    link.symlink_to(file.name)
    update_card(read_bundle(link), {"license": "CC0"})
    assert link.is_symlink()
    assert card(file)["license"] == "CC0"


def test_a_model_that_cannot_be_written(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said before anything is read or measured."""
    resource = pytest.importorskip("resource", reason="needs a limit on the size of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        assert main(["calibrate", str(run)]) == 3
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (
        "expected a model that can be written to, found file too large" in capsys.readouterr().err
    )


def test_one_of_several_models_fails(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was fitted to the others before, and written, is printed."""
    folder = tmp_path / "models"
    for name in "ab":
        shutil.copytree(run / "bundle", folder / name)
    content = json.loads((run / "bundle" / "bundle.json").read_text())
    content["trained_on"] = {"0": {"scans": [], "complete": True}}
    content["trained_on"]["0"]["scans"] = [case.voxels_hash[:12] for case in measured(data)]
    (folder / "b" / "bundle.json").write_text(json.dumps(content))
    assert main(["calibrate", str(folder), str(data), "--cases", "3"]) == 3
    found = capsys.readouterr()
    assert "fitted to 3 validation cases" in found.out
    assert "found 0 of the 8 cases" in found.err


def test_an_unfinished_training(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "finished.json").unlink()
    assert main(["calibrate", str(run)]) == 2
    assert "is unfinished: continue it with --resume" in capsys.readouterr().err


def test_fine_tuning_on_cases_that_the_model_has_seen(
    trained: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"dataset={data}", f"weights={trained}", *QUICK, "folds=2", "trainer.validations=0"]
    assert main(["train", *words, "fold=1", f"run_dir={tmp_path / 'other'}"]) == 0
    assert "4 of the 4 validation cases were trained on before" in capsys.readouterr().err
    assert len(card(tmp_path / "other")["trained_on"]["1"]["scans"]) == 8
    assert main(["calibrate", str(tmp_path / "other")]) == 3  # all eight have been trained on
    assert "found 0 of the 8 cases" in capsys.readouterr().err
