"""segkit predict --locate: files, records and messages."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from segkit.bundle.bundle import read_bundle, write_bundle
from segkit.cli import main

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"
MODEL = ["-m", str(FROZEN)]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def coarse(here: Path) -> Path:
    """Return the frozen network with voxels of twice the size."""
    bundle = read_bundle(FROZEN)
    plan = dataclasses.replace(bundle.plan, spacing=(2.0, 2.0, None))
    write_bundle(here / "coarse", plan, {"name": "coarse"}, {"0": bundle.state("0")})
    return here / "coarse"


def save(name: str, *, bright: int = 100) -> None:
    """Write a bright square of 8 x 8 voxels on two slices, at the first of 60 lines."""
    array = np.zeros((60, 20, 2), np.int16)
    array[2:10, 2:10] = bright
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, 1.0, 5.0, 1.0])), name)


def voxels(name: str) -> np.ndarray:
    return np.asarray(nibabel.load(name).dataobj)


def test_the_record_names_the_coarse_model_and_the_box(
    here: Path, coarse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("a.nii")
    assert (
        main(["predict", "a.nii", "-o", "o.nii.gz", "--stats", "--locate", str(coarse), *MODEL])
        == 0
    )
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("model fixture of ")
    assert lines[1].startswith("coarse model coarse of ")
    record = json.loads((here / "o.nii.gz.json").read_text())
    known = read_bundle(coarse)
    model = {"name": "coarse", "created": known.created, "hash": known.hash, "path": str(coarse)}
    # The labeled lines 2 to 9 with 10 mm around, in the file's own order.
    assert record["locate"] == {"model": [model], "box": {"first": [0, 0, 0], "last": [19, 19, 1]}}
    assert set(record["seconds"]) == {"read", "locate", "prepare", "network", "restore", "write"}
    assert main(["predict", "a.nii", "-o", "whole.nii.gz", "--stats", *MODEL]) == 0
    assert json.loads((here / "whole.nii.gz.json").read_text())["locate"] is None
    assert np.array_equal(voxels("whole.nii.gz"), voxels("o.nii.gz"))


def test_of_many_scans_one_without_labels_is_predicted_as_a_whole(
    here: Path, coarse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("in/a.nii")
    save("in/b.nii", bright=0)
    assert main(["predict", "in", "-o", "out", "--stats", "--locate", str(coarse), *MODEL]) == 0
    said = (
        f"{Path('in/b.nii')}: the coarse model finds no label at all, so all of the scan is "
        f"predicted"
    )
    assert said in capsys.readouterr().err
    assert json.loads((here / "out" / "b.json").read_text())["locate"]["box"] is None


def test_what_is_odd_about_a_scan_is_said_once(
    coarse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save("a.nii", bright=0)
    assert main(["predict", "a.nii", "-o", "o.nii.gz", "--locate", str(coarse), *MODEL]) == 0
    assert capsys.readouterr().err.count("the scan has one constant value") == 1
    array = np.full((20, 20, 2), 255, np.int16)
    array[:2] = 0
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, 1.0, 5.0, 1.0])), "b.nii")
    assert main(["predict", "b.nii", "-o", "p.nii.gz", "--locate", str(coarse), *MODEL]) == 0
    assert capsys.readouterr().err.count("as in a picture of 8 bits") == 1


def test_a_coarse_model_of_other_labels(
    here: Path, coarse: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = read_bundle(coarse)
    plan = dataclasses.replace(bundle.plan, labels={"bright": 5, "liver": 300})
    write_bundle(here / "other", plan, {"name": "other"}, {"0": bundle.state("0")})
    save("a.nii")
    assert main(["predict", "a.nii", "-o", "o.nii.gz", "--locate", "other", *MODEL]) == 3
    expected = (
        "other: expected a coarse model with the labels of the other one (bright, dark), found "
        "bright, liver."
    )
    assert expected in capsys.readouterr().err
    assert not (here / "o.nii.gz").exists()


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("none", 3, "none: expected a model: a bundle or run folder"),
        ("", 2, "--locate: the name of the coarse model is empty"),
    ],
)
def test_no_coarse_model(
    capsys: pytest.CaptureFixture[str], name: str, code: int, message: str
) -> None:
    save("a.nii")
    assert main(["predict", "a.nii", "--locate", name, *MODEL]) == code
    assert message in capsys.readouterr().err
