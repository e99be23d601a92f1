"""Write an evaluation as files: metrics.csv, cases.csv, summary.json and report.html."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from segkit.evaluation.agreement import agreements
from segkit.evaluation.distribution import distributions, patients_of
from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.metrics import ALWAYS, RULES, definitions
from segkit.files.atomic import write_text
from segkit.report.evaluation.case_table import case_section
from segkit.report.evaluation.cases import case_facts
from segkit.report.evaluation.charts import distribution_chart, lowest_labels
from segkit.report.evaluation.lead import lead
from segkit.report.evaluation.missing import missing_section
from segkit.report.evaluation.pooled import calibration_section, lesion_section
from segkit.report.evaluation.provenance import provenance_section
from segkit.report.evaluation.results import dice_section, other_metrics
from segkit.report.evaluation.viewer import viewer_section
from segkit.report.evaluation.volumes import volume_section
from segkit.report.evaluation.worst_cases import draw_worst_cases
from segkit.report.evaluation_groups import groups_section
from segkit.report.left_out import HEADER, TITLE, left_out_rows
from segkit.report.page import html_page, paragraph
from segkit.report.tables import Cell, csv_text, html_table
from segkit.volume import Unit

FILES = ("metrics.csv", "cases.csv", "summary.json", "report.html")
"""Names of the files of an evaluation."""


@dataclass(frozen=True)
class ReportOptions:
    """Choices for a report: what it draws, and what it says about its origin."""

    scans: Path | None = None
    """Folder with the scans; None for those of the dataset or of the run records."""
    pictures: int = 8
    """Number of cases to draw, the worst first."""
    command: str = ""
    """Command that was typed; "" if the evaluation was started from Python."""


def write_evaluation(
    evaluation: Evaluation, folder: str | Path, options: ReportOptions | None = None
) -> tuple[Path, Path, Path, Path]:
    """Write the four files of an evaluation and return their paths.

    They are metrics.csv (all values), cases.csv (a row per case), summary.json (means and
    distributions) and report.html. Besides the numbers, one case at a time is in memory.
    """
    folder = Path(folder)
    evaluation = with_statistics(evaluation)
    metrics, cases, means, report = (folder / name for name in FILES)
    paths = metrics, cases, means, report
    texts = (
        metrics_csv(evaluation),
        cases_csv(evaluation),
        json.dumps(evaluation.summary, indent=2, ensure_ascii=False) + "\n",
        page(evaluation, options or ReportOptions()),
    )
    # The record first, so that the same call may renew the files of one that was killed.
    for path, text in sorted(zip(paths, texts, strict=True), key=lambda pair: pair[0] != means):
        write_text(path, text)
    return paths


def with_statistics(evaluation: Evaluation) -> Evaluation:
    """Return the evaluation with distributions and agreement of volumes in its summary."""
    statistics = {"distribution": distributions(evaluation), "agreement": agreements(evaluation)}
    return replace(evaluation, summary={**evaluation.summary, **statistics})


def metrics_csv(evaluation: Evaluation) -> str:
    """Return the content of metrics.csv, one value per row; infinite distances appear as inf."""
    rows = ([row.case, row.label, row.metric, f"{row.value:.6g}"] for row in evaluation.rows)
    return csv_text(["case", "label", "metric", "value"], rows)


def cases_csv(evaluation: Evaluation) -> str:
    """Return the content of cases.csv, one case per row.

    The columns are the mean of each metric over the labels, and the Dice of each label. A cell is
    empty if the label is in neither mask, or if all distances are infinite.
    """
    summary = evaluation.summary
    metrics, labels = list(summary["mean"]), list(summary["labels"])
    dice = {(row.case, row.label): row.value for row in evaluation.rows if row.metric == "dice"}
    columns = [
        "case",
        *(f"mean_{metric}" for metric in metrics),
        *(f"dice:{label}" for label in labels),
    ]
    rows = []
    for case, means in summary["cases"].items():
        values = [
            *(means[metric] for metric in metrics),
            *(dice.get((case, label)) for label in labels),
        ]
        rows.append([case, *("" if value is None else f"{value:.6g}" for value in values)])
    return csv_text(columns, rows)


def label_rows(evaluation: Evaluation) -> tuple[list[str], list[list[Cell]]]:
    """Return the header and rows of the means per label; the last row is the mean over labels."""
    summary = evaluation.summary
    metrics = list(summary["mean"])
    rows: list[list[Cell]] = [
        [label, _in_either(summary["counts"][label]), *(means.get(metric) for metric in metrics)]
        for label, means in summary["labels"].items()
    ]
    cases = len(summary["cases"])
    return ["label", "cases", *_titles(summary)], [
        *rows,
        ["mean", cases, *summary["mean"].values()],
    ]


def _titles(summary: Mapping[str, Any]) -> list[str]:
    """Return column titles for the metrics; the one for surface Dice includes the tolerance."""
    tolerance = f"{summary['tolerance']:g} {' or '.join(summary['unit'])}"
    return [
        f"{metric} ({tolerance})" if metric == "surface_dice" else metric
        for metric in summary["mean"]
    ]


def absence_rows(evaluation: Evaluation) -> list[list[Cell]]:
    """Return rows of a label and its numbers of cases with it in only one mask or in neither.

    The columns are reference only, prediction only, and neither. Labels that are in both masks of
    every case have no row.
    """
    rows: list[list[Cell]] = [
        [label, counts["reference_only"], counts["prediction_only"], counts["neither"]]
        for label, counts in evaluation.summary["counts"].items()
        if counts["reference_only"] or counts["prediction_only"] or counts["neither"]
    ]
    return rows


def page(evaluation: Evaluation, options: ReportOptions) -> str:
    """Return the report as a self-contained HTML page.

    Args:
        evaluation: the evaluation, with its statistics.
        options: what to draw.
    """
    summary = evaluation.summary
    facts = case_facts(evaluation)
    worst = draw_worst_cases(evaluation, facts, most=options.pictures, scans=options.scans)
    titles = dict(zip(summary["mean"], _titles(summary), strict=True))
    charts = {metric: _chart(evaluation, metric, title) for metric, title in titles.items()}
    sections = {
        "labels": dice_section(summary, charts["dice"]) if "dice" in titles else "",
        "worst": worst.section(),
        "view": viewer_section(worst.viewed, len(worst.pictures)),
        "cases": case_section(facts, list(summary["labels"]), worst.pictures),
        "volumes": volume_section(evaluation, summary),
        "metrics": other_metrics(summary, titles, charts),
        "lesions": lesion_section(summary),
        "calibration": calibration_section(summary),
        "groups": groups_section(evaluation),
        "missing": missing_section(evaluation) + _absences(evaluation),
        "provenance": provenance_section(summary, facts, options.command),
        "definitions": '<h2 id="definitions">What the numbers mean</h2>\n'
        + definition_list(summary),
    }
    parts = [
        "<h1>Evaluation</h1>",
        paragraph(_comparison(summary)),
        *lead(summary, facts, worst.pictures, patients_of(evaluation)),
        _contents(sections),
        *sections.values(),
        f"<script>{asset('sorting.js')}</script>",
    ]
    return html_page("Evaluation", parts, style=asset("report.css"))


def asset(name: str) -> str:
    """Return the text of a file that is part of the page."""
    return resources.files("segkit.report.evaluation").joinpath(name).read_text(encoding="utf-8")


def _contents(sections: Mapping[str, str]) -> str:
    """Return links to the sections that there are."""
    links = [
        f'<a href="#{name}">{found[1]}</a>'
        for name, section in sections.items()
        if (found := re.search(r"<h2 id=[^>]*>(.*?)</h2>", section))
    ]
    return f'<nav aria-label="Sections">{" ".join(links)}</nav>'


def _chart(evaluation: Evaluation, metric: str, title: str) -> str:
    """Return the chart of the distribution of a metric over the cases, as HTML."""
    summary = evaluation.summary
    labels = lowest_labels(summary)
    values: dict[str, dict[str, float]] = {label: {} for label in labels}
    for row in evaluation.rows:
        if row.metric == metric and row.label in values:
            values[row.label][row.case] = row.value
    found = {label: summary["distribution"]["labels"][label][metric] for label in labels}
    return distribution_chart(values, found, title)


def definition_list(summary: Mapping[str, Any]) -> str:
    """Return a list of the definitions of the metrics, as HTML."""
    tolerance, units = summary["tolerance"], summary["unit"]
    unit: Unit = "px" if units == ["px"] else "mm"
    families = (*ALWAYS, *summary.get("families", ()))
    entries = definitions(f"{tolerance:g} {' or '.join(units)}", unit, families)
    items = "\n".join(
        f"<li><b>{name}</b>: {html.escape(text)}</li>" for name, text in entries.items()
    )
    return f"<ul>\n{items}\n</ul>\n{paragraph(RULES)}"


def _in_either(counts: dict[str, int]) -> int:
    """Return the number of cases in which the label occurs in at least one of the two masks."""
    return counts["both"] + counts["reference_only"] + counts["prediction_only"]


def _comparison(summary: Mapping[str, Any]) -> str:
    cases, labels = len(summary["cases"]), len(summary["labels"])
    ignore = summary.get("ignore")
    ignored = "" if ignore is None else f" Voxels with {ignore} in the reference are excluded."
    counts = (
        f"{cases} {'case' if cases == 1 else 'cases'},"
        f" {labels} {'label' if labels == 1 else 'labels'}"
    )
    return f"{summary['predictions']} against {summary['references']}: {counts}.{ignored}"


def _absences(evaluation: Evaluation) -> str:
    rows = absence_rows(evaluation)
    header = ["label", "in the reference only", "in the prediction only", "in neither"]
    tables = [("Number of cases with missing labels", header, rows)]
    tables.append((TITLE.removesuffix(":"), HEADER, left_out_rows(evaluation.summary)))
    return "\n".join(
        f"<h3>{title}</h3>\n{html_table(columns, cells)}"
        for title, columns, cells in tables
        if cells
    )
