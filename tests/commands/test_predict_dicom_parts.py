"""segkit predict on mixed or incomplete DICOM series: exit codes and records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.cli import main
from segkit.io import read_volume

MODEL = ["-m", str(Path(__file__).parents[1] / "data" / "bundle_v1")]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def voxels() -> np.ndarray[Any, Any]:
    array = np.zeros((20, 20, 4), np.int16)
    array[2:10, 2:10] = 100
    return array


def two_echoes(dicom: Any, folder: Path, **elements: Any) -> None:
    """Write echo 1 on the lower two slices, echo 2 with the square elsewhere on the upper two."""
    for place in range(4):
        pixels = voxels()[..., place].T if place < 2 else voxels()[::-1, :, place].T
        own = {
            "EchoNumbers": 1 + place // 2,
            "ImagePositionPatient": [1, 2, 5 * place],
            "number": place + 1,
        }
        dicom.file(folder / f"IM{place}.dcm", np.ascontiguousarray(pixels), **own, **elements)


def test_a_mixture_is_refused_and_a_part_of_it_chosen(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two_echoes(dicom, here / "study")
    assert main(["predict", "study", *MODEL]) == 3
    assert "  --series 1:echo=2  2 images such as IM2.dcm" in capsys.readouterr().err
    assert (
        main(["predict", "study", "--series", "1:echo=2", "--stats", "-o", "o.nii.gz", *MODEL]) == 0
    )
    made = read_volume("o.nii.gz")
    np.testing.assert_array_equal(made.array[0] == 5, voxels()[::-1, :, 2:] == 100)
    assert made.affine[:3, 3].tolist() == [-1, -2, 10]
    record = json.loads(Path("o.nii.gz.json").read_text())
    assert record["series"] == {"uid": "1.2.3.1", "selection": "echo=2", "images": 2}
    assert [Path(each["file"]).name for each in record["input"]] == ["IM2.dcm", "IM3.dcm"]
    assert "notes" not in record
    assert main(["predict", "study", "--series", "1:echo=3", *MODEL]) == 2
    assert "no image fits echo=3; echo is 1 (2), 2 (2)" in capsys.readouterr().err


def test_a_part_as_segmentation_refers_to_its_images(dicom: Any, here: Path) -> None:
    pytest.importorskip("highdicom", reason="the extra [dicom] is not installed")
    two_echoes(dicom, here / "study")
    assert (
        main(["predict", "study", "--series", "echo=2", "--rtstruct", "-o", "o.dcm", *MODEL]) == 0
    )
    made = dicom.pydicom.dcmread("o.dcm")
    referred = made.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert sorted(each.ReferencedSOPInstanceUID[-1] for each in referred) == ["3", "4"]
    places = [
        float(each.PlanePositionSequence[0].ImagePositionPatient[2])
        for each in made.PerFrameFunctionalGroupsSequence
    ]
    assert sorted(places) == [10, 15]


def test_a_mixture_among_many_fails_alone(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        own = {"StudyInstanceUID": f"1.{number}", "series": f"1.{number}.1"}
        if number == 1:
            two_echoes(dicom, here / "in" / "p1", **own)
        else:
            dicom.series(here / "in" / "p2", voxels(), **own)
    for words in ([], ["--series", "all"]):
        assert main(["predict", "in", "-o", "out", "--overwrite", *words, *MODEL]) == 5
        assert capsys.readouterr().out.split() == ["out/p2.nii.gz"]
        outcomes = json.loads(Path("out/predictions.json").read_text())
        assert [outcomes[case]["status"] for case in ("p1", "p2")] == ["failed", "done"]
        assert "differ in echo number" in outcomes["p1"]["message"]


def test_lost_slices_are_refused(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dicom.series(here / "in" / "p1", voxels(), StudyInstanceUID="1.1", series="1.1.1")
    dicom.series(here / "in" / "p2", voxels(), StudyInstanceUID="1.2", series="1.2.1")
    (here / "in" / "p2" / "003").write_bytes(b"")
    assert main(["predict", "in/p2", *MODEL]) == 3
    assert (
        "1 file that cannot be read and probably belong to it: 003 (empty)"
        in capsys.readouterr().err
    )
    assert main(["predict", "in", "-o", "out", *MODEL]) == 5
    outcomes = json.loads(Path("out/predictions.json").read_text())
    assert {case: each["status"] for case, each in outcomes.items()} == {
        "p1": "done",
        "p2": "failed",
    }


def test_what_is_left_out_is_recorded(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        own = {"StudyInstanceUID": f"1.{number}", "series": f"1.{number}.1"}
        dicom.series(here / "in" / f"p{number}", voxels(), **own)
    (here / "in" / "p1" / "other.dcm").write_bytes(b"")
    assert main(["predict", "in", "-o", "out", "--stats", *MODEL]) == 0
    note = "1 file that cannot be read is left out: other.dcm (empty)"
    assert note in capsys.readouterr().err
    outcomes = json.loads(Path("out/predictions.json").read_text())
    assert outcomes["p1"]["notes"] == [note]
    assert "notes" not in outcomes["p2"]
    records = [json.loads(Path(f"out/p{number}.json").read_text()) for number in (1, 2)]
    assert [record.get("notes") for record in records] == [[note], None]


def test_files_with_names_of_dicom_that_cannot_be_read(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "study").mkdir()
    for number in range(3):
        (here / "study" / f"IM{number}.dcm").write_bytes(b"")
    assert main(["predict", "study", *MODEL]) == 3
    assert "3 files that cannot be read are left out: IM0.dcm (empty)" in capsys.readouterr().err


def test_a_link_to_a_study_that_is_not_there(
    dicom: Any, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (1, 2):
        own = {"StudyInstanceUID": f"1.{number}", "series": f"1.{number}.1"}
        dicom.series(here / "in" / f"p{number}", voxels(), **own)
    (here / "in" / "anna").symlink_to("/nowhere/anna")
    assert main(["predict", "in", "-o", "out", *MODEL]) == 5
    outcomes = json.loads(Path("out/predictions.json").read_text())
    assert {case: each["status"] for case, each in outcomes.items()} == {
        "anna": "failed",
        "p1": "done",
        "p2": "done",
    }
    assert "a link to /nowhere/anna, which is not there" in outcomes["anna"]["message"]
