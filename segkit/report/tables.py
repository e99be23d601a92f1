"""Tables of text and numbers: as aligned text, as HTML and as CSV."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Iterable, Sequence

from segkit.errors import printable

Cell = str | float | int | None
"""Content of a cell; None if there is no value."""


def text_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table with aligned columns: numbers to the right, text to the left, None as a dash.

    >>> print(text_table(["label", "dice"], [["liver", 0.91234], ["spleen", None]]))
    label     dice
    liver   0.9123
    spleen       -
    """
    cells = [[str(name) for name in header], *([cell_text(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    numeric = [
        bool(rows) and not any(isinstance(row[column], str) for row in rows)
        for column in range(len(header))
    ]
    lines = []
    for row in cells:
        aligned = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def html_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table of HTML; all cells are escaped, and those of numbers have the class ``n``."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "\n".join(f"<tr>{''.join(_html_cell(cell) for cell in row)}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def cell_text(cell: Cell) -> str:
    """Return a cell as text.

    Integers stay as they are. Other numbers get four decimals, or four significant digits from 100
    on.

    >>> [cell_text(cell) for cell in (3, 0.91234, 123.456, None)]
    ['3', '0.9123', '123.5', '-']
    """
    if cell is None:
        return "-"
    if isinstance(cell, str | int):
        return printable(str(cell), lines=True)
    if not math.isfinite(cell):
        return str(cell)
    return f"{cell:.4g}" if abs(cell) >= 100 else f"{cell:.4f}"


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table as CSV, with None as an empty cell.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.

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
    attribute = "" if isinstance(cell, str) else ' class="n"'
    return f"<td{attribute}>{html.escape(cell_text(cell))}</td>"
