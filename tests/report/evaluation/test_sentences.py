"""Sentences of the report: what it says first, and why values are left out."""

from __future__ import annotations

from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.measure import LabelResult
from segkit.evaluation.summary import rows_of, summarize
from segkit.report.evaluation.lead import lead
from segkit.report.evaluation.missing import left_out_sentences
from segkit.report.evaluation_page import with_statistics


def test_the_lowest_label_of_a_single_case_has_no_interval() -> None:
    results = {
        "a": {name: LabelResult("both", {"dice": v}) for name, v in (("x", 0.5), ("y", 0.75))}
    }
    summary = {**summarize(results), "references_without_prediction": []}
    found = with_statistics(Evaluation(tuple(rows_of(results)), summary)).summary
    page = "".join(lead(found, [], (), {}))
    assert "<p>The label with the lowest mean is x: 0.500.</p>" in page


def test_calibration_is_undefined_for_a_reason_of_its_own() -> None:
    counts = {"infinite": {}, "undefined": {"precision": 1, "ece": 1, "brier": 1}}
    precision, calibration = left_out_sentences({"counts": {"cyst": counts}})
    assert precision.startswith("cyst: precision is undefined in 1 case, because there is nothing")
    assert calibration.startswith(
        "cyst: ece, brier are undefined in 1 case, because no probabilities of the label lie beside"
    )
