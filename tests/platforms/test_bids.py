"""The Boutiques descriptor against its rules for BIDS Apps, and its command on a dataset.

The rules are those of boutiques 0.5.33: schema/descriptor.schema.json and bids.py; those of the
derivatives are in the BIDS specification 1.11, "Derivatives: imaging data types".
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.cli import main
from segkit.errors import UsageError
from segkit.inference.files.channels import ModelChannels
from segkit.platforms.bids_dataset import Kind, kinds_of, scans
from tests.platforms.command_lines import start
from tests.platforms.conftest import FROZEN

Write = Callable[[Path], Path]
IMAGES = (
    "sub-01/anat/sub-01_CT",
    "sub-02/ses-a/anat/sub-02_ses-a_run-1_CT",
    "sub-02/ses-a/anat/sub-02_ses-a_run-2_CT",
)
"""Images of the dataset, without their suffix."""


@pytest.fixture
def dataset(here: Path, models: Path, write_scan: Write) -> Path:
    """A BIDS dataset of two participants, one of whom has a session of two runs."""
    folder = here / "data set"
    for name in IMAGES:
        write_scan(folder / f"{name}.nii.gz")
    write_scan(folder / "sub-01" / "anat" / "sub-01_T1w.nii.gz")
    description = {"Name": "squares", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    (folder / "dataset_description.json").write_text(json.dumps(description))
    return folder


def maps(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.nii.gz"))


def test_descriptor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["descriptor", "bids", "-m", str(FROZEN)]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["schema-version"] == "0.5"
    required = {"name", "description", "tool-version", "command-line", "inputs", "schema-version"}
    assert required <= content.keys()
    template = (
        r"mkdir -p \[OUTPUT_DIR\]; (.*) \[BIDS_DIR\] \[OUTPUT_DIR\]"
        r" \[ANALYSIS_LEVEL\] \[PARTICIPANT_LABEL\] \[SESSION_LABEL\]"
    )
    assert re.match(template, content["command-line"])
    inputs = {entry["id"]: entry for entry in content["inputs"]}
    assert all(re.fullmatch("[0-9_a-zA-Z]+", name) for name in inputs)
    assert all(entry["value-key"] in content["command-line"] for entry in inputs.values())
    outputs = [entry for entry in inputs.values() if entry["value-key"] == "[OUTPUT_DIR]"]
    assert {entry["type"] for entry in outputs} == {"File", "String"}
    assert inputs["analysis_level"]["value-choices"] == ["participant"]
    (output,) = content["output-files"]
    assert output["path-template"] == "[OUTPUT_DIR]"
    assert set(content["groups"][0]["members"]) <= set(inputs)


def test_dataset(
    dataset: Path, here: Path, check_labels: Callable[[Path, Path], None], capsys: Any
) -> None:
    """Boutiques puts values where the keys are; the derivatives mirror the dataset."""
    assert main(["descriptor", "bids"]) == 0
    line = json.loads(capsys.readouterr().out)["command-line"].partition("; ")[2]
    values = {"BIDS_DIR": "'data set'", "OUTPUT_DIR": "out", "ANALYSIS_LEVEL": "participant"}
    for key, value in values.items():
        line = line.replace(f"[{key}]", value)
    line = line.replace("[PARTICIPANT_LABEL]", "--participant_label 01 02")
    assert start(re.sub(r"\[[A-Z_]+\]", "", line)) == 0
    stems = [name.removesuffix("_CT") + "_seg-squares_dseg" for name in IMAGES]
    assert maps(here / "out") == [f"{stem}.nii.gz" for stem in stems]
    for stem, name in zip(stems, IMAGES, strict=True):
        check_labels(here / "out" / f"{stem}.nii.gz", dataset / f"{name}.nii.gz")
        table = (here / "out" / f"{stem}.tsv").read_text()
        assert table == "index\tname\n5\tbright\n300\tdark\n"
        sidecar = json.loads((here / "out" / f"{stem}.json").read_text())
        assert sidecar["Sources"] == [f"bids:raw:{name}.nii.gz"]
        assert (sidecar["Manual"], sidecar["SpatialReference"]) == (False, "orig")
    description = json.loads((here / "out" / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative"
    assert description["GeneratedBy"][0]["Name"] == "segkit"
    assert description["DatasetLinks"]["raw"] == dataset.as_uri()


def test_as_the_entry_point_of_an_image(dataset: Path, here: Path, capsys: Any) -> None:
    """The image is started as ``docker run IMAGE BIDS_DIR OUTPUT_DIR participant``."""
    out = dataset / "derivatives" / "segkit"
    words = ["data set", str(out), "participant", "--participant-label", "sub-02"]
    assert main([*words, "--session-label", "a"]) == 0
    assert len(maps(out)) == 2
    assert main(words) == 2
    assert "exists already; --overwrite replaces it" in capsys.readouterr().err
    assert main([*words, "--continue"]) == 0
    # Its own derivatives are no images of the dataset.
    assert main(["data set", str(out), "participant", "--continue"]) == 0
    assert len(maps(out)) == 3


def test_two_models_in_one_folder(dataset: Path, here: Path, models: Path) -> None:
    """The description names the models of all label maps that are there."""
    other = read_bundle(FROZEN)
    write_bundle(models / "other", other.plan, {"name": "other"}, {"0": other.state("0")})
    for name in "squares", "other", "squares":
        assert main(["data set", "out", "participant", "-m", name, "--continue"]) == 0
    description = json.loads((here / "out" / "dataset_description.json").read_text())
    used = [entry["Description"].split()[1] for entry in description["GeneratedBy"]]
    assert sorted(used) == ["fixture", "other"]


def test_names_of_labels_are_one_field_each(dataset: Path, here: Path, models: Path) -> None:
    other = read_bundle(FROZEN)
    plan = dataclasses.replace(other.plan, labels={"linke Hälfte": 5, "a\tb\nc": 300})
    write_bundle(models / "odd", plan, {"name": "odd"}, {"0": other.state("0")})
    assert main(["data set", "out", "participant", "-m", "odd", "--participant-label", "01"]) == 0
    table = (here / "out" / "sub-01" / "anat" / "sub-01_seg-odd_dseg.tsv").read_text("utf-8")
    assert table == "index\tname\n5\tlinke Hälfte\n300\ta\\u0009b\\u000ac\n"


def test_one_of_several_fails(dataset: Path, here: Path, capsys: Any) -> None:
    """What is done is described, although the exit code says that something failed."""
    (dataset / f"{IMAGES[1]}.nii.gz").write_bytes(b"no image")
    assert main(["data set", "out", "participant"]) == 5
    assert "1 of 3 scans failed; the messages above say why" in capsys.readouterr().err
    assert len(list((here / "out").rglob("*_dseg.tsv"))) == 2
    assert (here / "out" / "dataset_description.json").is_file()


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["data set", "out", "group"], 2, "invalid choice: 'group' (choose from"),
        (["data set", "data set", "participant"], 2, "must be another folder than the dataset"),
        (["data set", "foreign", "participant"], 2, "is not of segkit; choose another output"),
        (["foreign/empty", "out", "participant"], 3, "expected a BIDS dataset, with dataset_desc"),
        (["run-as", "bids", "no", "out", "participant"], 3, "found no such folder"),
        (
            ["data set", "out", "participant", "--participant-label", "09"],
            3,
            "expected the folder sub-09, found sub-01, sub-02",
        ),
        (
            ["data set", "out", "participant", "--suffix", "CT=FLAIR"],
            3,
            "expected images anat/*_FLAIR.nii.gz, found none",
        ),
        (["data set", "out", "participant", "--suffix", "CT"], 2, "write CHANNEL=SUFFIX"),
        (
            ["data set", "out", "participant", "--session-label", "a", "b"],
            3,
            "expected the folder ses-b of a participant, found ses-a",
        ),
        (["/not/mounted", "/out", "participant"], 3, "/not/mounted: expected a BIDS dataset"),
        (
            ["data set", "out", "participant", "--suffix", "MR=T1w"],
            2,
            "--suffix MR: the model has no channel MR; it has: CT",
        ),
    ],
)
def test_refused(
    words: list[str], code: int, message: str, dataset: Path, here: Path, capsys: Any
) -> None:
    (here / "foreign" / "empty").mkdir(parents=True)
    shutil.copy(dataset / "dataset_description.json", here / "foreign")
    assert main(words) == code
    assert message in capsys.readouterr().err
    assert not (here / "out").exists()


def test_a_word_that_is_no_folder_is_no_bids_app(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian", "out", "participant"]) == 2
    assert "unknown verb 'trian'. Did you mean train?" in capsys.readouterr().err


def test_channels(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Images whose names differ in the channel only are one scan, T1 with contrast apart."""
    channels = ModelChannels(("T1", "T1c", "FLAIR"))
    kinds = kinds_of(channels, {"T1c": "ce-gd_T1w"})
    assert [kind.suffix for kind in kinds] == ["T1w", "T1w", "FLAIR"]
    anat = here / "sub-1" / "anat"
    anat.mkdir(parents=True)
    (here / "dataset_description.json").write_text("{}")
    for name in "run-1_T1w", "run-1_ce-gd_T1w", "run-1_FLAIR", "run-2_T1w", "run-1_T2w":
        (anat / f"sub-1_{name}.nii.gz").touch()
    whole, part = sorted(scans(here, channels, kinds), key=lambda scan: scan.id)
    assert (whole.id, part.id) == ("sub-1_run-1", "sub-1_run-2")
    assert [path.name.removeprefix("sub-1_run-1_") for path in whole.images] == [
        "T1w.nii.gz",
        "ce-gd_T1w.nii.gz",
        "FLAIR.nii.gz",
    ]
    assert "found none of T1c, FLAIR" in str(part.problem)
    (anat / "sub-1_run-1_FLAIR.nii").touch()
    (here / "sub-2" / "anat").mkdir(parents=True)
    whole = next(scan for scan in scans(here, channels, kinds) if scan.id == "sub-1_run-1")
    assert "found sub-1_run-1_FLAIR.nii and sub-1_run-1_FLAIR.nii.gz" in str(whole.problem)
    assert "left out, without images anat/*_FLAIR or T1w.nii.gz: sub-2" in caplog.text
    optional = ModelChannels(channels.names, (0.0, 0.0, 0.0))
    scan = next(scan for scan in scans(here, optional, kinds) if scan.id == "sub-1_run-2")
    assert scan.problem is None
    assert [channel.name for channel in scan.missing] == ["T1c", "FLAIR"]


def test_one_image_of_each_channel_needs_no_equal_entities(here: Path) -> None:
    channels = ModelChannels(("T1", "FLAIR"))
    anat = here / "sub-1" / "anat"
    anat.mkdir(parents=True)
    (here / "dataset_description.json").write_text("{}")
    for name in "acq-mprage_run-1_T1w", "acq-space_run-1_FLAIR":
        (anat / f"sub-1_{name}.nii.gz").touch()
    (scan,) = scans(here, channels, kinds_of(channels, {}))
    assert scan.id == "sub-1_run-1"
    assert scan.problem is None
    (anat / "sub-1_acq-space_run-2_FLAIR.nii.gz").touch()
    assert len(scans(here, channels, kinds_of(channels, {}))) == 3


def test_unknown_channel() -> None:
    with pytest.raises(UsageError, match=r"which images are the channel b0.*--suffix b0=SUFFIX"):
        kinds_of(ModelChannels(("b0",)), {})
    assert Kind.of("ce-gd_T1w") == Kind("T1w", frozenset({"ce-gd"}))
