"""Write a comparison as files: differences.csv, comparison.json and comparison.html."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.compare import Comparison
from segkit.evaluation.correction import MAIN_METRIC
from segkit.evaluation.run_records import read_record
from segkit.files.atomic import write_text
from segkit.report.comparison_figure import MOST_DOTS, difference_chart, shown_labels
from segkit.report.comparison_pictures import changed_section
from segkit.report.comparison_tables import (
    Table,
    changed_cases,
    difference_table,
    left_out_cases,
)
from segkit.report.comparison_words import (
    about_other_metrics,
    advice,
    corrections,
    explained,
    headline,
    method,
    scope,
)
from segkit.report.evaluation.provenance import models_text, origin_rows
from segkit.report.evaluation_page import ReportOptions, asset, definition_list
from segkit.report.page import bullets, html_page, paragraph
from segkit.report.tables import csv_text, html_table

FILES = ("differences.csv", "comparison.json", "comparison.html")
"""Names of the files of a comparison."""
STYLE = """
blockquote { border-left: .25rem solid #0072b2; margin-left: 0; padding-left: 1rem; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
.pairs { gap: 0 1.5rem; }
.pairs img { width: 100%; max-width: 40rem; }
.small { color: #444; font-size: .9rem; }
@media print {
  .chart { max-width: 9cm; margin: .5rem 0; }
  section, table, blockquote { break-inside: avoid; }
  .pairs { grid-template-columns: 1fr 1fr; }
  .pairs img { width: auto; max-height: 10cm; }
  .pairs figure { margin: .5rem 0; }
}
"""
"""CSS of this page, after that of an evaluation."""


def write_comparison(
    comparison: Comparison, folder: str | Path, options: ReportOptions | None = None
) -> tuple[Path, Path, Path]:
    """Write the three files of a comparison and return their paths.

    They are differences.csv (all values), comparison.json (means, intervals, tests, verdicts) and
    comparison.html.

    Args:
        comparison: the comparison.
        folder: where they go; it is made if it does not exist.
        options: what to draw, and what was typed.
    """
    folder = Path(folder)
    texts = (
        differences_csv(comparison),
        json.dumps(comparison.summary, indent=2, ensure_ascii=False) + "\n",
        page(comparison, options or ReportOptions()),
    )
    values, numbers, report = (folder / name for name in FILES)
    # The record first, so that the same call may renew the files of one that was killed.
    for path, text in sorted(
        zip((values, numbers, report), texts, strict=True), key=lambda pair: pair[0] != numbers
    ):
        write_text(path, text)
    return values, numbers, report


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


def page(comparison: Comparison, options: ReportOptions) -> str:
    """Return the report as a self-contained HTML page.

    Args:
        comparison: the comparison.
        options: what to draw, and what was typed.
    """
    summary, said = comparison.summary, set[str]()
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
        parts += [_metric(comparison, MAIN_METRIC, said)]
        parts += [changed_section(comparison, options.pictures, options.scans)]
        parts += _changes(comparison)
        parts += [_other_metrics(summary, said)]
    parts += _left_out(comparison)
    parts += [_metric(comparison, name, said) for name in others]
    parts += [_provenance(comparison, options.command)]
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
    table = html_table(["", ""], rows)
    return f'<h2 id="provenance">Where the numbers come from</h2>\n{table}'


def _metric(comparison: Comparison, metric: str, said: set[str]) -> str:
    """Return the section of a metric: table, what its words mean, verdicts and figure."""
    results = [entry for entry in comparison.summary["results"] if entry["metric"] == metric]
    table = _table(difference_table(results), results, said)
    parts = [_section([f"<h2>{html.escape(metric)}</h2>", *table])]
    is_short = metric == MAIN_METRIC and len(results) <= MOST_VERDICTS
    spelled = [entry for entry in results if is_short or entry["finding"] not in PLAIN]
    sentences = [f"{entry['label']}: {entry['verdict']}." for entry in spelled[:MOST_VERDICTS]]
    more = len(spelled) - len(sentences)
    sentences += [f"comparison.json has the verdicts on {more} more labels."] * bool(more)
    return "\n".join([*parts, bullets(sentences), _chart(comparison, results)])


MOST_VERDICTS = 12
"""Largest number of labels whose verdicts are spelled out for a metric."""
PLAIN = ("no evidence", "equal", "too few", "one cannot tell", "nothing to compare")
"""Findings that the table says well enough, for other metrics or of many labels."""


def _chart(comparison: Comparison, results: Sequence[Mapping[str, Any]]) -> str:
    """Return the chart of a metric as HTML; "" if nothing can be drawn."""
    shown = shown_labels(results)
    if not shown:
        return ""
    metric = results[0]["metric"]
    some = "" if len(shown) == len(results) else f" of {len(shown)} of {len(results)} labels"
    many = max(entry["cases"] for entry in shown) > MOST_DOTS
    dots = f"{MOST_DOTS} cases, evenly chosen by rank" if many else "cases"
    caption = f"Differences in {metric}{some}. Dots: {dots}. Diamond: mean, with its 95 % interval."
    of_metric = [row for row in comparison.rows if row.metric == metric]
    return difference_chart(shown, of_metric, caption=caption)


def _other_metrics(summary: Mapping[str, Any], said: set[str]) -> str:
    """Return a section with a row for each metric: the mean over the labels, or the only label."""
    means = [entry for entry in summary["results"] if entry["label"] == MEAN]
    shown = means or summary["results"]
    if len(shown) < 2:
        return ""
    title = "All metrics, mean over the labels" if means else f"All metrics, {shown[0]['label']}"
    table = _table(difference_table(shown, first="metric", wide=False), shown, said)
    words = [paragraph(sentence) for sentence in about_other_metrics(summary)]
    return _section([f"<h2>{html.escape(title)}</h2>", *words, *table])


def _section(parts: Sequence[str]) -> str:
    """Return parts that stay together in print, as far as they fit onto one page."""
    return f"<section>{''.join(parts)}</section>"


def _table(table: Table, results: Sequence[Mapping[str, Any]], said: set[str]) -> list[str]:
    """Return a table of differences, which p values are corrected, and what its findings mean."""
    header, rows = table
    unbroken = "\N{NO-BREAK SPACE}"
    cells = [[r[0], str(r[1]).replace(" ", unbroken), *r[2:]] for r in rows]
    return [
        html_table(header, cells),
        f'<p class="small">{html.escape(corrections(results))}</p>',
        bullets(explained(results, said)),
    ]


def _changes(comparison: Comparison) -> Iterator[str]:
    """Yield the cases that are worse and those that are better with B."""
    names, margins = comparison.summary["names"], comparison.summary["margins"]
    for change in ("worse", "better"):
        changes = changed_cases(comparison.rows, change, margins.get(MAIN_METRIC))
        title = f"Cases that are {change} with B ({names['b']}) than with A ({names['a']})"
        header, rows = changes.table
        yield _section(
            [
                f"<h2>{html.escape(title)}</h2>",
                paragraph(changes.sentence),
                html_table(header, rows) if rows else "",
            ]
        )


def _left_out(comparison: Comparison) -> Iterator[str]:
    (header, rows), total = left_out_cases(comparison.rows)
    if total:
        yield "<h2>Values that are not compared</h2>"
        yield html_table(header, rows)
        more = f"{total - len(rows)} more are in differences.csv." if total > len(rows) else ""
        yield paragraph(more)


def _paper(summary: Mapping[str, Any]) -> str:
    """Return the sentence to copy and what else one may say."""
    sentence = summary["paper"]
    quote = f"<blockquote>{html.escape(sentence)}</blockquote>" if sentence else ""
    return f"<h2>What you may say in a paper</h2>\n{quote}\n{bullets(advice(summary))}"
