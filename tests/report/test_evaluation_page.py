"""Tests of the four files of an evaluation."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.measure import LabelResult
from segkit.evaluation.summary import rows_of, summarize
from segkit.report.evaluation_page import (
    ReportOptions,
    _comparison,
    absence_rows,
    label_rows,
    page,
    with_statistics,
    write_evaluation,
)

RESULTS = {
    "good": {
        "liver": LabelResult("both", {"dice": 0.9, "hd95_mm": 1.0}),
        "cyst": LabelResult("neither", {}),
    },
    "bad": {"liver": LabelResult("reference only", {"dice": 0.0, "hd95_mm": math.inf})},
}


@pytest.fixture
def evaluation() -> Evaluation:
    more = {"tolerance": 1.0, "unit": ["mm"], "references_without_prediction": ["ugly"]}
    more |= {"predictions": "ours", "references": "<theirs>"}
    return Evaluation(tuple(rows_of(RESULTS)), {**summarize(RESULTS), **more})


def test_files(tmp_path: Path, evaluation: Evaluation) -> None:
    table, cases, summary, report = write_evaluation(evaluation, tmp_path / "new")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert rows[0] == {"case": "good", "label": "liver", "metric": "dice", "value": "0.9"}
    assert rows[-1]["value"] == "inf"
    assert json.loads(summary.read_text(), parse_constant=pytest.fail)["mean"]["hd95_mm"] == 1.0
    assert report.read_text().startswith("<!doctype html>")
    assert list(csv.DictReader(cases.read_text().splitlines())) == [
        {
            "case": "good",
            "mean_dice": "0.9",
            "mean_hd95_mm": "1",
            "dice:liver": "0.9",
            "dice:cyst": "",
        },
        {"case": "bad", "mean_dice": "0", "mean_hd95_mm": "", "dice:liver": "0", "dice:cyst": ""},
    ]
    assert len(list((tmp_path / "new").iterdir())) == 4


def test_the_page_loads_nothing_and_shows_the_worst_case_first(evaluation: Evaluation) -> None:
    text = page(with_statistics(evaluation), ReportOptions())
    assert "<p>ours against &lt;theirs&gt;: 2 cases, 2 labels.</p>" in text
    assert "http" not in text
    assert "src=" not in text
    assert "<canvas" not in text  # without files there is nothing to view
    assert text.index('<th scope="row">bad</th>') < text.index('<th scope="row">good</th>')
    assert "1 reference has no prediction: ugly." in text
    assert "the mean Dice would be 0.300 instead of 0.450" in text  # 0.9, 0 and 0
    assert "within 1 mm of the other surface" in text


def test_statistics_are_in_the_summary(tmp_path: Path, evaluation: Evaluation) -> None:
    summary = json.loads(write_evaluation(evaluation, tmp_path)[2].read_text())
    dice = summary["distribution"]["labels"]["liver"]["dice"]
    assert (dice["values"], dice["mean"], dice["median"]) == (2, 0.45, 0.45)
    assert (dice["low"], dice["high"]) == (0.0, 1.0)  # of two values; Dice ends at 0 and 1
    assert summary["distribution"]["labels"]["cyst"]["dice"]["mean"] is None
    assert summary["agreement"] == {}


def test_one_case_and_one_label_are_no_plurals() -> None:
    summary = {"predictions": "a", "references": "b", "cases": {"c": {}}, "labels": {"liver": {}}}
    assert _comparison(summary) == "a against b: 1 case, 1 label."


def test_label_rows_end_with_the_mean(evaluation: Evaluation) -> None:
    header, rows = label_rows(evaluation)
    assert header == ["label", "cases", "dice", "hd95_mm"]
    assert rows == [["liver", 2, 0.45, 1.0], ["cyst", 0, None, None], ["mean", 2, 0.45, 1.0]]


def test_absences(evaluation: Evaluation) -> None:
    assert absence_rows(evaluation) == [["liver", 1, 0, 0], ["cyst", 0, 0, 2]]
