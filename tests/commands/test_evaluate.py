"""The command segkit evaluate."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.cli import main
from segkit.io import read_labels, write_image, write_labels
from segkit.volume import Volume


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Return paths of a prediction and a reference: cubes of 4 voxels, one voxel apart, label 5."""
    paths = []
    for name, start in (("p", 3), ("r", 2)):
        array = np.zeros((1, 10, 10, 10), np.uint8)
        array[0, start : start + 4, 3:7, 3:7] = 5
        paths.append(str(tmp_path / f"{name}.nii.gz"))
        write_labels(paths[-1], Volume(array, np.diag([2.0, 2.0, 2.0, 1.0])))
    return paths


def test_prints_a_table_and_writes_four_files(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *files, "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "label_5      1  0.7500  0.6000   2.0000" in printed
    assert str(tmp_path / "out" / "report.html") in printed
    assert str(tmp_path / "out" / "cases.csv") in printed
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["labels"]["label_5"]["dice"] == summary["mean"]["dice"] == 0.75


def test_tolerance_and_labels(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *files, "--tolerance-mm", "2", "--labels", "liver=5,none=9"]) == 0
    printed = capsys.readouterr().out
    assert "label  cases    dice     iou  hd95_mm  surface_dice (2 mm)" in printed
    assert "liver      1  0.7500  0.6000   2.0000               1.0000" in printed
    assert "none                       0                       0           1" in printed


def test_patients_of_no_case_are_refused(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "patients.csv").write_text("case,patient\nother,x\n")
    words = ["--patients", str(tmp_path / "patients.csv"), "-o", str(tmp_path / "out")]
    assert main(["evaluate", *files, *words]) == 3
    assert "expected the patients of the cases" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_values_that_the_means_leave_out_are_counted(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--labels", "here=5,gone=7", "-o", str(tmp_path / "out")]
    write_labels(files[0], Volume(np.zeros((1, 10, 10, 10), np.uint8), np.diag([2.0, 2, 2, 1])))
    assert main(["evaluate", *files, *words]) == 0
    printed = capsys.readouterr().out
    table = printed.split("Values left out of the means:\n")[1].split("numbers:")[0]
    assert [line.split() for line in table.splitlines()[1:]] == [
        ["here", "hd95_mm,", "assd_mm", "1", "0"],
        ["here", "precision", "0", "1"],
    ]
    assert "<h3>Values left out of the means</h3>" in (tmp_path / "out/report.html").read_text()
    counts = json.loads((tmp_path / "out" / "summary.json").read_text())["counts"]
    assert counts["here"]["infinite"] == {"hd95_mm": 1, "assd_mm": 1}


def test_scans_and_number_of_pictures(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = Volume(np.arange(1000, dtype=np.float32).reshape(1, 10, 10, 10), np.diag([2.0, 2, 2, 1]))
    write_image(tmp_path / "scans" / "r.nii.gz", scan)
    words = ["evaluate", *files, "-o", str(tmp_path / "out"), "--scans", str(tmp_path / "scans")]
    assert main(words) == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "data:image/png" in page
    assert "plain ground" not in page
    assert "segkit evaluate" in page.split("<td>command</td>")[1]
    assert main([*words, "--pictures", "0"]) == 0
    assert "data:image/png" not in (tmp_path / "out" / "report.html").read_text()


def test_patients_of_the_report(files: list[str], tmp_path: Path) -> None:
    folders = [tmp_path / "P", tmp_path / "R"]
    for path, folder in zip(files, folders, strict=True):
        folder.mkdir()
        for case in ("a", "b"):
            shutil.copy(path, folder / f"{case}.nii.gz")
    (tmp_path / "patients.csv").write_text("case,patient\na,1\nb,1\n")
    words = ["evaluate", *map(str, folders), "-o", str(tmp_path / "out")]
    page = tmp_path / "out" / "report.html"
    assert main(words) == 0
    assert "over 2 cases and 1 label." in page.read_text()
    assert main([*words, "--patients", str(tmp_path / "patients.csv")]) == 0
    assert "over 2 cases of 1 patient and 1 label." in page.read_text()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["distribution"]["labels"]["label_5"]["dice"]["low"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--pictures", "3"], "--scans and --pictures are about the report: add -o DIR"),
        (
            ["--patients", "x"],
            "--patients is about intervals: add -o DIR, --by group, or --compare",
        ),
        (["-o", "out", "--pictures", "-1"], "--pictures must be 0 or more, not -1"),
        (["-o", "out", "--scans", "no"], "--scans must be a folder of scans, and no is none"),
    ],
)
def test_flags_of_the_report(
    files: list[str], words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *files, *words]) == 2
    assert message in capsys.readouterr().err


def test_flags_add_metrics(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *files, "--lesions", "--lesion-iou", "0.7", "--subvoxel"]) == 0
    printed = capsys.readouterr().out
    assert "Lesions of all cases:\nlabel    found  missed  false      f1\n" in printed
    assert "label_5      0       1      1  0.0000" in printed  # their IoU is 0.6
    assert "subvoxel_surface_dice" in printed
    assert main(["evaluate", *files, "--lesion-iou", "0.5"]) == 2
    assert "--lesion-iou says when --lesions match: add that" in capsys.readouterr().err
    assert main(["evaluate", *files, "--calibration"]) == 3
    assert "p_probabilities.nii.gz, found none" in capsys.readouterr().err


def test_calibration_of_a_prediction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(Path(__file__).parents[1] / "data" / "bundle_v1")
    voxels = np.zeros((1, 20, 20, 2), np.int16)
    voxels[0, 2:10, 2:10], voxels[0, 12:18, 2:10] = 100, -100
    write_image(tmp_path / "in" / "a.nii", Volume(voxels, np.eye(4)))
    out = f"{tmp_path}/out/"
    words = ["predict", str(tmp_path / "in"), "-o", out, "-m", model, "--probabilities"]
    assert main(words) == 0
    found = read_labels(tmp_path / "out" / "a.nii.gz")
    found.array[0, 2:10, 2:6] = 0  # half of label 5, 64 of 20 x 20 x 2 voxels
    write_labels(tmp_path / "r" / "a.nii.gz", found)
    report = str(tmp_path / "report")
    assert main(["evaluate", out, str(tmp_path / "r"), "--calibration", "-o", report]) == 0
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert summary["labels"]["label_5"]["ece"] == pytest.approx(64 / 800, abs=1e-3)
    assert summary["labels"]["label_5"]["brier"] == pytest.approx(64 / 800, abs=1e-3)
    assert sum(summary["calibration"]["label_5"]["voxels"]) == 800
    assert "expected calibration error" in (tmp_path / "report" / "report.html").read_text()


def test_a_wide_table_is_cut_into_lines_of_100_characters(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *files]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    assert "label    cases  sensitivity  precision  relative_volume_error" in printed


def test_regions_and_ignored_voxels(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *files, "--labels", "both=5+9, a=5"]) == 0
    assert "both       1  0.7500" in capsys.readouterr().out
    assert main(["evaluate", *files, "--ignore", "5", "-o", str(Path(files[0]).parent / "r")]) == 0
    assert (
        "label_5      1  0.0000" in capsys.readouterr().out
    )  # what is predicted beside the ignored voxels
    assert (
        "Voxels with 5 in the reference are excluded."
        in (Path(files[0]).parent / "r/report.html").read_text()
    )


@pytest.mark.parametrize(
    "words", ["", "liver", "liver=x", "=3", "liver=1.5", "liver=1+", "liver=1+x"]
)
def test_labels_that_make_no_sense(
    words: str, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *files, "--labels", words]) == 2
    assert "is not NAME=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a=1,a=2", "--labels: a is given twice"),
        ("a=1,b=1", "labels must have different values, none of them 0"),
        ("a=0", "labels must have different values, none of them 0"),
    ],
)
def test_labels_that_contradict_each_other(
    words: str, message: str, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *files, "--labels", words]) == 2
    assert message in capsys.readouterr().err


def test_a_missing_file_is_exit_3(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "nowhere.nii.gz", files[1]]) == 3
    assert "nowhere.nii.gz: expected a file, found no such file" in capsys.readouterr().err


def test_dicom_seg_on_either_side(
    dicom: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Predict writes the same label map as DICOM-SEG and as NIfTI."""
    pytest.importorskip("highdicom", reason="the extra [dicom] is not installed")
    voxels = np.zeros((20, 20, 2), np.int16)
    voxels[2:10, 2:10], voxels[12:18, 2:10] = 100, -100
    dicom.series(tmp_path / "p1", voxels, axes=np.diag([1.0, 1.0, 5.0]))
    model = str(Path(__file__).parents[1] / "data" / "bundle_v1")
    for folder, flags in (("seg", ["--dicom-seg", "--rtstruct", "--preview"]), ("nii", [])):
        assert (
            main(
                [
                    "predict",
                    str(tmp_path / "p1"),
                    "-o",
                    f"{tmp_path / folder}/",
                    "-m",
                    model,
                    *flags,
                ]
            )
            == 0
        )
    seg, nii = str(tmp_path / "seg"), str(tmp_path / "nii")
    for pair in ([seg, nii], [nii, seg], [f"{seg}/p1.dcm", f"{nii}/p1.nii.gz"]):
        capsys.readouterr()
        assert main(["evaluate", *pair]) == 0
        rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
        assert ["bright", "1", "1.0000"] in rows
        assert ["dark", "1", "1.0000"] in rows
    assert main(["evaluate", seg, nii, "--labels", "dark=300"]) == 0
    assert "bright" not in capsys.readouterr().out
    assert main(["evaluate", seg, f"{seg}/p1.dcm"]) == 3
    assert (
        "p1.dcm: expected a label map with a grid, such as .nii.gz, to compare with the DICOM-SEG"
        in capsys.readouterr().err
    )


def test_help_says_the_definitions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    assert "share a face with a voxel outside" in capsys.readouterr().out


def test_of_a_scan_and_its_label_map_the_label_map_is_the_prediction(
    files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # As 'segkit predict r.nii.gz' leaves them: the scan, and what was found in it, in one folder.
    Path(tmp_path / "found").mkdir()
    Path(files[0]).rename(tmp_path / "found" / "r_seg.nii.gz")
    write_labels(
        tmp_path / "found" / "r.nii.gz",
        Volume(np.full((1, 10, 10, 10), 40), np.diag([2.0, 2.0, 2.0, 1.0])),
    )
    (tmp_path / "labels").mkdir()
    Path(files[1]).rename(tmp_path / "labels" / "r.nii.gz")
    assert main(["evaluate", str(tmp_path / "found"), str(tmp_path / "labels")]) == 0
    printed = capsys.readouterr()
    assert "label_5      1  0.7500" in printed.out
    assert "label_40" not in printed.out
    assert "without a reference" not in printed.err


def cube(path: Path, value: int = 5) -> Path:
    array = np.zeros((1, 10, 10, 10), np.uint8)
    array[0, 3:7, 3:7, 3:7] = value
    write_labels(path, Volume(array, np.eye(4)))
    return path


def test_references_without_prediction_are_exit_5(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for case in "abc":
        cube(tmp_path / "r" / f"{case}.nii.gz")
    cube(tmp_path / "p" / "a.nii.gz")
    words = ["evaluate", str(tmp_path / "p"), str(tmp_path / "r"), "-o", str(tmp_path / "out")]
    assert main(words) == 5
    printed = capsys.readouterr()
    assert "1 of 3 cases; means over the cases" in printed.out
    assert (
        "2 references have no prediction: b, c. Give --allow-missing to accept that" in printed.err
    )
    assert f"most cases of {tmp_path / 'r'} are missing among the predictions" in printed.err
    assert (tmp_path / "out" / "cases.csv").is_file()
    assert main([*words, "--allow-missing"]) == 0
    assert (
        main(["evaluate", str(tmp_path / "p" / "a.nii.gz"), str(tmp_path / "r")]) == 0
    )  # one file was meant


def test_names_come_from_the_records_of_predict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(Path(__file__).parents[1] / "data" / "bundle_v1")
    voxels = np.zeros((1, 20, 20, 2), np.int16)
    voxels[0, 2:10, 2:10], voxels[0, 12:18, 2:10] = 100, -100
    write_image(tmp_path / "in" / "a.nii", Volume(voxels, np.eye(4)))
    for output in ("out/", "one.nii.gz"):
        place = f"{tmp_path}/{output}"
        assert (
            main(["predict", str(tmp_path / "in" / "a.nii"), "-o", place, "-m", model, "--stats"])
            == 0
        )
        capsys.readouterr()
        assert main(["evaluate", place, place]) == 0
        rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
        assert ["bright", "1", "1.0000"] in rows
        assert ["dark", "1", "1.0000"] in rows


def test_what_lies_beside_predictions_is_not_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = Volume(np.ones((1, 4, 4, 4), np.uint8), np.eye(4))
    for name in ("ours/a", "ours/a_uncertainty", "ours/a_probabilities", "theirs/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_labels(tmp_path / f"{name}.nii.gz", volume)
    assert main(["evaluate", str(tmp_path / "ours"), str(tmp_path / "theirs")]) == 3
    assert (
        "theirs: b, found a. Give the references of these cases, rename" in capsys.readouterr().err
    )
