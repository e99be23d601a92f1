"""The command segkit evaluate --compare: real files, from the folders to the three outputs."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segkit
from segkit.cli import main
from segkit.io import write_labels
from segkit.volume import Volume
from tests.full_disk import full_after_one_file

SIDE = 10
Capture = pytest.CaptureFixture[str]


def write(folder: str, case: str, *, voxels: int, value: int = 1, spleen: int = 0) -> None:
    """Write a label map with a bar of a number of voxels of liver, and one of spleen (2)."""
    labels = np.zeros((1, SIDE, SIDE, 2), np.uint8)
    labels[0, :, :, 0].flat[:voxels] = value
    labels[0, :, :, 1].flat[:spleen] = 2
    write_labels(Path(folder) / f"{case}.nii.gz", Volume(labels, np.eye(4)))


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write eight references of 50 voxels, and predictions that are a part of them.

    The part of n voxels has a Dice of 2 n / (50 + n): A has 30 voxels and a Dice of 0.75 in every
    case, B has 31 to 38.
    """
    monkeypatch.chdir(tmp_path)
    for number in range(8):
        write("r", f"c{number}", voxels=50)
        write("a", f"c{number}", voxels=30)
        write("b", f"c{number}", voxels=31 + number)


def entry(folder: str = "out", label: str = "label_1", metric: str = "dice") -> dict[str, object]:
    results = json.loads(Path(folder, "comparison.json").read_text())["results"]
    return next(e for e in results if (e["label"], e["metric"]) == (label, metric))


def test_files_and_verdict(capsys: Capture) -> None:
    assert main(["evaluate", "--compare", "a", "b", "r", "-o", "out"]) == 0
    printed = capsys.readouterr().out
    dice = [2 * n / (50 + n) for n in range(31, 39)]
    mean = sum(dice) / 8 - 0.75
    assert f"label_1  B better  {mean:.4f}" in printed
    assert "Dice, label_1: b is better than a: the mean difference b - a is +" in printed
    found = entry()
    assert found["p"] == 2 / 2**8  # all eight differences have one sign
    assert found["wilcoxon"] == {"p": 2 / 2**8, "n": 8, "zeros": 0, "method": "exact"}
    assert found["difference"] == pytest.approx(mean, abs=1e-6)
    assert (found["better"], found["worse"], found["equal"]) == (8, 0, 0)
    rows = list(csv.DictReader(Path("out/differences.csv").read_text().splitlines()))
    first = {"case": "c0", "patient": "", "label": "label_1", "metric": "dice", "a": "0.75"}
    assert rows[0] == first | {
        "b": f"{dice[0]:.6g}",
        "difference": f"{dice[0] - 0.75:.6f}",
        "change": "better",
        "note": "",
    }


def test_the_page_loads_nothing_and_has_the_sentence_to_copy() -> None:
    assert main(["evaluate", "--compare", "a", "b", "r", "-o", "out"]) == 0
    page = Path("out/comparison.html").read_text()
    assert not re.search(r"(src|href)=\"?(http|//)|@import|url\(", page)
    paper = str(entry()["paper"])
    assert paper.startswith("On 8 cases, the mean dice of label_1 was 0.750 for a and 0.")
    assert paper.replace("'", "&#x27;").replace("<", "&lt;") in page
    assert page.count("<circle") == 8 * page.count("<svg")
    assert "Cases that are better with B (b) than with A (a)" in page
    assert "segkit evaluate --compare a b r -o out" in page
    assert "within 1 mm of the other surface" in page


def test_only_the_files_of_the_same_call_are_replaced(capsys: Capture) -> None:
    Path("out").mkdir()
    Path("out/cases.csv").write_text("case,image,label\n")  # a table of the user
    alone, both = ["evaluate", "a", "r", "-o", "out"], ["evaluate", "--compare", "a", "b", "r"]
    assert main(alone) == 2
    assert "out holds cases.csv of another command or of other inputs" in capsys.readouterr().err
    assert Path("out/cases.csv").read_text() == "case,image,label\n"
    assert main([*alone, "--overwrite"]) == 0
    assert main([*alone, "--labels", "liver=1"]) == 0  # other settings, the same inputs
    assert main(["evaluate", "b", "r", "-o", "out"]) == 2
    assert "Choose another folder with -o, or replace them with --overwrite" in (
        capsys.readouterr().err
    )
    assert json.loads(Path("out/summary.json").read_text())["predictions"] == "a"
    assert main([*both, "-o", "out"]) == 0  # no file of this name is there
    assert main([*both, "-o", "./out"]) == 0
    assert main(["evaluate", "--compare", "b", "a", "r", "-o", "out"]) == 2
    assert main([*both, "--overwrite"]) == 2
    assert "--overwrite is about the files of -o" in capsys.readouterr().err


def test_groups_of_an_earlier_call_are_said(capsys: Capture) -> None:
    Path("g.csv").write_text("case,group\n" + "".join(f"c{n},x\n" for n in range(8)))
    words = ["evaluate", "a", "r", "-o", "out"]
    assert main([*words, "--by", "group", "--groups", "g.csv"]) == 0
    assert "left as it is" not in capsys.readouterr().err
    assert main(words) == 0
    assert "groups.csv is not of this call, and is left as it is" in capsys.readouterr().err


def test_no_table_of_the_user_is_replaced(capsys: Capture) -> None:
    words = ["evaluate", "a", "r", "-o", "out"]
    assert main(words) == 0
    table = Path("out/groups.csv")
    table.write_text("case,group\n" + "".join(f"c{n},x\n" for n in range(8)))
    before = table.read_text()
    by_group = [*words, "--by", "group", "--groups"]
    assert main([*by_group, "out/../out/groups.csv", "--overwrite"]) == 2
    assert "groups.csv would be replaced by the report" in capsys.readouterr().err
    Path("g.csv").write_text(before)
    assert main([*by_group, "g.csv"]) == 2  # of something else, such as harmonize discover
    assert table.read_text() == before
    assert main([*by_group, "g.csv", "--overwrite"]) == 0
    assert main([*by_group, "g.csv"]) == 0


def test_inputs_are_told_apart_by_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path.cwd()
    kinds = (["a"], ["--compare", "a", "b"])
    for number, words in enumerate(kinds):
        out = str(here / f"out{number}")
        assert main(["evaluate", *words, "r", "-o", out]) == 0
        Path(f"site{number}").mkdir()
        monkeypatch.chdir(here / f"site{number}")
        for name in "abr":
            shutil.copytree(here / name, name)
        assert main(["evaluate", *words, "r", "-o", out]) == 2
        there = [word if word.startswith("-") else str(here / word) for word in words]
        assert main(["evaluate", *there, str(here / "r"), "-o", out]) == 0
        monkeypatch.chdir(here)


@pytest.mark.parametrize("words", [["a"], ["--compare", "a", "b"]])
def test_a_call_that_ended_half_way_may_be_repeated(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ["evaluate", *words, "r", "-o", "out"]
    with monkeypatch.context() as disk:
        disk.setattr(os, "replace", full_after_one_file())
        assert main(call) == 3
    assert len(list(Path("out").iterdir())) == 1
    assert main(call) == 0


def test_a_single_case_shows_nothing_about_other_metrics(capsys: Capture) -> None:
    files = [f"{name}/c0.nii.gz" for name in "abr"]
    assert main(["evaluate", "--compare", *files]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "too few cases to tell whether any of them differs" in printed
    assert "none of them shows a difference" not in printed


def test_a_folder_with_itself_says_so(capsys: Capture) -> None:
    assert main(["evaluate", "--compare", "b", "./b", "r", "-o", "out"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "no difference at all: A and B have equal values in all 8 cases" in printed
    assert "A and B are one and the same folder, so nothing can differ." in printed
    assert {entry(metric=m)["finding"] for m in ("dice", "hd95_mm")} == {"equal"}
    assert "one and the same folder" in Path("out/comparison.html").read_text()


def test_cases_of_one_only_are_counted(capsys: Capture) -> None:
    Path("a/c0.nii.gz").unlink()
    Path("b/c1.nii.gz").unlink()
    write("r", "c9", voxels=50)
    assert main(["evaluate", "--compare", "a", "b", "r", "-o", "out"]) == 5
    captured = capsys.readouterr()
    assert (
        "6 of 9 cases are compared. The others have a prediction 1 only in A (c1), 1 only in B"
        in (" ".join(captured.out.split()))
    )
    assert "3 cases lack a prediction in A, in B or in both: c1, c0, c9" in captured.err
    assert json.loads(Path("out/comparison.json").read_text())["cases"] == {
        "both": [f"c{n}" for n in range(2, 8)],
        "only_a": ["c1"],
        "only_b": ["c0"],
        "neither": ["c9"],
    }
    assert main(["evaluate", "--compare", "a", "b", "r", "--allow-missing"]) == 0


def test_a_label_that_no_label_map_has_is_said(capsys: Capture) -> None:
    words = ["evaluate", "--compare", "a", "b", "r", "--labels", "liver=1,gone=7"]
    assert main(words) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "in no case of A, B or the references, which are not compared: gone." in printed
    assert "Dice, liver: b is better" in printed


def test_missed_labels_and_false_positives_are_said(capsys: Capture) -> None:
    for number in range(8):  # the spleen is in four references; B finds it in none, A in all
        spleen = 20 if number < 4 else 0
        write("r", f"c{number}", voxels=50, spleen=spleen)
        write("a", f"c{number}", voxels=30, spleen=20)
    assert main(["evaluate", "--compare", "a", "b", "r", "-o", "out"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "B never predicts label_2 (in 4 references), which counts as Dice 0." in printed
    assert "Only A predicts label_2 in 4 cases that the reference lacks (a false" in printed
    assert "Only B misses label_2 in 4 cases; A finds them. That counts as Dice 0" in printed
    assert "(infinite in A, label in neither mask of B: 4; infinite in B: 4)" in printed
    assert "That counts as Dice 0 for A and as Dice 1 for B, which is right" in printed
    assert "Dice, mean over 2 labels: " in printed
    dice, distance = entry(label="label_2"), entry(label="label_2", metric="hd95_mm")
    assert (dice["cases"], dice["mean_a"], dice["mean_b"]) == (8, 0.5, 0.5)
    assert (dice["better"], dice["worse"], dice["not_compared"]) == (4, 4, {})
    rows = csv.DictReader(Path("out/differences.csv").read_text().splitlines())
    notes = {row["case"]: row["note"] for row in rows if row["metric"] == "dice" and row["note"]}
    right = "B is right not to predict it, and counts as perfect"
    assert notes == dict.fromkeys(("c4", "c5", "c6", "c7"), right)
    assert (distance["cases"], distance["difference"]) == (0, None)
    assert distance["finding"] == "nothing to compare"
    assert sum(entry(label="mean", metric="hd95_mm")["not_compared"].values()) == 8
    assert "Values that are not compared" in Path("out/comparison.html").read_text()


def test_margin_and_patients(capsys: Capture) -> None:
    Path("patients.csv").write_text(
        "case,patient\n" + "".join(f"c{n},p{n // 2}\n" for n in range(8))
    )
    words = ["evaluate", "--compare", "a", "b", "r", "-o", "out", "--margin", "dice=0.5"]
    assert main(words) == 0
    assert "By the stated margin of 0.5 the two are equivalent" in " ".join(
        capsys.readouterr().out.split()
    )
    assert main([*words, "--patients", "patients.csv"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "4 patients are too few to tell" in printed
    assert "8 cases of 4 patients" in printed
    assert (entry()["n"], entry()["p"]) == (4, 2 / 2**4)
    page = Path("out/comparison.html").read_text()
    assert "bootstrap of the paired differences over patients" in page


def test_a_margin_of_a_metric_that_is_not_measured_is_said(capsys: Capture) -> None:
    words = ["evaluate", "--compare", "a", "b", "r", "--margin", "hd95_px=3,dice=0.5"]
    assert main(words) == 0
    assert "not measured have no effect: hd95_px." in " ".join(capsys.readouterr().out.split())


@pytest.mark.skipif(os.name != "posix", reason="names are not bytes")
def test_a_name_that_is_not_utf_8() -> None:
    case = os.fsdecode(b"c\xff")
    try:
        for folder, voxels in (("r", 50), ("a", 30), ("b", 40)):
            write(folder, case, voxels=voxels)
    except OSError:
        pytest.skip("this file system has no such names")
    assert main(["evaluate", "--compare", "a", "b", "r", "-o", "out"]) == 0
    assert case in json.loads(Path("out/comparison.json").read_text())["cases"]["both"]
    assert "c\\udcff,," in Path("out/differences.csv").read_text()


def test_patients_that_are_not_known(capsys: Capture) -> None:
    words = ["evaluate", "--compare", "a", "b", "r", "--patients", "p.csv"]
    Path("p.csv").write_text("case,patient\nc0,x\nc1,x\nc2,\n")
    assert main(words) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "6 of 8 cases have no known patient" in printed
    assert "8 cases of 7 patients" in printed
    Path("p.csv").write_text("case,patient\nC0.nii.gz,x\n")
    assert main(words) == 3
    assert "expected the patients of the cases c0, c1, c2 and 5 more, found those of C0.nii.gz" in (
        capsys.readouterr().err
    )


def test_names_that_look_like_one_patient_are_said(capsys: Capture) -> None:
    for folder, voxels in (("r", 50), ("a", 30), ("b", 40)):
        for side in ("left", "right"):
            write(folder, f"p7_{side}", voxels=voxels)
    assert main(["evaluate", "--compare", "a", "b", "r"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "but 2 look like two sides of one patient, by their names (p7_left, p7_right)" in printed


def test_patients_regions_and_ignored_voxels_of_a_dataset(capsys: Capture) -> None:
    lines = ["case,image,label,patient"]
    for number in range(8):
        write("scans", f"c{number}", voxels=1)
        lines.append(f"c{number},scans/c{number}.nii.gz,r/c{number}.nii.gz,p{number % 7}")
    Path("cases.csv").write_text("\n".join(lines) + "\n")
    words = ["evaluate", "--compare", "a", "b", "cases.csv", "-o", "out", "--ignore", "2"]
    assert main([*words, "--labels", "organ=1+3"]) == 0
    assert "8 cases of 7 patients. Differences are B - A. Voxels with 2 in the reference" in (
        " ".join(capsys.readouterr().out.split())
    )
    assert entry(label="organ")["n"] == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--margin", "dice=0.1", "b", "r"], "--margin belongs to --compare"),
        (["--patients", "p.csv", "b", "r"], "--patients is about intervals: add -o DIR"),
        (["--compare", "a", "--compare", "a", "b", "r"], "Exactly two sets of predictions"),
        (["--compare", "a", "b", "r", "--by", "group"], "--by does not go with --compare"),
        (["--compare", "a", "b", "r", "--margin", "dice"], "'dice' is not METRIC=VALUE"),
        (["--compare", "a", "b", "r", "--margin", "dice=0"], "with a value above 0"),
        (["--compare", "a", "b", "r", "--margin", "dice=inf"], "must be above 0 and finite"),
        (["--compare", "a", "b", "r", "--margin", "x=1"], "margin of x: there is no such metric"),
        (["--compare", "a", "b", "c", "r"], "unrecognized arguments: r"),
        (["--compare", "a", "b"], "the following arguments are required: REFERENCES"),
    ],
)
def test_words_that_make_no_sense(words: list[str], message: str, capsys: Capture) -> None:
    try:
        code = main(["evaluate", *words])
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    assert message in capsys.readouterr().err


def test_no_case_in_common_and_a_bad_table(capsys: Capture) -> None:
    write("x", "c9", voxels=30)
    write("r", "c9", voxels=50)
    assert main(["evaluate", "--compare", "a", "x", "r"]) == 3
    assert (
        "x: expected predictions of the cases in a: c0, c1, c2, c3, c4" in capsys.readouterr().err
    )
    Path("p.csv").write_text("case,id\nc0,x\n")
    assert main(["evaluate", "--compare", "a", "b", "r", "--patients", "p.csv"]) == 3
    assert "expected the columns case and patient, found case, id" in capsys.readouterr().err


def name_labels(folder: str, name: str, value: int = 1) -> None:
    """Write records with the name of a label, as predict --stats leaves them."""
    for number in range(8):
        record = {"versions": {}, "labels": {name: {"value": value}}}
        Path(folder, f"c{number}.json").write_text(json.dumps(record))


def test_names_of_one_model_count_for_both(capsys: Capture) -> None:
    name_labels("a", "liver")
    assert main(["evaluate", "--compare", "a", "b", "r"]) == 0
    assert "Dice, liver: b is better than a" in " ".join(capsys.readouterr().out.split())
    name_labels("b", "spleen")
    assert main(["evaluate", "--compare", "a", "b", "r"]) == 0
    captured = capsys.readouterr()
    assert "Dice, label_1: b is better than a" in " ".join(captured.out.split())
    assert "A and B name label values differently: give the labels names" in captured.err
    name_labels("b", "liver", 2)
    assert main(["evaluate", "--compare", "a", "b", "r"]) == 0
    assert "name label values differently (liver): give" in capsys.readouterr().err


def test_names_of_one_model_count_for_a_dataset_without_names() -> None:
    for number in range(8):
        write("data/images", f"c{number}", voxels=1)
        write("data/labels", f"c{number}", voxels=50)
    name_labels("a", "liver")
    assert {row.label for row in segkit.compare("a", "b", "data").rows} == {"liver"}
    assert {row.label for row in segkit.compare("b", "a", "data").rows} == {"liver"}


def test_a_label_that_one_of_them_never_has_is_said(capsys: Capture) -> None:
    write("b", "c7", voxels=38, value=1, spleen=3)
    assert main(["evaluate", "--compare", "a", "b", "r"]) == 0
    assert "Labels that occur with one of the two only: label_2 only with B." in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_label_cannot_be_called_mean(capsys: Capture) -> None:
    assert main(["evaluate", "--compare", "a", "b", "r", "--labels", "mean=1"]) == 2
    assert "a label is called 'mean', which means the mean over" in capsys.readouterr().err


def test_a_case_that_failed_with_one_and_is_not_there_with_the_other(capsys: Capture) -> None:
    lines = ["case,image,label"]
    lines += [f"c{n},scans/c{n}.nii.gz,r/c{n}.nii.gz" for n in range(8)]
    Path("cases.csv").write_text("\n".join(lines) + "\n")
    for number in range(8):
        write("scans", f"c{number}", voxels=1)
    Path("a/predictions.json").write_text(json.dumps({"c0": {"status": "failed"}}))
    Path("a/c0.nii.gz").unlink()
    Path("b/c0.nii.gz").unlink()
    assert main(["evaluate", "--compare", "a", "b", "cases.csv"]) == 5
    assert "prediction 1 in neither (c0)" in " ".join(capsys.readouterr().out.split())


def test_from_python_two_files() -> None:
    found = segkit.compare("a/c0.nii.gz", "b/c0.nii.gz", "r/c0.nii.gz", labels={"liver": 1})
    assert found.verdict.startswith("one case cannot tell; the mean difference is +0.01")
    assert [row.change for row in found.rows if row.metric == "dice"] == ["better"]


def test_a_dicom_seg_is_compared_like_any_label_map(dicom: Any, tmp_path: Path) -> None:
    pytest.importorskip("highdicom", reason="the extra [dicom] is not installed")
    voxels = np.zeros((20, 20, 2), np.int16)
    voxels[2:10, 2:10], voxels[12:18, 2:10] = 100, -100
    dicom.series(tmp_path / "p1", voxels, axes=np.diag([1.0, 1.0, 5.0]))
    model = str(Path(__file__).parents[1] / "data" / "bundle_v1")
    for folder, flags in (("seg", ["--dicom-seg"]), ("nii", [])):
        words = ["predict", "p1", "-o", f"{folder}/", "-m", model, *flags]
        assert main(words) == 0
    found = segkit.compare("seg", "nii", "nii")  # only the DICOM-SEG names its values
    assert {row.label for row in found.rows} == {"bright", "dark", "mean"}
    assert {row.change for row in found.rows} == {"equal"}


def test_regions_of_a_dataset_are_compared_as_regions() -> None:
    lines = ["case,image,label"]
    for number in range(8):
        write("scans", f"c{number}", voxels=1)
        write("r", f"c{number}", voxels=50, spleen=20)
        write("b", f"c{number}", voxels=50, spleen=10)
        lines.append(f"c{number},scans/c{number}.nii.gz,r/c{number}.nii.gz")
    Path("cases.csv").write_text("\n".join(lines) + "\n")
    found = segkit.compare("a", "b", "cases.csv", labels={"all": (1, 2), "core": 1})
    values = {(row.label, row.a, row.b) for row in found.rows if row.metric == "dice"}
    # All: 30 of 70 voxels with A, 60 of 70 with B. Core: 30 of 50 with A, all with B.
    assert ("all", 2 * 30 / 100, 2 * 60 / 130) in values
    assert ("core", 2 * 30 / 80, 1.0) in values


def test_further_metrics_are_compared_too() -> None:
    flags = ["--lesions", "--lesion-iou", "0.65", "--subvoxel"]
    assert main(["evaluate", "--compare", "a", "b", "r", "-o", "out", *flags]) == 0
    # The IoU of n of 50 voxels is n / 50: from 33 voxels on a lesion is found, in six cases of B.
    assert entry(metric="lesions_found")["difference"] == pytest.approx(6 / 8)
    assert entry(metric="lesions_found")["better"] == 6
    assert entry(metric="lesions_missed")["difference"] == pytest.approx(-6 / 8)
    assert entry(metric="subvoxel_surface_dice")["difference"] > 0
    assert json.loads(Path("out/comparison.json").read_text())["lesion_iou"] == 0.65
