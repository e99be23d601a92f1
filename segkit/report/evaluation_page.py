"""Write an evaluation as files: metrics.csv, cases.csv, summary.json and report.html."""

from __future__ import annotations

import html
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.metrics import RULES, definitions
from segkit.files.atomic import write_text
from segkit.report.evaluation_groups import groups_section
from segkit.report.left_out import HEADER, TITLE, left_out_rows
from segkit.report.page import html_page, paragraph
from segkit.report.tables import Cell, csv_text, html_table
from segkit.volume import Unit


def write_evaluation(evaluation: Evaluation, folder: str | Path) -> tuple[Path, Path, Path, Path]:
    """Write the four files of an evaluation and return their paths.

    They are metrics.csv (all values), cases.csv (a row per case), summary.json (means) and
    report.html.
    """
    folder = Path(folder)
    paths = (
        folder / "metrics.csv",
        folder / "cases.csv",
        folder / "summary.json",
        folder / "report.html",
    )
    texts = (
        metrics_csv(evaluation),
        cases_csv(evaluation),
        json.dumps(evaluation.summary, indent=2, ensure_ascii=False) + "\n",
        page(evaluation),
    )
    for path, text in zip(paths, texts, strict=True):
        write_text(path, text)
    return paths


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


def page(evaluation: Evaluation) -> str:
    """Return the report as a self-contained HTML page."""
    header, rows = label_rows(evaluation)
    parts = [
        "<h1>Evaluation</h1>",
        paragraph(_comparison(evaluation.summary)),
        paragraph(_left_over(evaluation)),
        "<h2>Means per label</h2>",
        html_table(header, rows),
        groups_section(evaluation),
        _absences(evaluation),
        "<h2>Spread over the cases</h2>",
        html_table(
            ["label", "metric", "values", "mean", "sd", "min", "max"], _spread_rows(evaluation)
        ),
        "<h2>Cases, worst first</h2>",
        html_table(*_case_rows(evaluation)),
        "<h2>What the numbers mean</h2>",
        definition_list(evaluation),
    ]
    return html_page("Evaluation", parts)


def definition_list(evaluation: Evaluation) -> str:
    """Return a list of the definitions of the metrics, as HTML."""
    tolerance, units = evaluation.summary["tolerance"], evaluation.summary["unit"]
    unit: Unit = "px" if units == ["px"] else "mm"
    entries = definitions(f"{tolerance:g} {' or '.join(units)}", unit)
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


def _left_over(evaluation: Evaluation) -> str:
    missing = evaluation.summary["references_without_prediction"]
    return f"References without a prediction: {', '.join(missing)}." if missing else ""


def _absences(evaluation: Evaluation) -> str:
    rows = absence_rows(evaluation)
    header = ["label", "in the reference only", "in the prediction only", "in neither"]
    tables = [("Number of cases with missing labels", header, rows)]
    tables.append((TITLE.removesuffix(":"), HEADER, left_out_rows(evaluation.summary)))
    return "\n".join(
        f"<h2>{title}</h2>\n{html_table(columns, cells)}"
        for title, columns, cells in tables
        if cells
    )


def _spread_rows(evaluation: Evaluation) -> list[list[Cell]]:
    return [
        [
            label,
            metric,
            spread["n"],
            evaluation.summary["labels"][label][metric],
            *(spread[key] for key in ("sd", "min", "max")),
        ]
        for label, by_metric in evaluation.summary["spread"].items()
        for metric, spread in by_metric.items()
    ]


def _case_rows(evaluation: Evaluation) -> tuple[list[str], Sequence[Sequence[Cell]]]:
    """Return the header and rows of each case and label, by mean Dice of the case, then by Dice."""
    metrics = list(evaluation.summary["mean"])
    values: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in evaluation.rows:
        values[row.case, row.label][row.metric] = row.value
    means = evaluation.summary["cases"]

    def worst_first(case_and_label: tuple[str, str]) -> tuple[float, str, float]:
        case, _ = case_and_label
        mean = means[case]["dice"]
        return (math.inf if mean is None else mean), case, values[case_and_label]["dice"]

    rows = [
        [*key, *(values[key].get(metric) for metric in metrics)]
        for key in sorted(values, key=worst_first)
    ]
    return ["case", "label", *_titles(evaluation.summary)], rows
