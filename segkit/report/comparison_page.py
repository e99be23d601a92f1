"""Write a comparison as files: differences.csv, comparison.json and comparison.html."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.compare import Comparison
from segkit.evaluation.correction import MAIN_METRIC
from segkit.evaluation.run_records import read_record
from segkit.files.atomic import write_text
from segkit.report.comparison_figure import MOST_DOTS, difference_chart, shown_labels
from segkit.report.comparison_tables import (
    Table,
    changed_cases,
    difference_table,
    left_out_cases,
)
from segkit.report.comparison_words import advice, headline, method, scope
from segkit.report.evaluation.provenance import models_text, origin_rows
from segkit.report.evaluation_page import asset, definition_list
from segkit.report.page import bullets, html_page, paragraph
from segkit.report.tables import csv_text, html_table

STYLE = """
td { min-width: 0; }
blockquote { border-left: .25rem solid #0072b2; margin-left: 0; padding-left: 1rem; }
@media (max-width: 40rem) {
  table { font-size: .85rem; }
  th, td { padding: .25rem .3rem; min-width: 0; }
  td:first-child { overflow-wrap: anywhere; min-width: 5.5rem; }
}
@media print { .chart { max-width: 11cm; } }
"""
"""CSS of this page, after that of an evaluation."""


def write_comparison(
    comparison: Comparison, folder: str | Path, command: str = ""
) -> tuple[Path, Path, Path]:
    """Write the three files of a comparison and return their paths.

    They are differences.csv (all values), comparison.json (means, intervals, tests, verdicts) and
    comparison.html.

    Args:
        comparison: the comparison.
        folder: where they go; it is made if it does not exist.
        command: what was typed; "" if the comparison was started from Python.
    """
    folder = Path(folder)
    texts = {
        folder / "differences.csv": differences_csv(comparison),
        folder / "comparison.json": json.dumps(comparison.summary, indent=2, ensure_ascii=False)
        + "\n",
        folder / "comparison.html": page(comparison, command),
    }
    for path, text in texts.items():
        write_text(path, text)
    first, second, third = texts
    return first, second, third


def differences_csv(comparison: Comparison) -> str:
    """Return the content of differences.csv, a row per case, label and metric."""
    columns = ["case", "patient", "label", "metric", "a", "b", "difference", "change", "note"]
    patients = comparison.summary["patients"]
    rows = (
        [
            row.case,
            patients.get(row.case, ""),
            row.label,
            row.metric,
            *("" if value is None else f"{value:.6g}" for value in (row.a, row.b, row.difference)),
            row.change,
            row.note,
        ]
        for row in comparison.rows
    )
    return csv_text(columns, rows)


def page(comparison: Comparison, command: str = "") -> str:
    """Return the report as a self-contained HTML page.

    Args:
        comparison: the comparison.
        command: what was typed; "" if the comparison was started from Python.
    """
    summary = comparison.summary
    metrics = list(dict.fromkeys(entry["metric"] for entry in summary["results"]))
    others = [name for name in metrics if name != MAIN_METRIC]
    parts = [
        "<h1>Comparison of two sets of predictions</h1>",
        f"<p><b>{html.escape(headline(summary))}</b></p>",
        bullets(summary["cautions"]),
        paragraph(scope(summary)),
        _paper(summary),
    ]
    if MAIN_METRIC in metrics:
        parts += [f"<h2>{MAIN_METRIC}</h2>", *_metric(comparison, MAIN_METRIC)]
        parts += [*_all_metrics(summary), *_changes(comparison)]
    parts += _left_out(comparison)
    parts += [part for name in others for part in (f"<h2>{name}</h2>", *_metric(comparison, name))]
    parts += [_provenance(comparison, command)]
    parts += ["<h2>How the numbers were computed</h2>", bullets(method(summary))]
    parts += ["<h2>What the metrics mean</h2>", definition_list(summary)]
    return html_page("Comparison", parts, style=asset("report.css") + STYLE)


def _provenance(comparison: Comparison, command: str) -> str:
    """Return a table of predictions, models, versions and command."""
    rows: list[tuple[str, str]] = []
    for name, pairs in zip("AB", comparison.pairs, strict=True):
        sources = [read_record(pair.prediction) for pair in pairs.pairs]
        rows += [
            (f"predictions {name}", comparison.summary[name.lower()]),
            (f"model {name}", models_text(sources)),
        ]
    rows.append(("references", comparison.summary["references"]))
    rows += origin_rows(command or "segkit.compare, from Python")
    return f"<h2>Where the numbers come from</h2>\n{html_table(['', ''], rows)}"


def _metric(comparison: Comparison, metric: str) -> Iterator[str]:
    """Yield table, verdicts and figure of a metric."""
    results = [entry for entry in comparison.summary["results"] if entry["metric"] == metric]
    yield _table(difference_table(results))
    if len(results) <= MOST_VERDICTS:
        yield bullets([f"{entry['label']}: {entry['verdict']}." for entry in results])
    shown = shown_labels(results)
    if shown:
        some = "" if len(shown) == len(results) else f" of {len(shown)} of {len(results)} labels"
        many = max(entry["cases"] for entry in shown) > MOST_DOTS
        dots = f"{MOST_DOTS} cases, evenly chosen by rank" if many else "cases"
        caption = (
            f"Differences in {metric}{some}. Dots: {dots}. Diamond: mean, with its 95 % interval."
        )
        of_metric = [row for row in comparison.rows if row.metric == metric]
        yield difference_chart(shown, of_metric, caption=caption)


MOST_VERDICTS = 12
"""Largest number of labels whose verdicts are spelled out on the page."""


def _all_metrics(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table with a row for each metric: the mean over the labels, or the only label."""
    means = [entry for entry in summary["results"] if entry["label"] == MEAN]
    shown = means or summary["results"]
    title = "All metrics, mean over the labels" if means else f"All metrics, {shown[0]['label']}"
    yield f"<h2>{html.escape(title)}</h2>"
    yield _table(difference_table(shown, first="metric", wide=False))


def _table(table: Table) -> str:
    """Return a table of differences as HTML, whose findings are not broken into lines."""
    header, rows = table
    unbroken = "\N{NO-BREAK SPACE}"
    return html_table(header, [[r[0], str(r[1]).replace(" ", unbroken), *r[2:]] for r in rows])


def _changes(comparison: Comparison) -> Iterator[str]:
    """Yield the cases that are worse and those that are better with B."""
    names = comparison.summary["names"]
    for change in ("worse", "better"):
        table, total = changed_cases(comparison.rows, MAIN_METRIC, change)
        title = f"Cases that are {change} with B ({names['b']}) than with A ({names['a']})"
        yield f"<h2>{html.escape(title)}</h2>"
        yield _limited(table, total) or paragraph("None.")


def _left_out(comparison: Comparison) -> Iterator[str]:
    table, total = left_out_cases(comparison.rows)
    if total:
        yield "<h2>Values that are not compared</h2>"
        yield _limited(table, total)


def _limited(table: Table, total: int) -> str:
    header, rows = table
    if not rows:
        return ""
    more = f"{total - len(rows)} more are in differences.csv." if total > len(rows) else ""
    return html_table(header, rows) + paragraph(more)


def _paper(summary: Mapping[str, Any]) -> str:
    """Return the sentence to copy and what else one may say."""
    sentence = summary["paper"]
    quote = f"<blockquote>{html.escape(sentence)}</blockquote>" if sentence else ""
    return f"<h2>What you may say in a paper</h2>\n{quote}\n{bullets(advice(summary))}"
