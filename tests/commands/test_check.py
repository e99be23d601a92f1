"""The command segkit check."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from segkit.cli import main
from segkit.dataset.phantom import write_phantom
from segkit.io import read_labels, write_image, write_labels
from segkit.volume import Volume
from tests.full_disk import full_after_one_file
from tools.reference import files_without_row


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_phantom(tmp_path / "d", 2)


def test_a_sound_dataset(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(dataset)]) == 0
    printed = capsys.readouterr().out
    assert "phantom: 2 cases, 2 with labels" in printed
    assert "labels:   liver=1, kidney_left=2, kidney_right=3, vessel=4" in printed
    assert "No problems found." in printed


def test_a_missing_label_map_does_not_end_the_check(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = max((dataset / "labelsTr").iterdir())
    missing.unlink()
    assert main(["check", str(dataset), "-o", str(tmp_path / "out")]) == 3
    printed = capsys.readouterr().out
    assert "phantom: 1 case, 1 with labels, 1 more incomplete" in printed
    assert f"labelsTr/{missing.name} does not exist" in printed
    assert "incomplete_case: Add the file" in printed
    assert "1 error" in printed
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    case = missing.name.removesuffix(".nii.gz")
    found = [(problem["check"], problem["case"]) for problem in summary["problems"]]
    assert found == [("incomplete_case", case)]
    assert summary["incomplete_cases"] == [case]
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"<li>{case}: labelsTr/{missing.name} does not exist</li>" in page
    assert "1 cases; 1 could be measured, 1 more are incomplete." in page


def test_a_copy_says_which_cases_it_lacks(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    max((dataset / "labelsTr").iterdir()).unlink()
    assert main(["check", str(dataset), "--fix-geometry", str(tmp_path / "copy")]) == 3
    printed = capsys.readouterr().out
    assert "0 corrected, 0 refused, 1 unchanged, 1 left out." in printed
    assert "left out" in printed
    assert "an incomplete case is not copied: " in printed


def test_a_page_is_not_written_among_the_scans_of_an_incomplete_case(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = max((dataset / "labelsTr").iterdir()).name
    rows = [
        f"a,{dataset}/imagesTr/{name},{dataset}/labelsTr/{name}",
        f"b,{tmp_path}/more/scan.nii.gz,{tmp_path}/more/none.nii.gz",
    ]
    (tmp_path / "more").mkdir()
    shutil.copy(dataset / "imagesTr" / name, tmp_path / "more" / "scan.nii.gz")
    table = tmp_path / "cases.csv"
    table.write_text("\n".join(["case,image,label", *rows]))
    assert main(["check", str(table), "-o", str(tmp_path / "more")]) == 2
    assert "would be among the files of the dataset" in capsys.readouterr().err


def test_what_is_wrong_with_the_rest_does_not_hide_incomplete_cases(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = Volume(np.zeros((1, 4, 4, 4), np.uint8), np.eye(4))
    for folder in ("images", "labels"):
        write_labels(tmp_path / folder / "a.nii.gz", grid)
    write_labels(tmp_path / "images" / "b.nii.gz", grid)
    assert main(["check", str(tmp_path)]) == 3
    printed = capsys.readouterr().err
    assert "besides, incomplete cases: 1. The first: " in printed
    assert "b.nii.gz: there is no label map of this name. " in printed


def test_an_error_is_exit_3_and_names_the_case(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(
        dataset / "labelsTr" / "phantom_A_001.nii.gz",
        Volume(np.ones((1, 4, 4, 4), np.uint8), np.eye(4)),
    )
    assert main(["check", str(dataset)]) == 3
    printed = capsys.readouterr().out
    assert "phantom_A_001  error" in printed
    assert "1 error" in printed


@pytest.mark.parametrize("verb", ["check", "plan"])
def test_names_do_not_act_on_a_terminal(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    text = (dataset / "dataset.json").read_text()
    (dataset / "dataset.json").write_text(text.replace("vessel", r"ves\u001b[31msel"))
    out = ["-o", str(tmp_path / "plan.json")] if verb == "plan" else []
    assert main([verb, str(dataset), *out]) == 0
    printed = capsys.readouterr().out
    assert r"ves\u001b[31msel" in printed
    assert "\x1b" not in printed


def test_a_warning_alone_is_exit_0(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (dataset / "dataset.json").read_text()
    (dataset / "dataset.json").write_text(
        text.replace('"4": "vessel"', '"4": "vessel", "9": "spleen"')
    )
    assert main(["check", str(dataset)]) == 0
    printed = capsys.readouterr().out
    assert "(dataset)  warning" in printed
    assert "spleen" in printed


@pytest.mark.parametrize("verb", [["check"], ["plan"], ["train"]])
def test_bad_codes_of_labels_are_exit_3(
    dataset: Path, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    content = json.loads((dataset / "dataset.json").read_text())
    content["segmentAttributes"] = {"Liver": {}}
    (dataset / "dataset.json").write_text(json.dumps(content))
    assert main([*verb, f"dataset={dataset}" if verb == ["train"] else str(dataset)]) == 3
    said = "dataset.json, segmentAttributes: expected labels of this dataset (liver, kidney_left, "
    assert said in capsys.readouterr().err


def test_not_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "nowhere")]) == 3
    assert "no such file or folder" in capsys.readouterr().err


def test_every_damaged_label_map_is_named_where_labels_have_no_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("a", 1), ("b", 1), ("c", 1)):
        image = Volume(
            np.random.default_rng(0).normal(size=(1, 8, 8, 8)).astype(np.float32), np.eye(4)
        )
        write_image(tmp_path / "images" / f"{name}.nii.gz", image)
        labels = np.zeros((1, 8, 8, 8), np.uint8)
        labels[0, 2:5] = value
        write_labels(tmp_path / "labels" / f"{name}.nii.gz", Volume(labels, np.eye(4)))
    for name in ("a", "b"):
        (tmp_path / "labels" / f"{name}.nii.gz").write_bytes(b"half")
    (tmp_path / "images" / "a.nii.gz").write_bytes(b"half")
    assert main(["check", str(tmp_path)]) == 3
    printed = capsys.readouterr().out
    assert "labels:   foreground=1" in printed
    assert "3 errors" in printed  # two label maps and a scan


def test_regions_and_the_ignore_label_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.zeros((1, 8, 8, 8), np.uint8)
    labels[0, 2:5], labels[0, 3] = 1, 2
    write_labels(tmp_path / "labelsTr/a.nii.gz", Volume(labels, np.eye(4)))
    write_image(tmp_path / "imagesTr/a_0000.nii.gz", Volume(labels.astype(np.float32), np.eye(4)))
    content = {
        "labels": {"background": 0, "whole": [1, 2], "core": [2], "ignore": 9},
        "regions_class_order": [1, 2],
    }
    (tmp_path / "dataset.json").write_text(json.dumps({**content, "channel_names": {"0": "MR"}}))
    assert main(["check", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "labels:   whole=1+2, core=2\nignored:  9" in printed
    assert "the ignore value 9 occurs in no case that could be read" in printed


def test_overrides_name_what_is_in_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.array([0, 1, -1]).reshape(1, -1, 1, 1)
    write_image(tmp_path / "images/a.nii", Volume(np.arange(3.0).reshape(values.shape), np.eye(4)))
    write_labels(tmp_path / "labels/a.nii", Volume(values, np.eye(4)))
    (tmp_path / "dataset.yaml").write_text("labels: {organ: 1}")
    assert main(["check", str(tmp_path)]) == 3
    assert "are not annotated, give dataset.ignore=-1." in capsys.readouterr().out
    main(["check", str(tmp_path), "dataset.ignore=-1", "dataset.channels=[MR]"])
    printed = capsys.readouterr().out
    assert "channels: MR\nlabels:   organ=1\nignored:  -1\n" in printed
    assert " error " not in printed
    assert main(["check", str(tmp_path), "network=unet"]) == 2
    assert (
        "network.name changes nothing about a dataset; check reads dataset.channels"
        in capsys.readouterr().err
    )


def test_every_file_that_cannot_be_read_is_a_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "ab":
        write_image(
            tmp_path / f"images/{name}.nii", Volume(np.arange(3.0).reshape(1, 3, 1, 1), np.eye(4))
        )
    write_image(
        tmp_path / "labels/a.nii", Volume(np.array([0, 0.5, 1]).reshape(1, 3, 1, 1), np.eye(4))
    )
    write_image(tmp_path / "labels/b.nii", Volume(np.ones((4, 1, 3, 1), np.uint8), np.eye(4)))
    assert main(["check", str(tmp_path)]) == 3
    printed = capsys.readouterr().out
    assert "labels:   none, because no label map can be read\n" in printed
    assert (
        "expected whole numbers as labels, found 1 voxel with another value, for example" in printed
    )
    assert "the axes 1 x 3 x 1 x 4, of which the first has length 1" in printed


def test_only_the_dataset_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(
        "usage: segkit check DATASET [KEY=VALUE ...] [-o DIR] [--fix-geometry OUT]"
    )
    assert printed.endswith("required: DATASET\n")


def test_two_paths_are_refused(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(dataset / "imagesTr"), str(dataset / "labelsTr")]) == 2
    assert "labelsTr'. Give the folder that holds both images and labels" in capsys.readouterr().err


def moved_label(dataset: Path) -> None:
    """Give a label map of the phantom an origin that is half a voxel off."""
    path = dataset / "labelsTr" / "phantom_A_001.nii.gz"
    labels = read_labels(path)
    affine = labels.affine.copy()
    affine[:3, 3] += affine[:3, 2] / 2
    write_labels(path, Volume(labels.array, affine))


def test_json_holds_the_problems(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved_label(dataset)
    assert main(["check", str(dataset), "--json"]) == 3
    content = json.loads(capsys.readouterr().out)
    assert (content["cases"], content["measured_cases"]) == (2, 1)
    assert content["counts"]["errors"] == 1
    (problem,) = [each for each in content["problems"] if each["severity"] == "error"]
    assert (problem["case"], problem["check"]) == ("phantom_A_001", "label_grid")
    assert problem["file"] == "labelsTr/phantom_A_001.nii.gz"
    assert "origin 1.2 mm off" in problem["message"]


def test_the_page_and_its_files(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["check", str(dataset), "-o", str(out)]) == 0
    assert f"page:         {out / 'report.html'}\n" in capsys.readouterr().out
    assert files_without_row(out, "Files of a check") == []
    assert len(list(out.iterdir())) == 12


def test_only_the_files_of_the_same_check_are_replaced(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "size.png").touch()
    words = ["check", str(dataset), "-o", str(out)]
    assert main(words) == 2
    assert f"{out} holds size.png of another command or of other inputs" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert main(words) == 0
    other = tmp_path / "other"
    shutil.copytree(dataset, other)
    assert main(["check", str(other), "-o", str(out)]) == 2
    assert main(["check", str(dataset), "--overwrite"]) == 2
    assert "--overwrite is about the files of -o" in capsys.readouterr().err


def test_a_corrected_copy(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved_label(dataset)
    out = tmp_path / "copy"
    assert main(["check", str(dataset), "--fix-geometry", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"Copy in {out}: 1 corrected, 0 refused, 1 unchanged." in printed
    assert "it is off by less than a voxel" in printed
    assert printed.endswith(f"Check the copy: segkit check {out}\n")
    assert main(["check", str(out)]) == 0
    assert main(["check", str(dataset)]) == 3  # the original is as it was
    assert main(["check", str(dataset), "--fix-geometry", str(out)]) == 2
    assert "exists and is not empty. Give a new folder" in capsys.readouterr().err


def test_the_page_is_not_written_among_the_scans(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = dataset / "dataset.json"
    before = sorted(dataset.rglob("*"))
    for folder in (dataset, dataset / "imagesTr", file):
        assert main(["check", str(dataset), "-o", str(folder)]) == 2
        assert "Give another folder" in capsys.readouterr().err
    copy = str(tmp_path / "copy")
    assert main(["check", str(dataset), "-o", copy, "--fix-geometry", copy]) == 2
    assert sorted(dataset.rglob("*")) == before


def test_an_error_that_stays_in_the_copy_is_exit_3(dataset: Path, tmp_path: Path) -> None:
    (dataset / "labelsTr" / "phantom_A_001.nii.gz").write_bytes(b"half")
    assert main(["check", str(dataset), "--fix-geometry", str(tmp_path / "copy")]) == 3


def test_long_messages_are_wrapped_on_a_terminal(
    dataset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    moved_label(dataset)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["check", str(dataset)]) == 3
    table = capsys.readouterr().out.partition("What to do:")[0].splitlines()[3:]
    assert max(map(len, table)) <= 80
    assert "phantom_A_001  error     label_grid  labelsTr/phantom_A_001.nii.gz" in table


def test_a_patient_in_two_folds_is_listed_with_the_other_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.zeros((1, 8, 8, 8), np.uint8)
    labels[0, 2:5, 2:5, 2:5] = 1
    for number in range(2):
        image = np.random.default_rng(number).normal(size=labels.shape).astype(np.float32)
        write_image(tmp_path / f"{number}.nii", Volume(image, np.eye(4)))
        write_labels(tmp_path / f"{number}_l.nii", Volume(labels, np.eye(4)))
    rows = [f"{n},{n}.nii,{n}_l.nii,P1,{n}" for n in range(2)]
    (tmp_path / "cases.csv").write_text("\n".join(["case,image,label,patient,split", *rows]))
    assert main(["check", str(tmp_path / "cases.csv")]) == 3
    printed = capsys.readouterr().out
    assert "a patient is in 2 folds: 0 in fold 0, 1 in fold 1" in printed
    assert "P1" not in printed  # no name of a patient


def test_a_check_that_ended_half_way_may_be_repeated(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ["check", str(dataset), "-o", str(tmp_path / "out")]
    with monkeypatch.context() as disk:
        disk.setattr(os, "replace", full_after_one_file())
        assert main(call) == 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["summary.json"]
    assert main(call) == 0
