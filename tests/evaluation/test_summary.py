"""Tests of means, counts and spread that can be worked out by hand."""

from __future__ import annotations

import math

from segkit.evaluation.measure import LabelResult
from segkit.evaluation.summary import rows_of, summarize

RESULTS = {
    "one": {
        "liver": LabelResult("both", {"dice": 0.8, "hd95_mm": 2.0}),
        "spleen": LabelResult("both", {"dice": 1.0, "hd95_mm": 0.0}),
        "cyst": LabelResult("neither", {}),
    },
    "two": {
        "liver": LabelResult("reference only", {"dice": 0.0, "hd95_mm": math.inf}),
        "spleen": LabelResult("both", {"dice": 0.6, "hd95_mm": 4.0}),
        "cyst": LabelResult("neither", {}),
    },
}


def test_dice_of_a_lost_label_counts_and_its_distance_does_not() -> None:
    summary = summarize(RESULTS)
    assert summary["labels"]["liver"] == {"dice": 0.4, "hd95_mm": 2.0}
    assert summary["counts"]["liver"]["infinite"] == {"hd95_mm": 1}
    assert summary["counts"]["liver"]["reference_only"] == 1


def test_a_metric_without_a_value_is_counted_where_the_label_occurs() -> None:
    results = {
        "one": {"liver": LabelResult("both", {"dice": 0.5, "precision": 0.5})},
        "two": {"liver": LabelResult("reference only", {"dice": 0.0}, ("precision",))},
        "three": {"liver": LabelResult("neither", {})},
    }
    assert summarize(results)["counts"]["liver"]["undefined"] == {"precision": 1}


def test_the_mean_is_over_labels() -> None:
    assert summarize(RESULTS)["mean"] == {"dice": (0.4 + 0.8) / 2, "hd95_mm": 2.0}


def test_a_label_in_neither_has_no_row_and_no_mean() -> None:
    summary = summarize(RESULTS)
    assert {row.label for row in rows_of(RESULTS)} == {"liver", "spleen"}
    assert summary["labels"]["cyst"] == {"dice": None, "hd95_mm": None}
    assert summary["counts"]["cyst"]["neither"] == 2


def test_spread_and_cases() -> None:
    summary = summarize(RESULTS)
    assert summary["spread"]["spleen"]["hd95_mm"] == {
        "n": 2,
        "sd": math.sqrt(8),
        "min": 0.0,
        "max": 4.0,
    }
    assert summary["spread"]["liver"]["hd95_mm"]["sd"] is None
    assert summary["cases"]["two"] == {"dice": 0.3, "hd95_mm": 4.0}


def test_nothing_to_compare() -> None:
    assert summarize({"one": {}})["mean"] == {}
