"""segkit predict --stats and --calibrated with a model that has expected Dice and temperatures."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segkit.cli import main
from segkit.quality.calibration import calibration_entry
from segkit.quality.entry import expected_dice_entry
from segkit.quality.expected_dice import ExpectedDice, Typical

FROZEN = Path(__file__).parents[1] / "data" / "bundle_v1"
ACCURACY = {
    "cases": 4,
    "as_they_are": {"error": 0.02, "error_of_mean": 0.03},
    "with_degraded": {"error": 0.1},
}


def save(path: str, height: int = 80) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    array = np.random.default_rng(0).integers(-30, 30, (20, 18, 3)).astype(np.int16)
    array[2:9, 2:12] += height
    array[11:18, 2:12] -= height
    nibabel.save(nibabel.Nifti1Image(array, np.diag([-1.0, 2, 3, 1])), path)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with scans, and a model with and without the entries in bundle.json."""
    monkeypatch.chdir(tmp_path)
    save("scans/a.nii")
    save("scans/b.nii", height=20)
    for name in ("older", "model"):
        shutil.copytree(FROZEN, name)
    path = Path("model/bundle.json")
    card = json.loads(path.read_text())
    labels = list(json.loads(Path("model/plan.json").read_text())["labels"])
    usual = {name: Typical(0.9, (3.0, 0.0, 0.0, 0.0)) for name in labels}
    curve = ((-9.0, 0.0), (0.0, 1.0))
    line = ExpectedDice((1.0, 1.0, 0.0, 0.0), curve, usual, ((0.0, 0.1),))
    card |= expected_dice_entry(line, ACCURACY)
    card |= calibration_entry(4, dict.fromkeys(labels, 2.0), {}, {})
    path.write_text(json.dumps(card))
    return tmp_path


def record(path: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(path).read_text())
    return content


def test_stats_have_the_expected_dice(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "scans", "-o", "out", "--stats", "-m", "model"]) == 0
    found = record("out/a.json")
    dice = [label["expected_dice"] for label in found["labels"].values()]
    whole = found["expected_dice"]
    assert whole["mean"] == pytest.approx(
        np.mean([one for one in dice if one is not None]), abs=1e-4
    )
    assert (whole["error"], whole["usual"], whole["cases"]) == (0.1, 0.9, 4)
    assert whole["note"] == "fitted to 4 validation cases only; the errors are widened"
    rows = list(csv.DictReader(Path("out/stats.csv").read_text().splitlines()))
    assert float(rows[0]["expected_dice"]) == dice[0]
    page = (here / "out" / "look_first.html").read_text()
    assert "fitted to 4 validation cases and degraded copies" in page
    log = capsys.readouterr().err
    assert "look_first.html" in log
    assert "to fit it" not in log


def test_a_scan_without_contrast_has_no_expected_dice(here: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.full((20, 18, 3), 7, np.int16), np.eye(4)), "scans/c.nii")
    assert main(["predict", "scans", "-o", "out", "--stats", "-m", "model"]) == 0
    found = record("out/c.json")
    assert {label["expected_dice"] for label in found["labels"].values()} == {None}
    reason = "no estimate: the scan has no contrast"
    assert (found["expected_dice"]["mean"], found["expected_dice"]["note"]) == (None, reason)
    page = Path("out/look_first.html").read_text()
    assert f"<b>c</b> {reason}<br>" in page
    assert f'<td data-title="expected Dice">{reason}</td>' in page
    assert record("out/a.json")["expected_dice"]["mean"] is not None


def test_an_older_model_writes_what_it_wrote(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "scans", "-o", "out", "--stats", "-m", "older"]) == 0
    hint = "the model has no expected Dice; to fit it: segkit calibrate older"
    assert hint in capsys.readouterr().err
    found = record("out/a.json")
    assert "expected_dice" not in found
    assert "expected_dice" not in next(iter(found["labels"].values()))
    assert "This model cannot say which Dice to expect" in Path("out/look_first.html").read_text()


def test_calibrated_probabilities(here: Path) -> None:
    words = ["predict", "scans/a.nii", "--probabilities", "--stats", "-m", "model"]
    assert main([*words, "-o", "plain.nii.gz"]) == 0
    assert main([*words, "-o", "calibrated.nii.gz", "--calibrated"]) == 0
    maps = [np.asarray(nibabel.load(f"{name}.nii.gz").dataobj) for name in ("plain", "calibrated")]
    np.testing.assert_array_equal(*maps)
    surest = [
        nibabel.load(f"{name}_probabilities.nii.gz").get_fdata().max(axis=-1).mean()
        for name in ("plain", "calibrated")
    ]
    assert surest[1] < surest[0] - 0.01
    assert set(record("calibrated_probabilities.json")["temperatures"]) == {2.0}
    assert set(record("calibrated.nii.gz.json")["temperatures"]) == {2.0}
    assert "temperatures" not in record("plain.nii.gz.json")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-m", "model"], "--calibrated changes nothing without --probabilities or --uncertainty"),
        (["-m", "older", "--uncertainty"], "--calibrated: this model has no temperature, because"),
    ],
)
def test_calibrated_needs_something_to_calibrate(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["predict", "scans/a.nii", "-o", "o.nii.gz", "--calibrated", *words]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (here / "o.nii.gz").exists()


def test_info_shows_both(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "model"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "mean absolute error was 0.020 for scans as they are" in text
    assert "temperature 2" in text
    assert main(["info", str(here / "model"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["expected_dice"] == ACCURACY
    assert facts["calibration"]["cases"] == 4
