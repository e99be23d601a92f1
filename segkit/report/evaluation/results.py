"""Tables of an evaluation: mean, interval, median and quartiles of each metric and label."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from segkit.evaluation.metrics import metric_of
from segkit.evaluation.resamples import DRAWS
from segkit.report.evaluation.case_table import number_text
from segkit.report.page import paragraph
from segkit.report.tables import html_table

HEADER = ["label", "mean", "95 % interval", "median", "middle half", "lowest", "highest", "cases"]
DICE = "dice"
MEAN = "all labels"
"""Name of the row of the mean over the labels of each case."""


def dice_section(summary: Mapping[str, Any], chart: str) -> str:
    """Return the section about the Dice of each label as HTML.

    Args:
        summary: summary of the evaluation, with distributions.
        chart: chart of the distributions as HTML.
    """
    return (
        '<h2 id="labels">Dice per label</h2>\n'
        f"{metric_table(summary, DICE)}\n{paragraph(how_sure(summary))}\n{chart}"
    )


def other_metrics(
    summary: Mapping[str, Any], titles: Mapping[str, str], charts: Mapping[str, str]
) -> str:
    """Return the section about all other metrics as HTML; "" if there are none.

    Args:
        summary: summary of the evaluation, with distributions.
        titles: title of each metric.
        charts: chart of the distributions of each metric as HTML.
    """
    parts = [
        f"<h3>{html.escape(titles[metric])}</h3>\n{paragraph(_direction(metric))}\n"
        f"{metric_table(summary, metric)}\n{charts.get(metric, '')}"
        for metric in summary["mean"]
        if metric != DICE
    ]
    if not parts:
        return ""
    return '<h2 id="metrics">Other metrics</h2>\n' + "\n".join(parts)


def how_sure(summary: Mapping[str, Any]) -> str:
    """Return the sentences that say what the intervals are."""
    found = summary["distribution"]["mean"].get(DICE)
    by_patient = found is not None and found["patients"] < found["values"]
    over = "patients, because some have several cases" if by_patient else "cases"
    several = (
        f' The row "{MEAN}" is about the mean over the labels of each case, so that a label that is'
        " in few cases weighs less than in the table on the terminal, which averages the means of"
        " the labels."
    )
    return (
        "If these cases are a random sample, about 95 of 100 such intervals contain the mean over"
        f" all cases of their kind. They are a bootstrap over the {over} ({DRAWS:,} resamples,"
        " widened where there are few). The middle half runs from the first to the third quartile"
        " (interquartile range)."
    ) + several * (len(summary["labels"]) > 1)


def metric_table(summary: Mapping[str, Any], metric: str) -> str:
    """Return the table of one metric as HTML, a row per label and one for the mean over labels."""
    distribution = summary["distribution"]
    rows = [[label, *_cells(metrics[metric])] for label, metrics in distribution["labels"].items()]
    if len(rows) > 1:
        rows.append([MEAN, *_cells(distribution["mean"][metric])])
    return html_table(HEADER, rows)


def interval_text(low: float | None, high: float | None) -> str:
    """Return an interval in words.

    >>> interval_text(0.5, 0.75), interval_text(None, None)
    ('0.500 to 0.750', '-')
    """
    if low is None or high is None:
        return "-"
    return f"{number_text(low)} to {number_text(high)}"


def _cells(found: Mapping[str, Any]) -> Sequence[str]:
    return [
        number_text(found["mean"]),
        interval_text(found["low"], found["high"]),
        number_text(found["median"]),
        interval_text(found["q1"], found["q3"]),
        number_text(found["minimum"]),
        number_text(found["maximum"]),
        str(found["values"]),
    ]


def _direction(metric: str) -> str:
    return {
        "highest": "Higher is better.",
        "lowest": "Lower is better.",
        "nearest to 0": "Nearest to 0 is best.",
    }[metric_of(metric).best]
