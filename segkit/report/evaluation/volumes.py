"""Volumes of prediction and reference: bias, limits of agreement, relative error, and charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segkit.evaluation.evaluate import Evaluation
from segkit.report.evaluation.case_table import number_text
from segkit.report.evaluation.charts import difference_chart, lowest_labels, volume_chart
from segkit.report.evaluation.results import interval_text
from segkit.report.page import paragraph
from segkit.report.tables import html_table

RELATIVE = "relative_volume_error"
EXPLANATION = (
    "The bias is the mean of prediction minus reference, with its 95 % interval. The limits of"
    " agreement are the bias plus and minus 1.96 standard deviations (Bland and Altman 1986). The"
    " relative error is prediction minus reference as a share of the reference; where the reference"
    " is empty it is infinite and left out of the mean. Cases with the label in neither mask do not"
    " count."
)

TWO_UNITS = (
    "Some volumes are in ml, and those of pictures without spacing are in px, so that they have no"
    " common scale. Evaluate the scans and the pictures one at a time to compare them."
)


def volume_section(evaluation: Evaluation, summary: Mapping[str, Any]) -> str:
    """Return the section about volumes as HTML; "" for an evaluation without volumes.

    Args:
        evaluation: the evaluation.
        summary: its summary, with distributions and agreement.
    """
    agreement = summary["agreement"]
    if len(summary["unit"]) > 1:
        return f'<h2 id="volumes">Volumes</h2>\n{paragraph(TWO_UNITS)}'
    if not agreement:
        return ""
    unit = "px" if summary["unit"] == ["px"] else "ml"
    header = [
        "label",
        "cases",
        f"bias ({unit})",
        "95 % interval",
        f"limits of agreement ({unit})",
        "relative error, mean",
        "95 % interval",
        "relative error, median",
    ]
    rows = [
        [label, *_cells(found), *_relative(summary, label)] for label, found in agreement.items()
    ]
    charts = [
        drawing
        for label in lowest_labels(summary)
        if label in agreement
        for drawing in _charts(evaluation, label, agreement[label], unit)
    ]
    return (
        f'<h2 id="volumes">Volumes</h2>\n{html_table(header, rows)}\n{paragraph(EXPLANATION)}\n'
        f'<div class="charts">{"".join(charts)}</div>'
    )


def _cells(found: Mapping[str, Any]) -> list[str]:
    return [
        str(found["cases"]),
        number_text(found["bias"]),
        interval_text(found["bias_low"], found["bias_high"]),
        interval_text(found["lower_limit"], found["upper_limit"]),
    ]


def _relative(summary: Mapping[str, Any], label: str) -> list[str]:
    found = summary["distribution"]["labels"][label].get(RELATIVE)
    if found is None or found["mean"] is None:
        return ["-", "-", "-"]
    low, high = found["low"], found["high"]
    interval = "-" if low is None else f"{_percent(low)} to {_percent(high)}"
    return [_percent(found["mean"]), interval, _percent(found["median"])]


def _percent(share: float) -> str:
    return f"{100 * share:+.1f}\N{NO-BREAK SPACE}%"


def _charts(
    evaluation: Evaluation, label: str, found: Mapping[str, Any], unit: str
) -> tuple[str, str]:
    volumes = {case: both for (case, name), both in evaluation.volumes.items() if name == label}
    return volume_chart(volumes, label, unit), difference_chart(volumes, found, label, unit)
