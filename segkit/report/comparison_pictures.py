"""Pictures of the cases that differ most between two sets of predictions."""

from __future__ import annotations

from pathlib import Path

from segkit.errors import InputError
from segkit.evaluation.by_group import MEAN
from segkit.evaluation.compare import Comparison
from segkit.evaluation.correction import MAIN_METRIC
from segkit.report.comparison_tables import most_changed
from segkit.report.evaluation.case_table import number_text
from segkit.report.evaluation.drawn_case import read_drawn_change
from segkit.report.evaluation.worst_cases import LABELS_NAMED
from segkit.report.page import paragraph, picture

EXPLANATION = (
    "The cases in which the Dice of a label changed most, worse and better ones in turn. A is on"
    " the left, B on the right. Prediction: outlined in the color of the label."
    " Reference: tinted in the same color, with a dashed white outline."
)
PLANES = (
    " The planes are those in which A and B differ most; only the part around the labels is shown."
    " The patient's right is on your left."
)
"""Further sentences for volumes."""


def changed_section(comparison: Comparison, most: int, scans: Path | None) -> str:
    """Return the section with the pictures as HTML; "" if there is nothing to draw.

    One case at a time is in memory.

    Args:
        comparison: the comparison.
        most: number of cases to draw.
        scans: folder with the scans; see `segkit.report.evaluation.drawn_case.read_drawn_case`.
    """
    figures = [_figure(comparison, case, scans) for case in most_changed(comparison.rows, most)]
    if not figures:
        return ""
    words = EXPLANATION + PLANES * (comparison.summary["unit"] != ["px"])
    drawn = "\n".join(figures)
    return f'<h2>Cases that changed most</h2>\n{paragraph(words)}\n<div class="pairs">{drawn}</div>'


def _figure(comparison: Comparison, case: str, scans: Path | None) -> str:
    first, second = (
        next(pair for pair in pairs.pairs if pair.case == case) for pairs in comparison.pairs
    )
    try:
        drawn = read_drawn_change((first, second), comparison.pairs, scans)
    except InputError as error:  # a file that has changed since it was measured
        return paragraph(f"{case} cannot be drawn: {error}")
    names = comparison.summary["names"]
    note = f" It is {drawn.note}." if drawn.note else ""
    png = drawn.png(*(_title(side, names[side.lower()]) for side in "AB"))
    return picture(png, caption(comparison, case) + note)


def _title(side: str, name: str) -> str:
    return side if name == side else f"{side}: {name}"


def caption(comparison: Comparison, case: str) -> str:
    """Return the Dice of the labels of a case with A and B, the largest change first."""
    rows = [
        row
        for row in comparison.rows
        if (row.case, row.metric) == (case, MAIN_METRIC) and row.difference and row.label != MEAN
    ]
    rows.sort(key=lambda row: -abs(row.difference or 0.0))
    parts = [
        f"{row.label} Dice {number_text(row.a)} with A, {number_text(row.b)} with B"
        f" ({row.difference:+.3f})"
        for row in rows[:LABELS_NAMED]
    ]
    more = f"; {len(rows) - LABELS_NAMED} more labels changed less" if rows[LABELS_NAMED:] else ""
    return f"{case}: {'; '.join(parts)}{more}."
