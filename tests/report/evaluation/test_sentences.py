"""Sentences of the report: what it says first, and why values are left out."""

from __future__ import annotations

from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.measure import LabelResult
from segkit.evaluation.summary import rows_of, summarize
from segkit.report.evaluation.lead import lead
from segkit.report.evaluation.missing import left_out_sentences
from segkit.report.evaluation.results import how_sure
from segkit.report.evaluation.volumes import volume_section
from segkit.report.evaluation_page import with_statistics


def test_volumes_in_ml_and_in_px_have_no_common_scale() -> None:
    results = {
        "scan": {"x": LabelResult("both", {"dice": 1.0}, volumes=(2.0, 1.0))},
        "picture": {"x": LabelResult("both", {"dice": 1.0}, volumes=(200.0, 100.0))},
    }
    volumes = {(case, "x"): found["x"].volumes for case, found in results.items()}
    summary = {**summarize(results), "unit": ["mm", "px"]}
    found = with_statistics(Evaluation(tuple(rows_of(results)), summary, volumes))
    assert found.summary["agreement"] == {}
    section = volume_section(found, found.summary)
    assert "Some volumes are in ml, and those of pictures" in section
    assert "<table" not in section


def test_the_mean_over_labels_is_told_from_that_of_the_terminal() -> None:
    results = {
        "a": {name: LabelResult("both", {"dice": v}) for name, v in (("x", 0.5), ("y", 1.0))},
        "b": {"x": LabelResult("both", {"dice": 0.5})},
    }
    summary = with_statistics(Evaluation(tuple(rows_of(results)), summarize(results))).summary
    assert summary["mean"]["dice"] == 0.75
    assert summary["distribution"]["mean"]["dice"]["mean"] == 0.625
    assert 'The row "all labels" is about the mean over the labels of each case' in how_sure(
        summary
    )


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
