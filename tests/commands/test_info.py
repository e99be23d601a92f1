from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from segkit.cli import main

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"


def facts(capsys: pytest.CaptureFixture[str], what: object) -> dict[str, Any]:
    assert main(["info", str(what), "--json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("what", [FROZEN, FROZEN / "bundle.json"])
def test_model(capsys: pytest.CaptureFixture[str], what: Path) -> None:
    model = facts(capsys, what)
    assert (model["kind"], model["name"], model["plan"]) == ("model", "fixture", "dbca7245694a")
    assert model["labels"] == {"bright": 5, "dark": 300}
    assert (model["training"], model["metrics"]) == ({"steps": 1500}, {"dice": 1.0})
    assert model["overlap"]["auto"] == 0.5
    assert main(["info", str(what)]) == 0
    assert (
        "overlap      0.5 with predict --overlap auto: the training has not measured Dice at other"
        in capsys.readouterr().out
    )


def test_agreement_and_folds_do_not_read_as_quality(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = shutil.copytree(FROZEN, tmp_path / "model")
    card = json.loads((folder / "bundle.json").read_text())
    card["bfloat16"] = {"dice": {"bright": 0.99942}, "cases": 3}
    (folder / "bundle.json").write_text(json.dumps(card))
    assert main(["info", str(folder)]) == 0
    out = capsys.readouterr().out
    agreement = "agreement of label maps with those in float32, not quality: Dice bright 0.99942"
    assert f"bfloat16     {agreement}, over 3 cases\n" in out
    assert "folds        one network, of fold 0\n" in out
    assert "mirror_axes  " in out
    assert facts(capsys, folder)["folds"] == ["0"]


def test_plan_lists_every_norm(capsys: pytest.CaptureFixture[str]) -> None:
    first = facts(capsys, FROZEN / "plan.json")["norms"][0]
    assert first == {
        "name": "encoder.0.0",
        "channels": 4,
        "groups": 2,
        "channels_per_group": 2,
        "voxels": 256,
        "pool": 512,
        "equals": "group norm",
    }
    assert main(["info", str(FROZEN / "plan.json")]) == 0
    out = capsys.readouterr().out
    assert "channels     CT (normalization ct)\n" in out
    assert "spacing      1 x 1 x as it is" in out
    assert "encoder.0.0         4       2                   2     256   512  group norm" in out


def test_regions_and_the_ignore_value_of_a_plan(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plan = json.loads((FROZEN / "plan.json").read_text())
    plan |= {"regions": {"bright": [5, 300], "dark": [300]}, "ignore": 9}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    found = facts(capsys, tmp_path / "plan.json")
    assert (found["regions"], found["ignore"]) == ({"bright": [5, 300], "dark": [300]}, 9)
    assert "regions" not in facts(capsys, FROZEN / "plan.json")


def test_scan(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    affine = np.array([[0, 0, 2.0, 0], [-1, 0, 0, 0], [0, 3, 0, 0], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / "a.nii.gz")
    scan = facts(capsys, tmp_path / "a.nii.gz")
    assert (scan["kind"], scan["orientation"], scan["shape"]) == ("scan", "PSR", [2, 3, 4])
    assert (scan["spacing"], scan["lowest"], scan["highest"], scan["mean"]) == (
        [1, 3, 2],
        0,
        23,
        11.5,
    )
    assert main(["info", str(tmp_path / "a.nii.gz")]) == 0
    assert "dtype        int16" in capsys.readouterr().out


def test_picture(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    Image.new("RGB", (5, 4)).save(tmp_path / "p.png")
    picture = facts(capsys, tmp_path / "p.png")
    assert (picture["kind"], picture["channels"], picture["orientation"]) == ("picture", 3, "")


def test_an_ensemble_is_several_models(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(FROZEN, tmp_path / name)
    assert main(["info", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("name         fixture") == 2


def test_neither(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "nothing"]) == 3
    assert "nothing: expected a model" in capsys.readouterr().err
    assert main(["info", "nothing.json"]) == 3
    assert main(["info", "nothing.nii"]) == 3
    assert main(["info"]) == 2


def test_models_by_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["models"]) == 0
    assert capsys.readouterr().out.startswith("no models; 'segkit train' makes one")
    shutil.copytree(FROZEN, tmp_path / "models" / "squares")
    (tmp_path / "models" / "broken.segkit").write_bytes(b"")
    assert main(["models"]) == 0
    out, err = capsys.readouterr()
    assert "squares  2026-11-24T11:35:45+00:00" in out
    assert "bright, dark" in out
    assert "broken cannot be used" in err


def test_postprocessing_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = shutil.copytree(FROZEN, tmp_path / "model")
    card = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(
        json.dumps({**card, "postprocessing": {"bright": "largest"}})
    )
    assert main(["info", str(folder)]) == 0
    assert "postprocessing bright largest" in capsys.readouterr().out
