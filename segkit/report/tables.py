"""Rows of words and numbers as a table for the terminal or for a page."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Iterable, Sequence

from segkit.errors import printable

Cell = str | float | int | None


def text_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Columns aligned with spaces; numbers to the right, words to the left, nothing to say as a dash.

    >>> print(text_table(["label", "dice"], [["liver", 0.91234], ["spleen", None]]))
    label     dice
    liver   0.9123
    spleen       -
    """
    cells = [[str(name) for name in header], *([cell_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    right = [
        all(not isinstance(row[column], str) for row in rows) and bool(rows)
        for column in range(len(header))
    ]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def html_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A table of HTML; every cell is escaped, numbers have the class ``n``."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "\n".join(f"<tr>{''.join(_html_cell(cell) for cell in row)}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def cell_text(cell: Cell) -> str:
    """Whole numbers as they are, others with four digits after the point (or four significant ones above 100)."""
    if cell is None:
        return "-"
    if isinstance(cell, str | int):
        return printable(str(cell), lines=True)
    if not math.isfinite(cell):
        return str(cell)
    return f"{cell:.4g}" if abs(cell) >= 100 else f"{cell:.4f}"


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return CSV, nothing for None; words that a spreadsheet would take for a formula get an apostrophe in front.

    >>> print(csv_text(["case", "dice"], [["=1+1", -0.5]]), end="")
    case,dice
    '=1+1,-0.5
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_no_formula(name) for name in columns])
    writer.writerows([_no_formula(cell) for cell in row] for row in rows)
    return stream.getvalue()


def _no_formula(cell: Cell) -> Cell:
    if not isinstance(cell, str) or not cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _html_cell(cell: Cell) -> str:
    kind = "" if isinstance(cell, str) else ' class="n"'
    return f"<td{kind}>{html.escape(cell_text(cell))}</td>"
