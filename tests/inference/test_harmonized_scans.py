"""Prediction by a model with a harmonization: groups of scans, flags about them, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segkit.bundle.bundle import Bundle
from segkit.cli import main
from segkit.errors import InputError
from segkit.harmonization.fit import fit
from segkit.inference import Predictor
from segkit.inference.ensemble import check_ensemble
from segkit.preprocessing.content_values import channel_values
from segkit.volume import Volume

Make = Callable[..., Bundle]
SHAPE = (8, 8, 8)
RAMP = np.arange(512.0).reshape(SHAPE)


def content(method: str = "nyul", **options: Any) -> dict[str, Any]:
    """Return a harmonization of groups A and B."""
    scans = [RAMP, RAMP + 1, 9 * RAMP, 9 * RAMP + 1]
    values = [channel_values(Volume(scan[None], np.eye(4))) for scan in scans]
    model = fit(method, ["channel0"], values, list("AABB"), **options)
    loaded: dict[str, Any] = json.loads(json.dumps(model.to_dict()))
    return loaded


@pytest.fixture
def here(make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with the model ``model``, harmonized by landmarks, and the scans s/a and s/b."""
    make_bundle(harmonization=content())
    (tmp_path / "s").mkdir()
    for name, factor in (("a", 1), ("b", 0.01)):
        image = nibabel.Nifti1Image((RAMP * factor).astype(np.float32), np.eye(4))
        nibabel.save(image, tmp_path / "s" / f"{name}.nii.gz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(*words: str) -> int:
    return main(["predict", *words, "-m", "model", "--device", "cpu"])


def outcomes(folder: str) -> Any:
    return json.loads(Path(folder, "predictions.json").read_text())


def test_scans_in_other_units_have_the_same_labels(here: Path) -> None:
    assert predict("s", "-o", "out", "--group", "A", "--strict") == 0
    first, second = (
        np.asarray(nibabel.load(here / "out" / f"{name}.nii.gz").dataobj) for name in "ab"
    )
    # The landmarks are mapped to 1 ... 100, so the upper half is above 50.
    assert first.sum() / 7 == pytest.approx(256, abs=8)
    assert np.array_equal(first, second)
    assert {case["group"] for case in outcomes("out").values()} == {"A"}


def test_an_unknown_group_is_flagged_and_refused(
    here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Path("groups.csv").write_text("case,site\na,B\nb,C\n")
    table = ["--groups", "groups.csv", "--column", "site"]
    assert predict("s", "-o", "out", *table, "--stats") == 0
    note = "the group 'C' is not among those of the training scans (A, B)"
    assert note in caplog.text
    assert outcomes("out")["a"]["group"] == "B"
    assert "notes" not in outcomes("out")["a"]
    assert outcomes("out")["b"]["notes"][0].startswith(note)
    record = json.loads(Path("out/b.json").read_text())
    assert record["group"] == "C"
    assert note in record["scan_warnings"][0]
    assert predict("s", "-o", "strict", *table, "--strict") == 5
    assert [case["status"] for case in outcomes("strict").values()] == ["done", "failed"]
    assert predict("s/b.nii.gz", "-o", "one.nii.gz", "--strict") == 3
    assert not Path("one.nii.gz").exists()


def test_a_group_column_of_the_table_of_scans(here: Path) -> None:
    Path("scans.csv").write_text("case,image,group\na,s/a.nii.gz,B\nb,s/b.nii.gz,\n")
    assert predict("scans.csv", "-o", "out") == 0
    assert outcomes("out")["a"]["group"] == "B"
    assert "the group is not given" in outcomes("out")["b"]["notes"][0]


def test_a_table_without_a_scan_is_named(here: Path, caplog: pytest.LogCaptureFixture) -> None:
    Path("groups.csv").write_text("case,group\na,B\n")
    assert predict("s", "-o", "out", "--groups", "groups.csv") == 0
    assert "1 of 2 scans have no group in the table of --groups: b" in caplog.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--group", "A", "--groups", "g.csv"], "give --group NAME for all scans, or --groups"),
        (["--group", ""], "--group: the name of the group is empty"),
        (["--column", "site"], "--column names a column of the file of --groups"),
    ],
)
def test_flags_that_contradict(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert predict("s", "-o", "out", *words) == 2
    assert message in capsys.readouterr().err


def test_flags_that_change_nothing(
    make_bundle: Make, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bundle(folder="model", harmonization=None)
    assert predict("s", "-o", "out", "--strict") == 2
    assert "--strict changes nothing: this model has no harmonization" in capsys.readouterr().err
    without = content("zscore") | {"scans": {}}
    without["grouping"] = {"source": "none", "tags": [], "mixture": None}
    make_bundle(folder="model", harmonization=without)
    assert predict("s", "-o", "out", "--group", "A") == 2
    assert "a harmonization without groups" in capsys.readouterr().err


def test_a_damaged_harmonization_is_named(
    make_bundle: Make, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = content()
    damaged["channels"][0]["target"][3] = 1e9
    make_bundle(folder="model", harmonization=damaged)
    assert predict("s", "-o", "out") == 3
    assert "model: expected numbers that can be used, found channel0" in capsys.readouterr().err


def test_in_python(make_bundle: Make) -> None:
    bundle = make_bundle(harmonization=content())
    predictor = Predictor(bundle, device="cpu", strict=True)
    scan = Volume(RAMP[None], np.eye(4))
    assert predictor.predict(scan, group="A").array.any()
    with pytest.raises(InputError, match=r"a scan of a group.*a scan of which the group 'C' is"):
        predictor.predict(scan, group="C")


def test_groups_by_dicom_attributes(make_bundle: Make, dicom: Any, tmp_path: Path) -> None:
    tags = ("Manufacturer",)
    fitted = content(source="dicom", tags=tags)
    fitted["scans"] = {"acme": 4}
    predictor = Predictor(make_bundle(harmonization=fitted), device="cpu", strict=True)
    voxels = RAMP.astype(np.int16)
    known = dicom.series(tmp_path / "known", voxels, Manufacturer="ACME", Modality="MR")
    assert predictor.predict(known).array.any()
    other = dicom.series(tmp_path / "other", voxels, Manufacturer="Other", Modality="MR")
    with pytest.raises(InputError, match="the group 'other' is not among"):
        predictor.predict(other)


def test_models_of_different_fits_are_no_ensemble(make_bundle: Make) -> None:
    other = content()
    other["channels"][0]["target"][3] += 1
    bundles = [
        make_bundle(folder=str(number), harmonization=fitted)
        for number, fitted in enumerate((content(), other))
    ]
    with pytest.raises(
        InputError, match=r"the same harmonization in every.*found nyul \w+.*fold=all"
    ):
        check_ensemble(bundles)


def test_label_maps_that_stay_keep_notes_and_group(here: Path) -> None:
    Path("groups.csv").write_text("case,group\na,B\nb,C\n")
    assert predict("s", "-o", "out", "--groups", "groups.csv") == 0
    before = outcomes("out")
    assert predict("s", "-o", "out", "--group", "A", "--continue") == 0
    for case, entry in outcomes("out").items():
        assert entry["status"] == "skipped"
        assert entry["group"] == before[case]["group"]
        assert entry.get("notes") == before[case].get("notes")


def test_an_unknown_group_of_a_coarse_model_is_flagged_and_refused(
    make_bundle: Make, caplog: pytest.LogCaptureFixture
) -> None:
    fine, coarse = make_bundle(folder="f"), make_bundle(folder="c", harmonization=content())
    scan = Volume(RAMP[None], np.eye(4))
    Predictor(fine, device="cpu", locate=coarse).predict(scan, group="C")
    assert "scan, coarse model: the group 'C' is not among" in caplog.text
    with pytest.raises(InputError, match="coarse model: expected a scan of a group"):
        Predictor(fine, device="cpu", locate=coarse, strict=True).predict(scan, group="C")


def test_a_coarse_model_is_told_the_group(make_bundle: Make) -> None:
    fine, coarse = (make_bundle(folder=name, harmonization=content()) for name in ("f", "c"))
    predictor = Predictor(fine, device="cpu", locate=coarse)
    scan = Volume(RAMP[None], np.eye(4))
    alone = Predictor(fine, device="cpu").predict(scan, group="A")
    assert np.array_equal(predictor.predict(scan, group="A").array, alone.array)
