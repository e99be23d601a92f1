"""Sections about lesions and calibration of all cases together."""

from __future__ import annotations

from segkit.report.evaluation.pooled import calibration_section, lesion_section


def test_nothing_was_measured() -> None:
    assert lesion_section({}) == calibration_section({}) == ""


def test_lesions_are_counted() -> None:
    counts = {"found": 3, "missed": 1, "false": 0, "f1": 6 / 7}
    text = lesion_section({"lesions": {"labels": {"liver": counts}}})
    assert '<td class="n" data-title="found">3</td>' in text
    assert "0.857" in text


def test_a_reliability_diagram_has_a_dot_for_each_bin_with_voxels() -> None:
    found = {
        "ece": 0.125,
        "brier": 0.25,
        "voxels": [4, 0, 8],
        "mean_probability": [0.1, None, 0.9],
        "share_in_reference": [0.0, None, 0.75],
    }
    labels = {"liver": {"dice": {"mean": 0.5}}}
    text = calibration_section(
        {"calibration": {"liver": found}, "distribution": {"labels": labels}}
    )
    assert text.count("<circle") == 2
    assert "<title>probability 0.900: 0.750 of 8 voxels</title>" in text
    assert "0.125" in text
