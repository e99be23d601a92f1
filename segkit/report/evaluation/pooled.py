"""Lesions and probabilities of all cases together, for an evaluation that has measured them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkit.report.evaluation.case_table import number_text
from segkit.report.evaluation.charts import HEIGHT, lowest_labels
from segkit.report.page import paragraph
from segkit.report.svg import (
    MARGIN_BOTTOM,
    MARGIN_LEFT,
    MARGIN_RIGHT,
    MARGIN_TOP,
    WIDTH,
    Axis,
    chart,
    horizontal,
    line,
    points,
    vertical,
)
from segkit.report.tables import Cell, html_table

CALIBRATION = (
    "A reliability diagram compares what the model says with what is true: of the voxels to which"
    " it gives a probability of about 0.8, 80 % should be in the reference, as on the dashed line."
    " Dots below the line: the model is surer than it should be. The ECE is the mean distance from"
    " the line, the Brier score the mean squared error of the probabilities; 0 is perfect for both."
)


def lesion_section(summary: Mapping[str, Any]) -> str:
    """Return the numbers of lesions of all cases as HTML; "" if they were not counted."""
    labels = summary.get("lesions", {}).get("labels", {})
    if not labels:
        return ""
    rows: list[list[Cell]] = [
        [label, counts["found"], counts["missed"], counts["false"], number_text(counts["f1"])]
        for label, counts in labels.items()
    ]
    header = ["label", "found", "missed", "false", "F1"]
    return f'<h2 id="lesions">Lesions of all cases</h2>\n{html_table(header, rows)}'


def calibration_section(summary: Mapping[str, Any]) -> str:
    """Return how well probabilities are calibrated, as HTML; "" if that was not measured."""
    labels = summary.get("calibration", {})
    if not labels:
        return ""
    rows: list[list[Cell]] = [
        [label, number_text(found["ece"]), number_text(found["brier"])]
        for label, found in labels.items()
    ]
    charts = "".join(
        _reliability_chart(label, labels[label])
        for label in lowest_labels(summary)
        if label in labels
    )
    return (
        '<h2 id="calibration">Do the probabilities mean what they say?</h2>\n'
        f"{html_table(['label', 'ECE', 'Brier score'], rows)}\n{paragraph(CALIBRATION)}\n"
        f'<div class="charts">{charts}</div>'
    )


def _reliability_chart(label: str, found: Mapping[str, Any]) -> str:
    across = Axis(0, 1, MARGIN_LEFT, WIDTH - MARGIN_RIGHT)
    up = Axis(0, 1, HEIGHT - MARGIN_BOTTOM, MARGIN_TOP)
    bins = [
        (probability, share, voxels)
        for probability, share, voxels in zip(
            found["mean_probability"], found["share_in_reference"], found["voxels"], strict=True
        )
        if voxels
    ]
    names = [
        f"probability {number_text(probability)}: {number_text(share)} of {voxels} voxels"
        for probability, share, voxels in bins
    ]
    places = [(across.at(probability), up.at(share)) for probability, share, _ in bins]
    parts = [
        horizontal(across, up.start, "probability", top=up.end),
        vertical(up, across.start, "share in the reference", right=across.end),
        line(across.start, up.start, across.end, up.end, "dashed"),
        points(places, names),
    ]
    words = f"{label}: share of voxels in the reference against their probability. ECE"
    return chart(parts, HEIGHT, f"{words} {number_text(found['ece'])}.")
