"""Tables of a comparison: differences of labels, and cases that got better or worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.paired import PairedValue
from segkit.evaluation.verdict import p_value
from segkit.report.tables import Cell

Table = tuple[list[str], list[list[Cell]]]
"""Header and rows."""
MOST_ROWS = 30
"""Largest number of rows of a table of cases."""


def difference_table(
    results: Sequence[Mapping[str, Any]], *, first: str = "label", wide: bool = True
) -> Table:
    """Return a row for each entry of comparison.json.

    Args:
        results: the entries.
        first: what the rows differ in, "label" or "metric".
        wide: add in how many cases B is better, worse and equal.
    """
    header = [first, "finding", "B - A", "from", "to", "p", "A", "B", "cases"]
    keys = ("difference", "low", "high")
    rows: list[list[Cell]] = [
        [
            entry[first],
            entry["finding"],
            *(entry[key] for key in keys),
            "-" if entry["p"] is None else p_value(entry["p"]).replace(" ", ""),
            *(entry[key] for key in ("mean_a", "mean_b", "cases")),
        ]
        for entry in results
    ]
    if wide:
        header += COUNTS
        rows = [[*r, *(e[key] for key in COUNTS)] for r, e in zip(rows, results, strict=True)]
    left_out = [sum(entry["not_compared"].values()) for entry in results]
    if not any(left_out):
        return header, rows
    return [*header, "left out"], [[*r, n] for r, n in zip(rows, left_out, strict=True)]


COUNTS = ("better", "worse", "equal")
"""Numbers of cases of an entry."""


def changed_cases(rows: Sequence[PairedValue], metric: str, change: str) -> tuple[Table, int]:
    """Return the cases and labels that are better or worse with B, and how many there are.

    The largest changes come first; the table has `MOST_ROWS` rows at most.

    Args:
        rows: values of both.
        metric: the metric.
        change: "better" or "worse".
    """
    found = [row for row in _of_labels(rows, metric) if row.change == change]
    found.sort(key=lambda row: -abs(row.difference or 0.0))
    header = ["case", "label", "B - A", "A", "B"]
    cells: list[list[Cell]] = [
        [row.case, row.label, row.difference, row.a, row.b] for row in found[:MOST_ROWS]
    ]
    return (header, cells), len(found)


def left_out_cases(rows: Sequence[PairedValue]) -> tuple[Table, int]:
    """Return the cases and labels with values that are not compared, and how many there are.

    Metrics that are left out for the same reason share a row.
    """
    groups: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        if row.change == "not compared" and row.label != MEAN:
            groups.setdefault((row.case, row.label, row.note), []).append(row.metric)
    cells: list[list[Cell]] = [
        [case, label, note, ", ".join(metrics)] for (case, label, note), metrics in groups.items()
    ]
    return (["case", "label", "reason", "metrics"], cells[:MOST_ROWS]), len(cells)


def _of_labels(rows: Sequence[PairedValue], metric: str) -> list[PairedValue]:
    return [row for row in rows if row.metric == metric and row.label != MEAN]
