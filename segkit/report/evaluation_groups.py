"""Tables of an evaluation by groups of cases: groups.csv, and Dice of each group."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from segkit.evaluation.by_group import GroupMean, rows_of_metric
from segkit.evaluation.evaluate import Evaluation
from segkit.files.atomic import write_text
from segkit.report.page import paragraph
from segkit.report.tables import Cell, csv_text, html_table

GROUPS = "groups.csv"
INTERVAL = "the 95 % interval of the mean (bootstrap over the patients)"


def group_rows(evaluation: Evaluation) -> tuple[list[str], list[list[Cell]]]:
    """Return header and rows of the Dice of each label in each group; mean is over the labels."""
    means = rows_of_metric(evaluation)
    header = ["group", "label", "cases", "patients", "dice", "from", "to"]
    rows: list[list[Cell]] = [
        [row.group, row.label, row.cases, row.patients, row.mean, row.low, row.high]
        for row in means
    ]
    if any(row.patients < row.cases for row in means):
        return header, rows
    column = header.index("patients")  # a case a patient
    header.pop(column)
    return header, [row[:column] + row[column + 1 :] for row in rows]


def groups_section(evaluation: Evaluation) -> str:
    """Return a part of the report as HTML; "" for an evaluation without groups."""
    if "groups" not in evaluation.summary:
        return ""
    text = paragraph(f"Columns from and to: {INTERVAL}. Other metrics are in {GROUPS}.")
    return f'<h2 id="groups">Dice by group</h2>\n{html_table(*group_rows(evaluation))}\n{text}'


def write_groups(evaluation: Evaluation, folder: str | Path) -> Path:
    """Write groups.csv, a row for each group, label and metric, and return its path."""
    path = Path(folder) / GROUPS
    columns = [field.name for field in dataclasses.fields(GroupMean)]
    rows = ([row[name] for name in columns] for row in evaluation.summary["groups"])
    write_text(path, csv_text(columns, ([_rounded(cell) for cell in row] for row in rows)))
    return path


def _rounded(cell: Cell) -> Cell:
    return f"{cell:.6g}" if isinstance(cell, float) else cell
