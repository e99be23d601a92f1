"""Means of an evaluation for each group, with intervals that can be worked out by hand."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from segkit.cli import main
from segkit.errors import InputError, UsageError
from segkit.evaluation.by_group import by_group, rows_of_metric
from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.summary import Row
from segkit.io import write_labels
from segkit.report.evaluation_groups import groups_section, write_groups
from segkit.volume import Volume


def evaluation(**dice: float) -> Evaluation:
    rows = tuple(Row(case, "liver", "dice", value) for case, value in dice.items())
    cases = {case: {"dice": value} for case, value in dice.items()}
    summary = {"labels": {"liver": {}}, "mean": {"dice": 0.5}, "cases": cases}
    return Evaluation(rows, summary)


def test_means_and_intervals() -> None:
    found = by_group(evaluation(a=0.8, b=0.9, c=1.0, d=0.5), {"a": "X", "b": "X", "c": "X"})
    liver, mean, alone, _ = rows_of_metric(found)
    # The lowest mean of a bootstrap of three values is their lowest; it is expanded by sqrt(3 / 2)
    # and by the ratio of Student's t with 2 degrees of freedom to the normal distribution.
    assert (liver.group, liver.label, liver.cases) == ("X", "liver", 3)
    assert liver.mean == pytest.approx(0.9)
    assert liver.low == pytest.approx(0.9 - 0.1 * 1.5**0.5 * 4.303 / 1.96, abs=1e-4)
    assert liver.high == 1.0
    assert (mean.label, mean.mean) == ("mean", pytest.approx(0.9))
    assert (alone.group, alone.mean, alone.low, alone.high) == ("(none)", 0.5, None, None)


def test_scans_of_one_patient_are_no_independent_evidence() -> None:
    scans = evaluation(a=0.9, b=0.9, c=0.6, d=0.6)
    alike = dict.fromkeys("abcd", "X")
    apart = rows_of_metric(by_group(scans, alike))[0]
    found = rows_of_metric(by_group(scans, alike, {"a": "p", "b": "p", "c": "q", "d": "q"}))[0]
    assert (found.cases, found.patients, found.mean) == (4, 2, 0.75)
    assert (found.low, found.high) == (0, 1)  # 0.75 +- 12.7 * 0.15, with 1 degree of freedom
    assert apart.patients == 4
    assert apart.low is not None
    assert apart.low > 0.4


def test_no_group_at_all() -> None:
    with pytest.raises(InputError, match=r"some of the cases, found none for a.*--groups"):
        by_group(evaluation(a=0.8), {"x": "X"})


def test_a_label_with_the_name_of_the_mean() -> None:
    scans = evaluation(a=0.8)
    labels = {**scans.summary, "labels": {"mean": {}}}
    with pytest.raises(UsageError, match="a label is called 'mean'"):
        by_group(dataclasses.replace(scans, summary=labels), {"a": "X"})


def test_the_section_can_be_linked_to() -> None:
    section = groups_section(by_group(evaluation(a=0.8), {"a": "X"}))
    assert section.startswith('<h2 id="groups">')


def test_without_groups_the_report_is_as_before() -> None:
    assert groups_section(evaluation(a=0.8)) == ""


def test_csv(tmp_path: Path) -> None:
    path = write_groups(by_group(evaluation(a=0.8, b=0.9), {"a": "=X"}), tmp_path)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert rows[0] == {
        "group": "'=X",  # no formula in a spreadsheet
        "label": "liver",
        "metric": "dice",
        "cases": "1",
        "patients": "1",
        "mean": "0.8",
        "low": "",
        "high": "",
    }


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Predictions p of two cases, of which b is half of the reference r."""
    for folder, size in (("r", 4), ("p", 4)):
        for case in "ab":
            labels = np.zeros((1, 8, 4, 4), np.uint8)
            labels[:, : 2 if (folder, case) == ("p", "b") else size] = 1
            write_labels(tmp_path / folder / f"{case}.nii.gz", Volume(labels, np.eye(4)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_command(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("g.csv").write_text("case,site\na,Bern\nb,Ulm\n")
    words = ["evaluate", "p", "r", "-o", "out", "--by", "group"]
    assert main([*words, "--groups", "g.csv", "--column", "site"]) == 0
    printed = capsys.readouterr().out
    assert "Bern   label_1      1  1.0000" in printed
    assert "Ulm    label_1      1  0.6667" in printed
    assert str(Path("out/groups.csv")) in printed
    assert "Dice by group" in Path("out/report.html").read_text()
    groups = json.loads(Path("out/summary.json").read_text())["groups"]
    assert {row["group"] for row in groups} == {"Bern", "Ulm"}


def test_groups_that_a_model_has_found(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("p/predictions.json").write_text(json.dumps({"b": {"status": "done"}}))
    part = {"a": {"status": "done", "group": "group_2"}}  # of predict --shard
    Path("p/predictions-1-of-2.json").write_text(json.dumps(part))
    assert main(["evaluate", "p", "r", "--by", "group"]) == 0
    printed = capsys.readouterr().out
    assert "group_2  label_1      1  1.0000" in printed
    assert "(none)   label_1      1  0.6667" in printed


def test_groups_of_the_dataset(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{case},r/{case}.nii.gz,r/{case}.nii.gz,{case.upper()}" for case in "ab"]
    Path("d.csv").write_text("\n".join(["case,image,label,group", *rows]))
    assert main(["evaluate", "p", "d.csv", "--by", "group"]) == 0
    assert "B      foreground      1  0.6667" in capsys.readouterr().out


def test_patients_of_the_dataset_or_of_the_table(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{case},r/{case}.nii.gz,r/{case}.nii.gz,P,X" for case in "ab"]
    Path("d.csv").write_text("\n".join(["case,image,label,patient,group", *rows]))
    Path("g.csv").write_text("case,group,patient\na,X,P\nb,X,P\n")
    for words in (["p", "d.csv"], ["p", "r", "--groups", "g.csv"]):
        assert main(["evaluate", *words, "--by", "group"]) == 0
        printed = capsys.readouterr().out
        assert re.search(r"group +label +cases +patients +dice", printed)
        assert re.search(r"X +\w+ +2 +1 +0\.8333", printed)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--groups", "g.csv"], "--groups says what the groups of --by group are"),
        (["--by", "group", "--column", "x"], "--column names a column of the file of --groups"),
    ],
)
def test_flags_that_change_nothing(
    folders: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    assert main(["evaluate", "p", "r", *flags]) == 2
    assert message in capsys.readouterr().err
