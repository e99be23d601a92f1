"""The model card: what it says, what it does not know, and what it must not tell."""

from __future__ import annotations

import dataclasses
import json
import logging
import shlex
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.bundle.card import ModelCard, open_card
from segkit.bundle.card_content import card_content
from segkit.bundle.card_text import card_page, card_text
from segkit.bundle.notes import LENGTH, read_notes
from segkit.bundle.pack import pack_bundle
from segkit.bundle.settings_line import settings_line
from segkit.config.compose import load
from segkit.errors import InputError
from segkit.plans.ranges import ChannelRange, DataRanges, LabelRange

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"
RANGES = DataRanges(
    cases=50,
    spacing=((1.0, 1.0), (1.0, 1.0), (2.0, 3.0)),
    size=((300.0, 400.0), (300.0, 400.0), (200.0, 500.0)),
    channels=(ChannelRange((-1024.0, -1000.0), (1500.0, 3071.0)),),
    labels={"bright": LabelRange(48, (900_000.0, 2_100_000.0), (1.0, 1.0))},
)
TRAINING: dict[str, Any] = {
    "steps": 800,
    "minutes": 9.0,
    "fold": "0",
    "cases": 40,
    "validation_cases": 10,
    "patients": 20,
    "validation_patients": None,
    "machine": {"device": "cpu", "processor": "EPYC", "threads": 1, "cores": 2, "system": "Linux"},
    "versions": {"python": "3.11.7", "torch": "2.13.0"},
}
METRICS: dict[str, Any] = {
    "dice": {"bright": 0.9, "dark": 0.6},
    "mean_dice": 0.75,
    "cases": 10,
    "step": 800,
    "intervals": {"bright": {"cases": 10, "low": 0.88, "high": 0.92}, "dark": {"cases": 1}},
}


def model(**card: Any) -> ModelCard:
    """The frozen model with other facts in its card, and ranges of its data."""
    frozen = open_card(FROZEN)
    plan = dataclasses.replace(frozen.plan, training=RANGES)
    return ModelCard(frozen.path, plan, {**frozen.card, **card})


def text_of(config: dict[str, Any] | None = None, **card: Any) -> str:
    return card_text(card_content(model(**card), config))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FROZEN, tmp_path / "model"))


def rewrite(folder: Path, **card: Any) -> None:
    bundle = read_bundle(folder)
    write_bundle(folder, bundle.plan, {"name": "m", **card}, {"0": bundle.state("0")})


def test_what_data_and_labels_it_was_trained_on() -> None:
    dataset = {"name": "CTs", "license": "CC0", "groups": {"A": 30, "B": 9}, "unnamed_groups": 1}
    lines = text_of(dataset=dataset, training=TRAINING).splitlines()
    for line in (
        "- CTs, trained on 40 cases of 20 patients",
        "- Validated on 10 cases (patients: not recorded)",
        "- License of the data: CC0",
        "- Sites or scanners, with training cases: A (30), B (9), "
        "not named, of a single patient each: 1",
        "- Voxel size over 50 labeled cases: X 1, Y 1, Z 2 to 3 mm",
        "- Field of view: X 300 to 400, Y 300 to 400, Z 200 to 500 mm",
        "- Channel CT: lowest value of a scan -1,024 to -1,000, highest 1,500 to 3,071",
        "- bright (value 5): in 48 of 50 cases, 900 to 2,100 ml",
        "- dark (value 300): in no case",
    ):
        assert line in lines


def test_results_have_intervals_and_numbers_of_cases() -> None:
    found = text_of(training=TRAINING, metrics=METRICS)
    assert "(10 cases; fold: 0), on its grid\n" in found
    assert "- bright: Dice 0.900 (95 % interval 0.880 to 0.920, 10 cases)" in found
    assert "- dark: Dice 0.600 (no interval, 1 case)" in found
    earlier = text_of(training=TRAINING, metrics={**METRICS, "step": 600})
    assert "on its grid, after step 600 of 800\n" in earlier


def test_the_accuracy_of_the_expected_dice_is_stated() -> None:
    accuracy = {"cases": 20, "as_they_are": {"error": 0.03, "error_of_mean": 0.04}}
    found = text_of(metrics=METRICS, expected_dice={"accuracy": accuracy})
    assert "off by 0.030 on average over 20 cases left out of the fit" in found
    assert "Expected Dice" not in text_of(metrics=METRICS)


def test_a_model_that_started_from_another_one_claims_no_more_than_is_known() -> None:
    origin = {"model": "liver", "hash": "abc", "fold": "0", "data": "CTs", "new_labels": []}
    found = text_of(training={**TRAINING, "weights": origin}, metrics=METRICS)
    assert "grid; whether they trained the model that it started from: not recorded\n" in found
    assert "- Started from the model liver; hash abc; fold 0; data CTs; new labels none" in found
    assert "started from" not in text_of(training=TRAINING, metrics=METRICS)


def test_intervals_that_a_stranger_wrote_are_no_traceback() -> None:
    strange = {"bright": {"dice": "x", "cases": "<b>", "low": "n", "high": [], "patients": {}}}
    found = text_of(metrics={**METRICS, "intervals": strange})
    assert "- bright: Dice 0.900 (interval not recorded)" in found


def test_out_of_fold_results_say_so() -> None:
    training = {"study": "cross_validation", "cases": 50, "steps": [800, 790]}
    config = {"dataset": {"path": "scans"}}
    found = text_of(config, training=training, metrics=METRICS)
    assert "- Measured on 10 cases, each by the fold that did not see it, on the grid" in found
    assert "- 800, 790 steps of the folds" in found
    assert "`segkit study cross_validation scans`" in found


def test_what_it_must_not_be_used_for_follows_from_the_facts() -> None:
    content = card_content(model(training=TRAINING, metrics=METRICS), None)
    limits = content["not_for"]
    assert limits[0].startswith("Diagnosis or treatment")
    assert "than those of the channel CT." in limits[1]
    assert "X 1, Y 1, Z 2 to 3 mm" in limits[2]
    assert "dark: no case of the dataset has it." in limits
    assert "dark (0.600): poor, as the mean Dice is below 0.7." in limits
    assert not any("bright" in limit for limit in limits)


@pytest.mark.parametrize(
    ("interval", "doubt"),
    [
        ({"cases": 4, "low": 0.8, "high": 1}, "as the Dice was measured on 4 cases"),
        ({"cases": 9, "low": 0.65, "high": 1}, "as the interval of the Dice reaches below 0.7"),
    ],
)
def test_a_doubtful_label_is_named(interval: dict[str, Any], doubt: str) -> None:
    metrics = {"dice": {"bright": 0.9, "dark": 0.9}, "intervals": {"bright": interval}}
    assert f"- bright (0.900): without a test, {doubt}." in text_of(metrics=metrics)
    assert "dark (0.900)" not in text_of(metrics=metrics)


def test_a_label_without_result_is_named() -> None:
    assert "- bright, without a test: no Dice is recorded." in text_of(metrics={})


def test_a_card_of_an_older_version_says_what_is_not_recorded() -> None:
    frozen = open_card(FROZEN)
    content = card_content(frozen, frozen.config)
    found = card_text(content)
    assert content["data"]["cases"] is content["data"]["spacing"] is None
    assert "trained on an unknown number of cases (not recorded)" in found
    assert "- Voxel size, field of view and intensities: not recorded" in found
    assert "- Mean over the labels: Dice 1.000" in found
    assert "- Machine: not recorded" in found


@pytest.mark.parametrize("nonsense", [[], "x", 3, None, {"dice": [], "intervals": 1, "groups": 2}])
def test_facts_of_another_type_count_as_not_recorded(nonsense: object) -> None:
    found = text_of(dataset=nonsense, training=nonsense, metrics=nonsense)
    assert "measure it with 'segkit evaluate'" in found


def test_the_card_is_a_file_of_the_bundle(folder: Path) -> None:
    rewrite(folder, training=TRAINING, metrics=METRICS)
    page = (folder / "card.md").read_text()
    assert page.startswith("# Model card: m\n")
    opened = open_card(folder)
    assert page == card_page(opened, card_content(opened, None))


def test_notes_survive_and_are_shared(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.md").write_text("Trained for the study X.")
    rewrite(folder)
    assert (folder / "notes.md").read_text() == "Trained for the study X."
    assert "## Notes\n\nTrained for the study X.\n" in (folder / "card.md").read_text()
    packed = pack_bundle(folder, tmp_path / "m.segkit")
    assert read_notes(packed) == "Trained for the study X."
    assert "Trained for the study X." in zipfile.ZipFile(packed).read("card.md").decode()
    assert read_bundle(packed).hash == read_bundle(folder).hash


def test_notes_of_an_unpacked_model_can_be_changed_and_removed(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "notes.md").write_text("old")
    zipfile.ZipFile(pack_bundle(folder, tmp_path / "m.segkit")).extractall(tmp_path / "unpacked")
    notes = tmp_path / "unpacked" / "notes.md"
    notes.write_text("new")
    assert read_notes(pack_bundle(notes.parent, tmp_path / "new.segkit")) == "new"
    notes.unlink()
    assert read_notes(pack_bundle(notes.parent, tmp_path / "none.segkit")) == ""
    assert read_bundle(tmp_path / "none.segkit").networks()


def test_an_older_bundle_gets_a_card_when_it_is_packed(folder: Path, tmp_path: Path) -> None:
    assert not (folder / "card.md").exists()
    packed = pack_bundle(folder, tmp_path / "m.segkit")
    assert b"# Model card: fixture" in zipfile.ZipFile(packed).read("card.md")


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"\xff", "expected text in UTF-8"), (b"a" * (LENGTH + 1), "expected at most 100.0 KB")],
)
def test_unreadable_notes_are_refused_but_stop_no_training(
    folder: Path, content: bytes, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "notes.md").write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read_notes(folder)
    with caplog.at_level(logging.WARNING):
        rewrite(folder)
    assert "card.md is written without the notes" in caplog.text


def test_a_bundle_does_not_tell_private_folders(folder: Path) -> None:
    bundle = read_bundle(folder)
    config = {
        "dataset": {"path": "/home/anna/ct", "channels": ["T1/T2"], "groups": r"C:\anna\g.csv"},
        "weights": "../anna/model",
        "run_dir": "runs/one",
    }
    write_bundle(folder, bundle.plan, {"name": "m"}, {"0": bundle.state("0")}, config)
    for name in ("bundle.json", "plan.json", "config.json", "card.md"):
        assert "anna" not in (folder / name).read_text()
    assert json.loads((folder / "config.json").read_text())["run_dir"] == "runs/one"


def test_the_command_on_the_card_composes_the_same_settings(tmp_path: Path) -> None:
    words = ["dataset=/data/ct", "dataset.labels={spleen:1,liver:5}", "preset=nnunet"]
    words += ["network.features=[8,16]", "trainer.max_steps=7", "augment.mirror=[0]", "fold=1"]
    given = load([*words, "dataset.channels=[T1 MR,T2]", "compute=cpu"])
    command = settings_line(dataclasses.asdict(given))
    assert command.startswith("segkit train ct preset=nnunet ")
    assert "'dataset.channels=[T1 MR,T2]'" in command
    again = load(["dataset=ct", *shlex.split(command)[3:]])
    again.dataset.path = given.dataset.path
    assert again == given


def test_the_model_that_it_started_from_is_named() -> None:
    weights = {"model": "old", "labels": ["bright"], "new_labels": ["dark"]}
    found = text_of(training={**TRAINING, "weights": weights})
    assert "- Started from the model old; labels bright; new labels dark" in found
