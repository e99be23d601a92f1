"""An evaluation as files: metrics.csv, cases.csv, summary.json and report.html. Renders, computes nothing."""

from __future__ import annotations

import html
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.evaluation.evaluate import Evaluation
from segkit.files.atomic import write_text
from segkit.report.page import html_page, paragraph
from segkit.report.tables import Cell, csv_text, html_table


def write_evaluation(evaluation: Evaluation, folder: str | Path) -> tuple[Path, Path, Path, Path]:
    """Write the four files into ``folder`` and return their paths: all values, a row per case, the means, the page."""
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
    """Tidy rows; an infinite distance is written as inf."""
    rows = ([row.case, row.label, row.metric, f"{row.value:.6g}"] for row in evaluation.rows)
    return csv_text(["case", "label", "metric", "value"], rows)


def cases_csv(evaluation: Evaluation) -> str:
    """Return a row per case: the mean of each metric over its labels, and the Dice of each label.

    What has no value is empty: a label that is in neither mask, and a mean of infinite distances.
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
    """Header and rows of the table label x mean of each metric; the last row is the mean over labels."""
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
    """Return the metrics as heads of columns: surface Dice means nothing without its tolerance."""
    tolerance = f"{summary['tolerance']:g} {' or '.join(summary['unit'])}"
    return [
        f"{metric} ({tolerance})" if metric == "surface_dice" else metric
        for metric in summary["mean"]
    ]


def absence_rows(evaluation: Evaluation) -> list[list[Cell]]:
    """Label, missed, invented, in neither: only labels that are not in both masks of every case."""
    rows: list[list[Cell]] = [
        [label, counts["reference_only"], counts["prediction_only"], counts["neither"]]
        for label, counts in evaluation.summary["counts"].items()
        if counts["reference_only"] or counts["prediction_only"] or counts["neither"]
    ]
    return rows


def page(evaluation: Evaluation) -> str:
    """The report as one HTML page that loads nothing from anywhere."""
    header, rows = label_rows(evaluation)
    parts = [
        "<h1>Evaluation</h1>",
        paragraph(_compared(evaluation.summary)),
        paragraph(_left_over(evaluation)),
        "<h2>Means per label</h2>",
        html_table(header, rows),
        _absences(evaluation),
        "<h2>Spread over the cases</h2>",
        html_table(
            ["label", "metric", "values", "mean", "sd", "min", "max"], _spread_rows(evaluation)
        ),
        "<h2>Cases, worst first</h2>",
        html_table(*_case_rows(evaluation)),
        "<h2>What the numbers mean</h2>",
        definitions(evaluation),
    ]
    return html_page("Evaluation", parts)


def definitions(evaluation: Evaluation) -> str:
    """A list of what each metric is."""
    tolerance, unit = evaluation.summary["tolerance"], " or ".join(evaluation.summary["unit"])
    entries = {
        "dice": "2 |P and R| / (|P| + |R|) in voxels, 1 is perfect.",
        "iou": "|P and R| / |P or R| in voxels, 1 is perfect.",
        "hd95": "the larger of the two 95th percentiles of the distances from one surface to the other, 0 is perfect.",
        "surface_dice": f"share of both surfaces' voxels that lie within {tolerance:g} {unit} of the other surface.",
        "volume_difference": "volume of the prediction less that of the reference: positive means too large.",
    }
    items = "\n".join(
        f"<li><b>{name}</b>: {html.escape(text)}</li>" for name, text in entries.items()
    )
    rules = (
        "A surface is the voxels of a mask that share a face with a voxel outside it; distances run between voxel "
        "centres. A label in neither mask gives no value; in one mask only Dice, IoU and surface Dice are 0 and the "
        "distance is infinite, which is counted above and kept out of the means."
    )
    return f"<ul>\n{items}\n</ul>\n{paragraph(rules)}"


def _in_either(counts: dict[str, int]) -> int:
    """Cases in which the label occurs in at least one of the two masks."""
    return counts["both"] + counts["reference_only"] + counts["prediction_only"]


def _compared(summary: Mapping[str, Any]) -> str:
    cases, labels = len(summary["cases"]), len(summary["labels"])
    ignore = summary.get("ignore")
    ignored = "" if ignore is None else f" Voxels with {ignore} in the reference are left out."
    counts = f"{cases} {'case' if cases == 1 else 'cases'}, {labels} {'label' if labels == 1 else 'labels'}"
    return f"{summary['predictions']} against {summary['references']}: {counts}.{ignored}"


def _left_over(evaluation: Evaluation) -> str:
    missing = evaluation.summary["references_without_prediction"]
    return f"References without a prediction: {', '.join(missing)}." if missing else ""


def _absences(evaluation: Evaluation) -> str:
    rows = absence_rows(evaluation)
    header = ["label", "in the reference only", "in the prediction only", "in neither"]
    return (
        f"<h2>Labels that were missing, in cases</h2>\n{html_table(header, rows)}" if rows else ""
    )


def _spread_rows(evaluation: Evaluation) -> list[list[Cell]]:
    return [
        [
            label,
            metric,
            spread["n"],
            evaluation.summary["labels"][label][metric],
            *(spread[k] for k in ("sd", "min", "max")),
        ]
        for label, by in evaluation.summary["spread"].items()
        for metric, spread in by.items()
    ]


def _case_rows(evaluation: Evaluation) -> tuple[list[str], Sequence[Sequence[Cell]]]:
    """A row per case and label: cases by their mean Dice from low to high, labels within a case likewise."""
    metrics = list(evaluation.summary["mean"])
    values: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in evaluation.rows:
        values[row.case, row.label][row.metric] = row.value
    means = evaluation.summary["cases"]
    order = sorted(
        values, key=lambda key: (_low_first(means[key[0]]["dice"]), key[0], values[key]["dice"])
    )
    rows = [[*key, *(values[key].get(metric) for metric in metrics)] for key in order]
    return ["case", "label", *_titles(evaluation.summary)], rows


def _low_first(value: float | None) -> float:
    return math.inf if value is None else value
