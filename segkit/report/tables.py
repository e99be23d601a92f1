"""Format rows of text and numbers as a table for the terminal, as HTML or as CSV."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Iterable, Sequence

from segkit.errors import printable

Cell = str | float | int | None
"""Value of a table; None is shown as a dash."""


def text_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table as text, with numbers aligned to the right and text to the left.

    >>> print(text_table(["label", "dice"], [["liver", 0.91234], ["spleen", None]]))
    label     dice
    liver   0.9123
    spleen       -
    """
    cells = [[str(name) for name in header], *([cell_text(cell) for cell in row] for row in rows)]
    columns = range(len(header))
    widths = [max(len(row[column]) for row in cells) for column in columns]
    numeric = [
        bool(rows) and not any(isinstance(row[column], str) for row in rows) for column in columns
    ]
    lines = []
    for row in cells:
        aligned = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, numeric, strict=True)
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def narrow_tables(
    header: Sequence[str], rows: Sequence[Sequence[Cell]], *, keep: int, width: int = 100
) -> str:
    """Return a table as text, cut into several below each other where it is too wide.

    Args:
        header: column titles.
        rows: rows with a cell for each title.
        keep: number of first columns that every part repeats.
        width: largest number of characters of a line; a part has at least one further column.

    >>> print(narrow_tables(["label", "dice", "iou"], [["liver", 1.0, 1.0]], keep=1, width=15))
    label    dice
    liver  1.0000
    <BLANKLINE>
    label     iou
    liver  1.0000
    """
    parts: list[str] = []
    chosen: list[int] = []
    for column in range(keep, len(header)):
        wider = _columns(header, rows, [*range(keep), *chosen, column])
        if chosen and max(map(len, wider.splitlines())) > width:
            parts.append(_columns(header, rows, [*range(keep), *chosen]))
            chosen = []
        chosen.append(column)
    return "\n\n".join([*parts, _columns(header, rows, [*range(keep), *chosen])])


def _columns(header: Sequence[str], rows: Sequence[Sequence[Cell]], columns: Sequence[int]) -> str:
    return text_table(
        [header[column] for column in columns],
        [[row[column] for column in columns] for row in rows],
    )


CARDS_FROM = 4
"""Number of columns from which a table is too wide for a phone, where each row becomes a card."""


def html_table(header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table as HTML; all cells are escaped, and numbers have the class ``n``.

    The cells of a wide table hold their titles, which a phone shows in place of the header (see the
    class ``cards`` in `segkit.report.page`).
    """
    is_wide = len(header) >= CARDS_FROM
    titles = header if is_wide else [""] * len(header)
    texts = [any(isinstance(row[place], str) for row in rows) for place in range(len(header))]
    kinds = ["" if is_text or not rows else ' class="n"' for is_text in texts]
    head = "".join(
        f"<th{kind}>{html.escape(name)}</th>" for kind, name in zip(kinds, header, strict=True)
    )
    body = "\n".join(
        f"<tr>{''.join(map(_html_cell, row, titles))}</tr>"  # titles end with the shorter one
        for row in rows
    )
    opening = '<table class="cards">' if is_wide else "<table>"
    return f"{opening}\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def cell_text(cell: Cell) -> str:
    """Return a cell as text: floats with four decimals, or with four significant digits from 100.

    >>> cell_text(0.5), cell_text(1234.5), cell_text(3), cell_text(None)
    ('0.5000', '1234', '3', '-')
    """
    if cell is None:
        return "-"
    if isinstance(cell, str | int):
        return printable(str(cell), lines=True)
    if not math.isfinite(cell):
        return str(cell)
    return f"{cell:.4g}" if abs(cell) >= 100 else f"{cell:.4f}"


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Return CSV, with an empty value for None.

    Text that a spreadsheet would interpret as a formula is preceded by an apostrophe.

    >>> print(csv_text(["case", "dice"], [["=1+1", -0.5]]), end="")
    case,dice
    '=1+1,-0.5
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_escape_formula(name) for name in columns])
    writer.writerows([_escape_formula(cell) for cell in row] for row in rows)
    return stream.getvalue()


def _escape_formula(cell: Cell) -> Cell:
    if not isinstance(cell, str) or not cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _html_cell(cell: Cell, title: str) -> str:
    kind = "" if isinstance(cell, str) else ' class="n"'
    name = f' data-title="{html.escape(title)}"' if title else ""
    return f"<td{kind}{name}>{html.escape(cell_text(cell))}</td>"
